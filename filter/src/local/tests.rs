//! The filter's engine is shown exactly what the agent's would be.

use portcullis_protocol::{LocalFacts, RpcMsgIn};

use super::*;
use crate::config::Config;
use crate::headers::Headers;
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
        let view = View::new(&seen);
        let own = Engine::default().inspect(&view.request(&seen, body));
        let mut told = seen.clone();
        told.complete(&mock, &config);
        assert_eq!(own, by_message(&told, body), "{pairs:?}");
        found += own.len();
    }
    assert!(found >= 10, "{found}");
}

/// Every line of the vectors as a header's value, among headers that are known from the request before.
#[test]
fn what_is_remembered_changes_no_finding() {
    let mock = Mock::default();
    let (settings, engine) = (Config::default().local, Engine::default());
    let local = Local::default();
    local.start(&Local::default());
    let (mut seen, mut harmless, mut harmful) = (0, 0, 0);
    for line in vectors() {
        let pairs: [(&[u8], &[u8]); 7] = [
            (b":method", b"GET"),
            (b":path", b"/"),
            (b":authority", b"a.example"),
            (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
            (b"accept", b"*/*"),
            (b"x-value", &line),
            (b"cookie", &line),
        ];
        let all = Headers::from_pairs(&pairs);
        let request = Seen::collect(&mock, &Config::default(), all, Duration::ZERO);
        let view = View::new(&request);
        let fresh = Found::of(&engine.inspect(&view.request(&request, Body::default())));
        for _ in 0..3 {
            let (found, _) = local.judge(&mock, &settings, &request, Body::default());
            assert_eq!(found, fresh, "{}", String::from_utf8_lossy(&line));
        }
        let count = if fresh.tags.is_empty() { &mut harmless } else { &mut harmful };
        *count += 1;
        seen += 1;
    }
    assert!(harmless > 100 && harmful > 100, "{harmless} harmless and {harmful} harmful of {seen}");
}

fn vectors() -> Vec<Vec<u8>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors");
    let mut lines = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let text = std::fs::read(file.unwrap().path()).unwrap();
            // One in so many: all of them are read by the tests of the module.
            lines.extend(text.split(|byte| *byte == b'\n').step_by(7).map(<[u8]>::to_vec));
        }
    }
    lines
}

#[test]
fn facts_are_not_relied_upon_while_the_clock_is_behind_them() {
    let (local, settings) = (Local::default(), Config::default().local);
    local.confirmed.set(Some(Duration::from_secs(3600)));
    for (now, age) in [(3600, Age::Fresh), (3000, Age::Stale), (3603, Age::Fresh), (3604, Age::Stale)] {
        local.look_at_the_age(Duration::from_secs(now), &settings);
        assert_eq!(local.age.get(), age, "{now}");
    }
}

#[test]
fn facts_with_a_patch_that_is_not_known_are_never_enough() {
    let (mock, local) = (Mock::default(), Local::default());
    local.start(&Local::default());
    let asks = |version, patches: &[&'static str]| {
        let patches = patches.iter().map(|id| (*id).into()).collect();
        let message = LocalFacts { engine: ENGINE.into(), version, patches, ..LocalFacts::default() };
        local.learn(Some(Facts::parse(&message.encode(), ENGINE).unwrap()), Duration::ZERO);
        local.age.set(Age::Fresh);
        let pairs: [(&[u8], &[u8]); 5] = [
            (b":method", b"GET"),
            (b":path", b"/"),
            (b":authority", b"a.example"),
            (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
            (b"accept", b"*/*"),
        ];
        let seen = Seen::collect(&mock, &Config::default(), Headers::from_pairs(&pairs), Duration::ZERO);
        local.judge(&mock, &Config::default().local, &seen, Body::default()).1 == Reliance::Ask
    };
    assert!(!asks(1, &[]));
    assert!(asks(2, &["of-tomorrow"]));
    assert!(asks(3, &["of-tomorrow"]), "it is no better known the second time");
    assert!(!asks(4, &[]));
}
