//! Mode `after`, for hosts that cannot hold a request's headers while they show its body.

use portcullis_host_tests::{Did, HeaderPause, Reply, Request, Settings, Vm};
use portcullis_protocol::RpcMsgOut;

use super::{BLOCKED, PASSED, asked, body_sent, passed};

fn vm(header_pause: HeaderPause) -> Vm {
    let configuration = br#"{"body": {"mode": "after"}}"#.to_vec();
    Vm::start(&Settings { configuration, header_pause, buffer_limit: 32 * 1024, ..Settings::default() })
}

const TWO_CALLS: [(&str, i64); 2] = [("requests.total", 1), ("callout_us", 2)];

#[test]
fn judges_headers_before_they_go_and_the_body_after() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/").header("content-length", "5"));
    assert_eq!(body_sent(&vm), (Vec::new(), Some(5), true));
    vm.expect(&[asked()]);
    // Came while all was stopped: shown as soon as the headers have gone.
    vm.http1_body(stream, "a=bcd");
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[&passed()[..], &[asked()]].concat());
    assert!(vm.app(stream).saw_headers_only());
    assert_eq!(body_sent(&vm), (b"a=bcd".to_vec(), Some(5), false));
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[Did::Resume]);
    assert_eq!(vm.app(stream).body, b"a=bcd");
    assert!(vm.app(stream).complete);
    vm.expect_metrics(&[&TWO_CALLS[..], &[("decisions.allow.total", 1)]].concat());
}

#[test]
fn blocks_by_headers_before_anything_goes() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/?q=attack"));
    vm.expect(&[asked()]);
    vm.data(stream, "x", true);
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&BLOCKED);
}

#[test]
fn blocks_by_body_before_any_of_it_goes() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    vm.data(stream, "q=", false);
    vm.data(stream, "attack", true);
    vm.expect(&[asked()]);
    assert_eq!(body_sent(&vm), (b"q=attack".to_vec(), Some(8), false));
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    assert!(vm.app(stream).saw_headers_only());
    vm.expect_metrics(&[&TWO_CALLS[..], &[("decisions.block.total", 1)]].concat());
}

#[test]
fn leaves_headers_that_have_gone_alone() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    vm.data(stream, "x", true);
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::with_headers(200, &[("X-SigSci-Tags", "XSS"), ("x-a", "1")]));
    vm.expect(&[Did::Resume]);
    assert!(vm.app(stream).complete);
    vm.expect_metrics(&[&TWO_CALLS[..], &[("decisions.allow.total", 1)]].concat());
}

#[test]
fn asks_once_where_there_is_no_body() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert!(vm.app(stream).complete);
    vm.expect_metrics(&PASSED);
}

#[test]
fn passes_a_large_upload() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    vm.data(stream, vec![b'x'; 20_000], false);
    vm.expect(&[asked()]);
    vm.data(stream, vec![b'x'; 20_000], false);
    assert!(vm.is_slowed_down(stream));
    assert!(vm.app(stream).saw_headers_only());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[Did::Resume]);
    vm.data(stream, vec![b'x'; 60_000], true);
    assert_eq!(vm.app(stream).body.len(), 100_000);
    let rest = [("decisions.allow.total", 1), ("body.truncated.total", 1)];
    vm.expect_metrics(&[&TWO_CALLS[..], &rest].concat());
}

#[test]
fn ends_a_body_at_its_trailers() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/"));
    vm.expect(&[asked()]);
    vm.data(stream, "abc", false);
    vm.trailers(stream, &[("t", "1"), ("x-sigsci-tags", "SQLI")]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[&passed()[..], &[asked()]].concat());
    assert_eq!(body_sent(&vm), (b"abc".to_vec(), Some(3), false));
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[Did::Resume]);
    assert_eq!(vm.app(stream).trailers, Some(vec![(b"t".to_vec(), b"1".to_vec())]));
    let rest = [("decisions.allow.total", 1), ("forged_headers.total", 1)];
    vm.expect_metrics(&[&TWO_CALLS[..], &rest].concat());
}

/// Such a host shows the body early; nothing of it may slip past.
#[test]
fn is_safe_on_a_host_that_shows_the_body_early() {
    let mut vm = vm(HeaderPause::ShowBody);
    let stream = vm.open(&Request::post("/"));
    vm.expect(&[asked()]);
    vm.data(stream, "q=", false);
    vm.data(stream, "attack", true);
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[Did::set("x-sigsci-agentresponse", "200"), asked()]);
    assert!(vm.app(stream).saw_nothing());
    assert_eq!(body_sent(&vm).0, b"q=attack");
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&[&TWO_CALLS[..], &[("decisions.block.total", 1)]].concat());
}

#[test]
fn goes_on_collecting_on_a_host_that_began_to_show_the_body_early() {
    let mut vm = vm(HeaderPause::ShowBody);
    let stream = vm.open(&Request::post("/"));
    vm.expect(&[asked()]);
    vm.data(stream, "q=", false);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[Did::set("x-sigsci-agentresponse", "200")]);
    vm.data(stream, "ok", true);
    vm.expect(&[asked()]);
    assert_eq!(body_sent(&vm).0, b"q=ok");
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert_eq!(vm.app(stream).body, b"q=ok");
    vm.expect_metrics(&[&TWO_CALLS[..], &[("decisions.allow.total", 1)]].concat());
}

#[test]
fn reports_to_each_id_that_the_agent_gave() {
    let mut vm = vm(HeaderPause::StopAll);
    let stream = vm.open(&Request::post("/"));
    let id = |id: &'static str| {
        Reply::message(&RpcMsgOut { waf_response: 200, request_id: id.into(), ..RpcMsgOut::default() })
    };
    vm.reply(stream, &id("one"));
    vm.data(stream, "x", true);
    vm.reply(stream, &id("two"));
    vm.finish(stream);
    vm.tick();
    vm.expect(&[
        asked(),
        Did::set("x-sigsci-agentresponse", "200"),
        Did::set("x-sigsci-requestid", "one"),
        Did::Resume,
        asked(),
        Did::Resume,
        Did::call("/v1/reports"),
    ]);
    let rest = [("decisions.allow.total", 1), ("reports.sent.total", 2)];
    vm.expect_metrics(&[&TWO_CALLS[..], &rest].concat());
}
