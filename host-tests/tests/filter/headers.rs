//! What the agent is told, and what the application is given.

use portcullis_host_tests::{Did, Reply, Request, Settings, Vm};
use portcullis_protocol::RpcMsgIn;

use super::{PASSED, asked, passed, vm};

#[test]
fn tells_the_agent_bytes_in_order() {
    let mut vm = vm();
    let request = Request::get("/caf\u{e9}?a=%ff")
        .header("x-b", b"\xff\xfe")
        .header("x-a", "1")
        .header("x-b", "")
        .property(&["request", "protocol"], b"HTTP/1.1")
        .property(&["connection", "tls_version"], b"TLSv1.3")
        .property(&["connection", "requested_server_name"], b"shop.example")
        .property(&["connection", "mtls"], &[1])
        .property(&["xds", "route_name"], b"front")
        .property(&["xds", "virtual_host_name"], b"shop");
    let stream = vm.open(&request);
    let sent = vm.messages();
    let message = RpcMsgIn::decode(&sent[0]).unwrap();
    assert_eq!(*message.uri, *"/caf\u{e9}?a=%ff".as_bytes());
    let pairs: Vec<(&[u8], &[u8])> = message.headers_in.iter().map(|(n, v)| (&**n, &**v)).collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"Host", b"shop.example"), (b"x-b", b"\xff\xfe"), (b"x-a", b"1"), (b"x-b", b"")];
    assert_eq!(pairs, expected);
    assert_eq!((&*message.method, &*message.scheme), (&b"GET"[..], &b"http"[..]));
    assert_eq!((&*message.server_name, &*message.remote_addr), (&b"shop.example"[..], &b"192.0.2.7"[..]));
    assert_eq!((&*message.protocol, &*message.tls_protocol), (&b"HTTP/1.1"[..], &b"TLSv1.3"[..]));
    assert_eq!((&*message.sni, message.mtls), (&b"shop.example"[..], true));
    assert_eq!((&*message.route_name, &*message.virtual_host), (&b"front"[..], &b"shop"[..]));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert_eq!(vm.app(stream).header("x-b"), [&b"\xff\xfe"[..], b""]);
    vm.expect_metrics(&PASSED);
}

#[test]
fn tells_fingerprints_where_they_are_set_up() {
    let configuration = r#"{"fingerprints": {"ja3": "tls.ja3", "ja4": "tls.ja4", "cipher": "tls.cipher"}}"#;
    let mut vm = Vm::start(&Settings::with(configuration));
    let request = Request::get("/")
        .property(&["connection", "tls_version"], b"TLSv1.2")
        .property(&["filter_state", "tls.ja3"], b"j3")
        .property(&["filter_state", "tls.cipher"], b"ECDHE");
    let stream = vm.open(&request);
    let sent = vm.messages();
    let message = RpcMsgIn::decode(&sent[0]).unwrap();
    assert_eq!((&*message.ja3, &*message.ja4), (&b"j3"[..], &b""[..]));
    assert_eq!(&*message.tls_cipher, b"ECDHE");
    vm.expect(&[asked()]);
    vm.disconnect(stream);
    vm.expect_metrics(&[("requests.total", 1), ("abandoned.total", 1)]);
}

#[test]
fn gives_the_application_the_agents_headers() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/").header("x-score", "client"));
    vm.expect(&[asked()]);
    let pairs = [("X-SigSci-Tags", "SQLI,XSS"), ("X-Score", "5")];
    vm.reply(stream, &Reply::with_headers(200, &pairs));
    let expected = [
        Did::set("x-sigsci-agentresponse", "200"),
        Did::set("x-sigsci-tags", "SQLI,XSS"),
        Did::add("x-score", "5"),
        Did::Resume,
    ];
    vm.expect(&expected);
    assert_eq!(vm.app(stream).header("x-sigsci-tags"), [b"SQLI,XSS"]);
    assert_eq!(vm.app(stream).header("x-score"), [&b"client"[..], b"5"]);
    vm.expect_metrics(&PASSED);
}

#[test]
fn lets_no_reply_change_where_or_how_the_request_goes() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    let pairs = [
        (":path", "/admin"),
        ("host", "other"),
        ("content-length", "9"),
        ("transfer-encoding", "chunked"),
        ("x-a", "1\r\nx-b: 2"),
        ("x c", "1"),
        ("x-sigsci-redirect", "/"),
    ];
    vm.reply(stream, &Reply::with_headers(200, &pairs));
    vm.expect(&passed());
    vm.expect_metrics(&PASSED);
}

fn forged() -> Request {
    Request::get("/")
        .header("x-sigsci-tags", "NONE")
        .header("x_sigsci_agentresponse", "200")
        .header("x-sigsci-tags", "TWICE")
        .header("x-sig", "kept")
}

fn removals() -> [Did; 2] {
    [Did::remove("x-sigsci-tags"), Did::remove("x_sigsci_agentresponse")]
}

#[test]
fn takes_forged_headers_away() {
    let mut vm = vm();
    let stream = vm.open(&forged());
    vm.expect(&[&removals()[..], &[asked()]].concat());
    let sent = vm.messages();
    let shown = RpcMsgIn::decode(&sent[0]).unwrap().headers_in.len();
    assert_eq!(shown, 5, "the agent sees what the client tried");
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert_eq!(vm.app(stream).header("x-sigsci-tags"), Vec::<&[u8]>::new());
    assert_eq!(vm.app(stream).header("x_sigsci_agentresponse"), Vec::<&[u8]>::new());
    assert_eq!(vm.app(stream).header("x-sig"), [b"kept"]);
    vm.expect_metrics(&[&PASSED[..], &[("forged_headers.total", 1)]].concat());
}

#[test]
fn takes_forged_headers_away_from_requests_that_bypass_the_agent() {
    let mut vm = vm();
    vm.refuse_calls(10);
    let stream = vm.open(&forged());
    vm.expect(&[&removals()[..], &[Did::Complain]].concat());
    assert_eq!(vm.app(stream).header("x-sigsci-tags"), Vec::<&[u8]>::new());
    assert!(vm.app(stream).complete);
    vm.expect_metrics(&[
        ("requests.total", 1),
        ("failures.unavailable.total", 1),
        ("forged_headers.total", 1),
    ]);
}
