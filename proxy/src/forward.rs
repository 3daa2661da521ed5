//! The headers of a forwarded message: what belongs to one connection is taken off, where it came from is added.

use std::net::IpAddr;

use http::header::{
    CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How requests are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// Add nothing (`minimal-header-rewriting`).
    Minimal,
    /// Extend the X-Forwarded headers that came in (`trust-proxy-headers`).
    Extend,
    /// Replace the X-Forwarded headers that came in: anybody could have written them.
    Replace,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// The peer's address.
    pub peer: IpAddr,
    /// The Host that the client asked for.
    pub host: &'a [u8],
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// Takes off what a client must not send on: what belongs to one connection, and what only the agent says. The body is
/// here already, so there is nothing left to ask the upstream for.
pub(crate) fn strip(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    let own = headers.keys().filter(|name| name.as_str().starts_with("x-sigsci-"));
    let own: Vec<HeaderName> = own.cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

/// Joins the pieces that HTTP/2 may cut cookies into (RFC 9113 section 8.2.3): elsewhere they are one header.
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (pieces.next(), pieces.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for piece in std::iter::once(second).chain(pieces) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(piece.as_bytes());
    }
    put(headers, COOKIE, &joined);
}

/// Takes off what belongs to one connection (RFC 9110 section 7.6.1). Whatever Connection names goes too, except what
/// frames the message: a client must not be able to have it removed.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| ![HOST, http::header::CONTENT_LENGTH, X_FORWARDED_FOR, FORWARDED].contains(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    // `TE: trailers` is for the whole path: gRPC needs it end to end.
    let trailers = headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
        HTTP2_SETTINGS,
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Adds where the request came from.
pub(crate) fn add_source(headers: &mut HeaderMap, source: &Source<'_>, rewriting: Rewriting) {
    let keep = match rewriting {
        Rewriting::Minimal => return,
        Rewriting::Extend => true,
        Rewriting::Replace => false,
    };
    let mut chain: Vec<u8> = Vec::new();
    if keep {
        for value in headers.get_all(X_FORWARDED_FOR) {
            chain.extend_from_slice(value.as_bytes());
            chain.extend_from_slice(b", ");
        }
    } else {
        headers.remove(FORWARDED);
        headers.remove(X_FORWARDED_HOST);
        headers.remove(X_FORWARDED_PROTO);
    }
    chain.extend_from_slice(source.peer.to_canonical().to_string().as_bytes());
    put(headers, X_FORWARDED_FOR, &chain);
    if !headers.contains_key(X_FORWARDED_HOST) && !source.host.is_empty() {
        put(headers, X_FORWARDED_HOST, source.host);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        put(headers, X_FORWARDED_PROTO, source.scheme.as_bytes());
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect()
    }

    const SOURCE: Source<'static> = Source {
        peer: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
        host: b"shop.example",
        scheme: "https",
    };

    #[test]
    fn takes_off_what_belongs_to_one_connection() {
        let mut headers = map(&[
            ("connection", "close, X-Private"),
            ("keep-alive", "timeout=5"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
            ("x-kept", "1"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("x-kept", "1"), ("te", "trailers")]));
    }

    #[test]
    fn only_the_agent_speaks_for_the_agent() {
        let mut headers = map(&[
            ("x-sigsci-tags", "SQLI"),
            ("X-SigSci-Other", "1"),
            ("x-other", "2"),
            ("expect", "100-continue"),
        ]);
        strip(&mut headers);
        assert_eq!(headers, map(&[("x-other", "2")]));
    }

    #[test]
    fn cookies_become_one_header() {
        let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2"), ("x", "y")]);
        join_cookies(&mut headers);
        assert_eq!(headers, map(&[("cookie", "a=1; b=2"), ("x", "y")]));
    }

    #[test]
    fn connection_cannot_remove_what_others_rely_on() {
        let mut headers = map(&[
            ("connection", "x-forwarded-for, host, content-length"),
            ("host", "a"),
            ("content-length", "3"),
            ("x-forwarded-for", "198.51.100.1"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn extends_or_replaces_where_a_request_came_from() {
        let came =
            [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "http"), ("forwarded", "for=1")];
        let mut extended = map(&came);
        add_source(&mut extended, &SOURCE, Rewriting::Extend);
        assert_eq!(extended["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
        assert_eq!(extended["x-forwarded-proto"], "http");
        assert_eq!(extended["x-forwarded-host"], "shop.example");
        let mut replaced = map(&came);
        add_source(&mut replaced, &SOURCE, Rewriting::Replace);
        assert_eq!(replaced["x-forwarded-for"], "192.0.2.7");
        assert_eq!(replaced["x-forwarded-proto"], "https");
        assert!(!replaced.contains_key("forwarded"));
        let mut minimal = map(&came);
        add_source(&mut minimal, &SOURCE, Rewriting::Minimal);
        assert_eq!(minimal, map(&came));
    }
}
