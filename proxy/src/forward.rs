//! The headers of a forwarded message: what belongs to one connection is taken off, where it came from is added.

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED, HOST, HeaderMap,
    HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request came from, as this proxy tells it.
const ORIGIN: [HeaderName; 3] = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

/// What others rely on, inspection among them: a client must not be able to have it removed. A body that was read as what
/// these headers say is not to be another one to the application.
const RELIED_ON: [HeaderName; 8] = [
    HOST,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
];

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
    pub peer: &'a HeaderValue,
    /// The Host that the client asked for, where it did.
    pub host: Option<&'a HeaderValue>,
    /// `http` or `https`.
    pub scheme: &'static str,
}

/// Gives `put` the headers that a client's request goes on with, but Host and Content-Length: those that it came with
/// but what belongs to one connection and what only the agent says, then where it came from, then `added`, which outrank
/// what came under their names. The body is here already, so there is nothing left to expect of the upstream.
pub(crate) fn onward(
    headers: &HeaderMap,
    source: &Source<'_>,
    rewriting: Rewriting,
    added: &[(HeaderName, HeaderValue)],
    mut put: impl FnMut(&HeaderName, &HeaderValue),
) {
    let named = named(headers);
    let (mut trailers, mut hops, mut host, mut scheme) = (false, Vec::new(), false, false);
    for (name, value) in headers {
        let passes = match (name.as_str(), rewriting) {
            ("host" | "content-length" | "expect", _) => false,
            ("te", _) => {
                trailers |= is_trailers(value);
                false
            }
            ("x-forwarded-for", Rewriting::Extend) => {
                hops.push(value.as_bytes());
                false
            }
            (
                "forwarded" | "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto",
                Rewriting::Replace,
            ) => false,
            ("x-forwarded-host", Rewriting::Extend) => {
                host = true;
                true
            }
            ("x-forwarded-proto", Rewriting::Extend) => {
                scheme = true;
                true
            }
            (_, Rewriting::Extend | Rewriting::Replace) if is_disguised(name) => false,
            _ => !is_hop_by_hop(name) && !is_the_agents(name),
        };
        if passes && !named.contains(name) && !added.iter().any(|(other, _)| reads_as(name, other)) {
            put(name, value);
        }
    }
    if trailers {
        // For the whole path: gRPC needs it end to end.
        put(&TE, &HeaderValue::from_static("trailers"));
    }
    if rewriting != Rewriting::Minimal {
        if hops.is_empty() {
            put(&X_FORWARDED_FOR, source.peer);
        } else {
            hops.push(source.peer.as_bytes());
            if let Ok(hops) = HeaderValue::from_bytes(&hops.join(&b", "[..])) {
                put(&X_FORWARDED_FOR, &hops);
            }
        }
        if let Some(source) = source.host.filter(|_| !host) {
            put(&X_FORWARDED_HOST, source);
        }
        if !scheme {
            put(&X_FORWARDED_PROTO, &HeaderValue::from_static(source.scheme));
        }
    }
    added.iter().for_each(|(name, value)| put(name, value));
}

/// The trailers that a client's request goes on with: some applications read them as headers, so what the client may not
/// say there it may not say here.
pub(crate) fn onward_trailers(trailers: HeaderMap) -> HeaderMap {
    let is_told = |name: &HeaderName| {
        let relied_on = RELIED_ON.iter().any(|other| reads_as(name, other));
        relied_on || is_disguised_framing(name) || is_the_agents(name)
    };
    let (mut kept, mut last) = (HeaderMap::with_capacity(trailers.keys_len()), None);
    for (name, value) in trailers {
        // One that repeats comes without its name.
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| !is_hop_by_hop(name) && !is_told(name)) {
            kept.append(name, value);
        }
    }
    kept
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

/// Takes off what belongs to one connection (RFC 9110 section 7.6.1), and whatever Connection names but what others rely on.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    for name in named(headers) {
        headers.remove(name);
    }
    // `TE: trailers` is for the whole path: gRPC needs it end to end.
    let trailers = headers.get_all(TE).iter().any(is_trailers);
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in found {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// What Connection names, except what others rely on.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !RELIED_ON.contains(name))
        .collect()
}

fn is_trailers(value: &HeaderValue) -> bool {
    let mut codings = value.as_bytes().split(|&byte| byte == b',');
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Whether only the agent says it.
fn is_the_agents(name: &HeaderName) -> bool {
    dashed(name.as_str().as_bytes().get(..9).unwrap_or_default()).eq(*b"x-sigsci-")
}

/// Whether it reads as a header that tells where a request came from, and is spelt as no proxy spells one.
fn is_disguised(name: &HeaderName) -> bool {
    name.as_str().contains('_') && ORIGIN.iter().any(|other| reads_as(name, other))
}

/// Whether it delimits a message for an application that takes `_` for `-`, and for nobody else.
pub(crate) fn is_disguised_framing(name: &HeaderName) -> bool {
    name.as_str().contains('_')
        && [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|framing| reads_as(name, framing))
}

/// Whether an application may take `name` for `other`.
fn reads_as(name: &HeaderName, other: &HeaderName) -> bool {
    let (name, other) = (name.as_str().as_bytes(), other.as_str().as_bytes());
    name.len() == other.len() && dashed(name).eq(dashed(other))
}

/// A name as CGI and WSGI have it, where `_` cannot be told from `-`.
fn dashed(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte })
}

