use super::super::proto::auth::{HttpRequest, Peer, Request, TlsSession};
use super::super::proto::core::{Address, HeaderValue, SocketAddress, Text, TextField, Texts};
use super::*;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: bytes(key), value: bytes(value) }
}

fn raw(key: &str, raw_value: &'static [u8]) -> HeaderValue {
    HeaderValue { key: bytes(key), value: Bytes::new(), raw_value: Bytes::from_static(raw_value) }
}

fn attributes(http: HttpRequest) -> AttributeContext {
    let socket_address = Some(SocketAddress { address: bytes("192.0.2.7") });
    AttributeContext {
        source: Some(Peer { address: Some(Address { socket_address }) }),
        request: Some(Request {
            time: Some(Time { seconds: 1_790_000_000, nanos: 5_000_000 }),
            http: Some(http),
        }),
        tls_session: Some(TlsSession { sni: bytes("shop.example") }),
    }
}

fn check(http: HttpRequest) -> Question {
    Question::from_check(attributes(http)).unwrap()
}

#[test]
fn tells_the_service_all_that_ext_authz_knows() {
    let question = check(HttpRequest {
        method: bytes("POST"),
        path: bytes("/a?b=c"),
        host: bytes("shop.example"),
        scheme: bytes("https"),
        protocol: bytes("HTTP/2"),
        headers: vec![entry(":method", "POST"), entry("user-agent", "test")],
        body: bytes("x=1"),
        size: 3,
        ..HttpRequest::default()
    });
    let message = question.message();
    assert_eq!((&message.method[..], &message.uri[..]), (&b"POST"[..], &b"/a?b=c"[..]));
    assert_eq!((&message.server_name[..], &message.scheme[..]), (&b"shop.example"[..], &b"https"[..]));
    assert_eq!((&message.remote_addr[..], &message.sni[..]), (&b"192.0.2.7"[..], &b"shop.example"[..]));
    assert_eq!((message.timestamp, message.now_millis), (1_790_000_000, 1_790_000_000_005));
    assert_eq!(
        message.headers_in,
        [("host".into(), "shop.example".into()), ("user-agent".into(), "test".into())]
    );
    assert_eq!((&message.post_body[..], message.body_truncated), (&b"x=1"[..], false));
}

#[test]
fn keeps_raw_headers_as_they_came() {
    let headers = vec![raw("a", b"1"), raw("b", b"\xff\xfe"), raw("a", b"2")];
    let http = HttpRequest { header_map: Some(HeaderMap { headers }), ..HttpRequest::default() };
    let question = check(http);
    let names: Vec<_> = question.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(names, [(&b"a"[..], &b"1"[..]), (b"b", b"\xff\xfe"), (b"a", b"2")]);
}

#[test]
fn knows_a_body_that_is_a_part() {
    let partial = |value: &str, body: &str, size| {
        let headers = vec![entry("x-envoy-auth-partial-body", value)];
        let question = check(HttpRequest { headers, raw_body: bytes(body), size, ..HttpRequest::default() });
        assert!(question.headers.is_empty());
        question.truncated
    };
    assert!(partial("true", "x", -1));
    assert!(partial("false", "x", 2));
    assert!(!partial("false", "x", 1));
    assert!(!partial("false", "x", -1));
    // No body is shown at all.
    assert!(!partial("true", "", 5));
}

#[test]
fn asks_about_nothing_but_http() {
    assert!(Question::from_check(AttributeContext::default()).is_none());
    let request = Some(Request { time: None, http: None });
    assert!(Question::from_check(AttributeContext { request, ..AttributeContext::default() }).is_none());
}

#[test]
fn reads_pseudo_headers_and_attributes_of_ext_proc() {
    let text = |key: &str, text: &str| TextField { key: bytes(key), value: Some(Text { text: bytes(text) }) };
    let fields = vec![text("source.address", "[2001:db8::1]:4711"), text("request.protocol", "HTTP/2")];
    let attributes = [Named { key: bytes(PROCESSOR), value: Some(Texts { fields }) }];
    let headers = vec![
        raw(":method", b"GET"),
        raw(":path", b"/x"),
        raw(":authority", b"shop.example"),
        raw(":scheme", b"http"),
        raw("cookie", b"a=b"),
    ];
    let question = Question::from_headers(HeaderMap { headers }, &attributes, 7);
    let message = question.message();
    assert_eq!((&message.method[..], &message.uri[..]), (&b"GET"[..], &b"/x"[..]));
    assert_eq!((&message.remote_addr[..], &message.protocol[..]), (&b"2001:db8::1"[..], &b"HTTP/2"[..]));
    assert_eq!(message.headers_in, [("host".into(), "shop.example".into()), ("cookie".into(), "a=b".into())]);
}

#[test]
fn takes_the_port_off_an_address() {
    for (peer, address) in [
        ("192.0.2.1:80", "192.0.2.1"),
        ("[::1]:80", "::1"),
        ("/var/run/envoy.sock", "/var/run/envoy.sock"),
        ("", ""),
        ("[", "["),
        ("[:", ""),
    ] {
        assert_eq!(without_port(bytes(peer)), address, "{peer}");
    }
}

#[test]
fn waits_for_no_body_of_a_stream() {
    let stream = |method: &str, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(key, value)| entry(key, value)).collect();
        check(HttpRequest { method: bytes(method), headers, ..HttpRequest::default() }).is_stream()
    };
    assert!(stream("CONNECT", &[]));
    assert!(stream("POST", &[("content-type", "Application/gRPC+proto")]));
    assert!(stream("GET", &[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]));
    assert!(!stream("GET", &[("upgrade", "websocket"), ("connection", "keep-alive")]));
    assert!(!stream("POST", &[("upgrade", "x"), ("connection", "upgrade"), ("content-length", "5")]));
    assert!(!stream("POST", &[("content-type", "application/grpc"), ("content-length", "5")]));
    assert!(!stream("POST", &[("content-type", "application/json")]));
}
