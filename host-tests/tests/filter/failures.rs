//! Every way in which there is no verdict, failing open and failing closed.

use portcullis_host_tests::{Did, HeaderPause, Reply, Request, Settings, StreamId, Vm};
use portcullis_protocol::http;

use super::{PASSED, asked, passed, vm};

const CLOSED: &str = r#"{"fail_open": false}"#;

/// What a reply without a verdict looks like, and the reason it is counted under.
fn shapes() -> Vec<(&'static str, Reply)> {
    let typed = ("content-type", http::CONTENT_TYPE);
    let versioned = (http::VERSION_HEADER, http::VERSION);
    let html = Reply::http(200, &[("content-type", "text/html"), versioned]);
    let unversioned = Reply::http(200, &[typed]);
    let other_version = Reply::http(200, &[typed, (http::VERSION_HEADER, "3")]);
    vec![
        ("connect", Reply::local(503, "upstream connect error or disconnect/reset before headers")),
        ("garbled", Reply::local(502, "protocol error")),
        ("timeout", Reply::local(504, "upstream request timeout")),
        ("reset", Reply::broken()),
        ("status", Reply::http(500, &[typed, versioned])),
        ("status", Reply::http(404, &[])),
        ("foreign", html),
        ("foreign", unversioned),
        ("foreign", other_version),
        ("decode", Reply::agent(Vec::new())),
        ("decode", Reply::agent(b"\x81\xabWAFResponse".to_vec())),
        ("decode", Reply::agent(b"{\"WAFResponse\": 200}".to_vec())),
        ("decode", Reply::agent(vec![0x80])),
        ("decode", Reply::agent(vec![0; 70_000])),
        ("not_inspected", Reply::verdict(0)),
        ("not_inspected", Reply::verdict(-2)),
        ("not_inspected", Reply::verdict(299)),
        ("not_inspected", Reply::verdict(600)),
    ]
}

fn failed(reason: &str) -> Vec<(String, i64)> {
    [("requests.total", 1), (&format!("failures.{reason}.total"), 1), ("callout_us", 1)]
        .map(|(name, by): (&str, i64)| (name.to_owned(), by))
        .to_vec()
}

fn expect_metrics(vm: &mut Vm, changes: &[(String, i64)]) {
    let changes: Vec<(&str, i64)> = changes.iter().map(|(name, by)| (name.as_str(), *by)).collect();
    vm.expect_metrics(&changes);
}

fn asking(vm: &mut Vm) -> StreamId {
    let stream = vm.open(&Request::post("/").header("content-length", "1"));
    vm.data(stream, "x", true);
    vm.expect(&[asked()]);
    stream
}

#[test]
fn fails_open_on_every_shape_of_reply() {
    for (reason, reply) in shapes() {
        let mut vm = vm();
        let stream = asking(&mut vm);
        vm.reply(stream, &reply);
        vm.expect(&[Did::Complain, Did::Resume]);
        let app = vm.app(stream);
        assert_eq!(app.body, b"x", "{reason}");
        assert!(app.header("x-sigsci-agentresponse").is_empty(), "{reason} must not look inspected");
        assert!(vm.log().iter().any(|line| line.contains(reason)), "{reason} is not in the log");
        expect_metrics(&mut vm, &failed(reason));
        assert!(vm.app(stream).complete);
    }
}

#[test]
fn fails_closed_on_every_shape_of_reply() {
    for (reason, reply) in shapes() {
        let mut vm = Vm::start(&Settings::with(CLOSED));
        let stream = asking(&mut vm);
        vm.reply(stream, &reply);
        vm.expect(&[Did::Complain, Did::Answer(503)]);
        assert!(vm.app(stream).saw_nothing(), "{reason}");
        expect_metrics(&mut vm, &failed(reason));
    }
}

const REFUSALS: [(u32, &str); 5] =
    [(2, "no_cluster"), (4, "no_cluster"), (10, "unavailable"), (3, "dispatch"), (12, "dispatch")];

#[test]
fn fails_open_on_every_refusal_of_the_proxy() {
    for (status, reason) in REFUSALS {
        let mut vm = vm();
        vm.refuse_calls(status);
        let get = vm.open(&Request::get("/"));
        assert!(vm.app(get).complete);
        let post = vm.open(&Request::post("/"));
        vm.data(post, "a", false);
        assert!(vm.app(post).saw_nothing());
        vm.data(post, "b", true);
        assert_eq!(vm.app(post).body, b"ab");
        let trailed = vm.open(&Request::post("/"));
        vm.data(trailed, "a", false);
        vm.trailers(trailed, &[]);
        assert!(vm.app(trailed).complete);
        // Three requests in one moment are one line.
        vm.expect(&[Did::Complain]);
        vm.expect_metrics(&[("requests.total", 3), (&format!("failures.{reason}.total"), 3)]);
    }
}