/// A comparison of what is there costs less than a look-up of what mostly is not.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
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

    fn forwarded(headers: &HeaderMap, rewriting: Rewriting) -> HeaderMap {
        let (peer, host) = (HeaderValue::from_static("192.0.2.7"), HeaderValue::from_static("shop.example"));
        let added = [(HeaderName::from_static("x-added"), HeaderValue::from_static("ours"))];
        let source = Source { peer: &peer, host: Some(&host), scheme: "https" };
        let mut out = HeaderMap::new();
        onward(headers, &source, rewriting, &added, |name, value| {
            out.append(name, value.clone());
        });
        assert_eq!(out.remove("x-added").unwrap(), "ours");
        out
    }

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
        let headers = map(&[
            ("x-sigsci-tags", "SQLI"),
            ("X-SigSci-Other", "1"),
            ("X_SigSci-AgentResponse", "200"),
            ("x_sigsci_requestid", "1"),
            ("x-added", "theirs"),
            ("x-other", "2"),
            ("expect", "100-continue"),
        ]);
        assert_eq!(forwarded(&headers, Rewriting::Minimal), map(&[("x-other", "2")]));
    }

    #[test]
    fn a_request_goes_on_without_what_belongs_to_one_connection() {
        let headers = map(&[
            ("connection", "close, X-Private, x-forwarded-for"),
            ("x-private", "1"),
            ("te", "gzip, Trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-kept", "1"),
            ("x-kept", "2"),
        ]);
        let kept =
            [("x-kept", "1"), ("x-kept", "2"), ("te", "trailers"), ("x-forwarded-for", "198.51.100.1")];
        assert_eq!(forwarded(&headers, Rewriting::Minimal), map(&kept));
    }

    #[test]
    fn trailers_say_nothing_that_headers_may_not() {
        let trailers = map(&[
            ("x-sum", "1"),
            ("x-sum", "2"),
            ("X-SigSci-AgentResponse", "200"),
            ("x-sigsci-tags", "a"),
            ("x-sigsci-tags", "b"),
            ("x-forwarded-for", "198.51.100.1"),
            ("connection", "close"),
            ("host", "other.example"),
        ]);
        assert_eq!(onward_trailers(trailers), map(&[("x-sum", "1"), ("x-sum", "2")]));
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
            ("connection", "x-forwarded-for, host, content-length, x-forwarded-proto, x-forwarded-host"),
            ("connection", "content-type, content-encoding"),
            ("host", "a"),
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 7);
    }

    #[test]
    fn what_is_replaced_does_not_come_back_under_another_spelling() {
        let came = map(&[
            ("x_forwarded_for", "198.51.100.1"),
            ("x-forwarded_host", "evil.example"),
            ("X_Forwarded_Proto", "https"),
            ("x_added", "theirs"),
            ("x_other", "1"),
        ]);
        let names = |map: HeaderMap| map.keys().map(ToString::to_string).collect::<Vec<_>>();
        let replaced = forwarded(&came, Rewriting::Replace);
        let ours = ["x_other", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        assert_eq!(names(replaced), ours);
        let trailers = map(&[
            ("x_forwarded_for", "198.51.100.1"),
            ("content_type", "text/xml"),
            ("transfer_encoding", "x"),
            ("x_sum", "1"),
        ]);
        assert_eq!(names(onward_trailers(trailers)), ["x_sum"]);
    }

    #[test]
    fn extends_or_replaces_where_a_request_came_from() {
        let came =
            [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "http"), ("forwarded", "for=1")];
        let came = map(&came);
        let extended = forwarded(&came, Rewriting::Extend);
        assert_eq!(extended["x-forwarded-for"], "198.51.100.1, 192.0.2.7");
        assert_eq!(extended["x-forwarded-proto"], "http");
        assert_eq!(extended["x-forwarded-host"], "shop.example");
        let replaced = forwarded(&came, Rewriting::Replace);
        assert_eq!(replaced["x-forwarded-for"], "192.0.2.7");
        assert_eq!(replaced["x-forwarded-proto"], "https");
        assert!(!replaced.contains_key("forwarded"));
        assert_eq!(forwarded(&came, Rewriting::Minimal), came);
    }
}
