//! A request as every listener hands it over.

use std::net::IpAddr;

use portcullis_detect::{Body, Header, Request as Seen};
use portcullis_protocol::RpcMsgIn;
use portcullis_protocol::names::TAGS_HEADER;

/// A request to judge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// What the engine looks at.
    pub seen: Seen<'a>,
    /// Address of the client's socket as the caller names it.
    pub remote_addr: &'a [u8],
    /// Address of the client, where it is known.
    pub client: Option<IpAddr>,
    /// When the request came, in milliseconds since 1970; 0 where the caller does not say.
    pub millis: i64,
    /// What kind of server the caller is part of.
    pub server_flavor: &'a [u8],
    /// Fingerprints of the client's TLS hello; empty where the caller has none.
    pub ja3: &'a str,
    /// The same in the newer form.
    pub ja4: &'a str,
}

impl Request<'_> {
    /// Whether the client pretends to be an agent that found something.
    pub fn has_forged_tags(&self) -> bool {
        self.seen.header_values(TAGS_HEADER).next().is_some()
    }
}

/// Calls `judge` with the request that `message` describes.
pub fn with_message<T>(message: &RpcMsgIn<'_>, judge: impl FnOnce(&Request<'_>) -> T) -> T {
    let headers: Vec<_> = message.headers_in.iter().map(|(name, value)| Header { name, value }).collect();
    let seen = Seen {
        method: &message.method,
        scheme: &message.scheme,
        authority: &message.server_name,
        target: &message.uri,
        protocol: protocol(&message.protocol),
        tls_protocol: &message.tls_protocol,
        tls_cipher: &message.tls_cipher,
        headers: &headers,
        body: body(message, &headers),
    };
    let millis = match message.now_millis {
        0 => message.timestamp.saturating_mul(1000),
        millis => millis,
    };
    judge(&Request {
        seen,
        remote_addr: &message.remote_addr,
        client: None,
        millis,
        server_flavor: &message.server_flavor,
        ja3: std::str::from_utf8(&message.ja3).unwrap_or_default(),
        ja4: std::str::from_utf8(&message.ja4).unwrap_or_default(),
    })
}

/// HAProxy's module sends the bare version.
fn protocol(sent: &[u8]) -> &[u8] {
    match sent {
        b"1.0" => b"HTTP/1.0",
        b"1.1" => b"HTTP/1.1",
        b"2.0" | b"2" => b"HTTP/2.0",
        _ => sent,
    }
}

/// The body, marked as cut where the sender says so or had less than was announced: HAProxy's module has only what
/// its buffer held.
fn body<'a>(message: &'a RpcMsgIn<'_>, headers: &[Header<'_>]) -> Body<'a> {
    let bytes: &[u8] = &message.post_body;
    let longer = |total: i64| usize::try_from(total).is_ok_and(|total| total > bytes.len());
    let announced = || {
        let lengths = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(b"content-length"));
        let mut numbers =
            lengths.filter_map(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
        !bytes.is_empty() && numbers.any(longer)
    };
    Body { bytes, truncated: message.body_truncated || message.body_total.is_some_and(longer) || announced() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truncated(message: &RpcMsgIn<'_>) -> bool {
        with_message(message, |request| request.seen.body.truncated)
    }

    fn with_length(length: &str, body: &str) -> RpcMsgIn<'static> {
        let headers_in = vec![("Content-Length".into(), length.to_owned().into())];
        RpcMsgIn { headers_in, post_body: body.to_owned().into(), ..RpcMsgIn::default() }
    }

    #[test]
    fn knows_a_cut_body() {
        assert!(!truncated(&with_length("4", "body")));
        assert!(truncated(&with_length("5", "body")));
        // A body that the module does not forward at all is not cut.
        assert!(!truncated(&with_length("5", "")));
        assert!(!truncated(&with_length("-5", "body")));
        assert!(!truncated(&with_length("x", "body")));
        assert!(truncated(&RpcMsgIn { body_truncated: true, ..RpcMsgIn::default() }));
        assert!(truncated(&RpcMsgIn { body_total: Some(1), ..RpcMsgIn::default() }));
        assert!(!truncated(&RpcMsgIn { body_total: Some(-1), ..RpcMsgIn::default() }));
    }

    #[test]
    fn completes_a_bare_version() {
        let message = RpcMsgIn { protocol: "1.1".into(), ..RpcMsgIn::default() };
        with_message(&message, |request| assert_eq!(request.seen.protocol, b"HTTP/1.1"));
    }

    #[test]
    fn sees_forged_tags_in_any_case() {
        let headers_in = vec![("x-sigsci-tags".into(), "SQLI".into())];
        let message = RpcMsgIn { headers_in, ..RpcMsgIn::default() };
        with_message(&message, |request| assert!(request.has_forged_tags()));
        with_message(&RpcMsgIn::default(), |request| assert!(!request.has_forged_tags()));
    }
}