#[test]
fn fails_closed_on_every_refusal_of_the_proxy() {
    for (status, reason) in REFUSALS {
        let mut vm = Vm::start(&Settings::with(r#"{"fail_open": false, "fail_status": 500}"#));
        vm.refuse_calls(status);
        let get = vm.open(&Request::get("/"));
        vm.expect(&[Did::Complain, Did::Answer(500)]);
        let post = vm.open(&Request::post("/"));
        vm.data(post, "a", true);
        vm.expect(&[Did::Answer(500)]);
        assert!(vm.app(get).saw_nothing() && vm.app(post).saw_nothing());
        vm.expect_metrics(&[("requests.total", 2), (&format!("failures.{reason}.total"), 2)]);
    }
}

#[test]
fn names_the_cluster_it_is_told_to() {
    let mut vm = Vm::start(&Settings::with(r#"{"agent_cluster": "elsewhere"}"#));
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[Did::Complain]);
    assert!(vm.app(stream).complete);
    vm.expect_metrics(&[("requests.total", 1), ("failures.no_cluster.total", 1)]);
}

#[test]
fn fails_in_mode_after_at_either_question() {
    let after = |closed: &str| {
        let configuration = format!(r#"{{"body": {{"mode": "after"}}{closed}}}"#).into_bytes();
        let header_pause = HeaderPause::StopAll;
        Vm::start(&Settings { configuration, header_pause, ..Settings::default() })
    };
    let mut vm = after("");
    let first = vm.open(&Request::post("/"));
    vm.reply(first, &Reply::broken());
    vm.data(first, "x", true);
    vm.expect(&[asked(), Did::Complain, Did::Resume]);
    assert!(vm.app(first).complete);
    let second = vm.open(&Request::post("/"));
    vm.reply(second, &Reply::verdict(200));
    vm.data(second, "x", true);
    vm.reply(second, &Reply::broken());
    vm.expect(&[&[asked()], &passed()[..], &[asked(), Did::Resume]].concat());
    assert!(vm.app(second).complete);
    vm.expect_metrics(&[("requests.total", 2), ("failures.reset.total", 2), ("callout_us", 3)]);
    let mut vm = after(r#", "fail_open": false"#);
    let stream = vm.open(&Request::post("/"));
    vm.reply(stream, &Reply::verdict(200));
    vm.data(stream, "x", true);
    vm.reply(stream, &Reply::broken());
    vm.expect(&[&[asked()], &passed()[..], &[asked(), Did::Complain, Did::Answer(503)]].concat());
    assert!(vm.app(stream).saw_headers_only());
    vm.expect_metrics(&[("requests.total", 1), ("failures.reset.total", 1), ("callout_us", 2)]);
}

#[test]
fn survives_a_client_that_goes_away_during_the_call() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.expect_metrics(&[("requests.total", 1), ("inflight", 1)]);
    vm.disconnect(stream);
    vm.expect_metrics(&[("abandoned.total", 1), ("inflight", -1)]);
    // No host should, but one that delivers the reply all the same must not bring the filter down.
    vm.stray_reply(1, &Reply::verdict(406));
    let next = vm.open(&Request::get("/"));
    vm.reply(next, &Reply::verdict(200));
    vm.expect(&[&[asked()], &passed()[..]].concat());
    vm.expect_metrics(&PASSED);
}

#[test]
fn works_again_once_the_agent_does() {
    let mut vm = vm();
    vm.refuse_calls(10);
    vm.open(&Request::get("/"));
    vm.expect(&[Did::Complain]);
    vm.refuse_calls(0);
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    vm.expect_metrics(&[
        ("requests.total", 2),
        ("failures.unavailable.total", 1),
        ("decisions.block.total", 1),
        ("callout_us", 1),
    ]);
}

/// A verdict cut off anywhere is none, and no cut brings the module down.
#[test]
fn takes_no_verdict_from_part_of_a_reply() {
    let whole = Reply::with_headers(406, &[("X-SigSci-Tags", "SQLI")]);
    let mut vm = Vm::start(&Settings::with(r#"{"breaker": {"failures": 0}}"#));
    let bytes = portcullis_protocol::RpcMsgOut {
        waf_response: 406,
        request_headers: vec![("X-SigSci-Tags".into(), "SQLI".into())],
        ..Default::default()
    }
    .encode();
    for end in 0..bytes.len() {
        let stream = vm.open(&Request::get("/"));
        vm.reply(stream, &Reply::agent(bytes[..end].to_vec()));
        assert!(vm.app(stream).complete, "{end}");
        vm.pass(std::time::Duration::from_secs(6));
        vm.expect(&[asked(), Did::Complain, Did::Resume]);
    }
    let stream = vm.open(&Request::get("/"));
    vm.reply(stream, &whole);
    vm.expect(&[asked(), Did::Answer(406)]);
    let cuts = i64::try_from(bytes.len()).unwrap();
    vm.expect_metrics(&[
        ("requests.total", cuts + 1),
        ("failures.decode.total", cuts),
        ("decisions.block.total", 1),
        ("callout_us", cuts + 1),
    ]);
}
