//! The filter's engine is shown exactly what the agent's would be.

use portcullis_protocol::RpcMsgIn;

use super::*;
use crate::config::Config;
use crate::host::mock::{Mock, headers};

/// What the engine finds when it is shown the request by way of a message, as the agent is.
fn by_message(seen: &Seen, body: Body<'_>) -> Signals {
    let wire = seen.message(body).encode();
    let message = RpcMsgIn::decode(&wire).unwrap();
    let headers: Vec<Header<'_>> =
        message.headers_in.iter().map(|(name, value)| Header { name, value }).collect();
    let longer = |total: i64| usize::try_from(total).is_ok_and(|total| total > message.post_body.len());
    Engine::default().inspect(&Request {
        method: &message.method,
        scheme: &message.scheme,
        authority: &message.server_name,
        target: &message.uri,
        protocol: &message.protocol,
        tls_protocol: &message.tls_protocol,
        tls_cipher: &message.tls_cipher,
        headers: &headers,
        body: portcullis_detect::Body {
            bytes: &message.post_body,
            truncated: message.body_truncated || message.body_total.is_some_and(longer),
        },
    })
}

#[test]
fn finds_what_the_agent_would_find() {
    let body = |bytes, total, extent| Body { bytes, total, extent };
    let whole = body(&b""[..], None, Extent::Whole);
    let mut found = 0;
    for (pairs, body) in [
        (&[(":method", "GET"), (":path", "/?id=1'+OR+'1'='1"), (":authority", "a")][..], whole),
        (&[(":method", "GET"), (":path", "/"), (":authority", "a"), ("user-agent", "sqlmap/1.7")], whole),
        // Neither user agent nor host; a name twice.
        (&[(":method", "GET"), (":path", "/"), ("content-type", "a"), ("content-type", "b")], whole),
        (
            &[(":method", "POST"), (":path", "/"), ("transfer-encoding", "chunked"), (":authority", "a")],
            whole,
        ),
        (&[(":path", "/a"), (":authority", "<script>alert(1)</script>"), (":method", "POST")], whole),
        (
            &[(":method", "POST"), (":path", "/"), ("host", "x"), (":authority", "a")],
            body(b"q=<script>alert(1)</script>", Some(27), Extent::Whole),
        ),
        (
            &[(":method", "POST"), (":path", "/"), (":authority", "a")],
            body(b"q=ok", Some(9000), Extent::Whole),
        ),
        (&[(":method", "POST"), (":path", "/"), (":authority", "a")], body(b"q=ok", None, Extent::Truncated)),
    ] {
        let mock = Mock::default();
        *mock.request.borrow_mut() = Some(headers(pairs));
        mock.property("connection.tls_version", b"TLSv1");
        mock.property("request.protocol", b"HTTP/1.0");
        mock.property("filter_state.c", b"RC4-MD5");
        let mut config = Config::default();
        config.fingerprints.cipher = "c".to_owned();
        let seen = Seen::collect(&mock, &config, mock.request_headers().unwrap(), Duration::ZERO);
        let view = View::new(&seen.headers);
        let own = Engine::default().inspect(&view.request(&seen, body));
        let mut told = seen.clone();
        told.complete(&mock, &config);
        assert_eq!(own, by_message(&told, body), "{pairs:?}");
        found += own.len();
    }
    assert!(found >= 10, "{found}");
}
