//! What the agent hears of responses.

use std::time::Duration;

use portcullis_host_tests::{Did, Reply, Request, Response, Settings, StreamId, Vm};
use portcullis_protocol::{ReportBatch, RpcMsgIn, RpcMsgIn2, RpcMsgOut};

use super::{PASSED, asked, passed, vm};

fn with_id(code: i32) -> Reply {
    let id = "0123456789abcdef01234567";
    Reply::message(&RpcMsgOut { waf_response: code, request_id: id.into(), ..RpcMsgOut::default() })
}

fn allowed(vm: &mut Vm, path: &str) -> StreamId {
    let stream = vm.open(&Request::get(path).header("x-a", "1"));
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&[&[asked()], &passed()[..]].concat());
    vm.expect_metrics(&PASSED);
    stream
}

fn batch() -> Did {
    Did::call("/v1/reports")
}

/// Kind and message of each report in the oldest batch.
fn reports(vm: &Vm) -> Vec<(String, Vec<u8>)> {
    let messages = vm.messages();
    let batch = ReportBatch::decode(&messages[0]).unwrap();
    let text = |kind: &[u8]| String::from_utf8_lossy(kind).into_owned();
    batch.reports.iter().map(|(kind, report)| (text(kind), report.to_vec())).collect()
}

fn only_report(vm: &Vm, kind: &str) -> Vec<u8> {
    let mut reports = reports(vm);
    assert_eq!((reports.len(), reports[0].0.as_str()), (1, kind));
    reports.remove(0).1
}

#[test]
fn reports_every_response_of_a_request_with_an_id() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.reply(stream, &with_id(200));
    vm.expect(&[
        asked(),
        Did::set("x-sigsci-agentresponse", "200"),
        Did::set("x-sigsci-requestid", "0123456789abcdef01234567"),
        Did::Resume,
    ]);
    vm.pass(Duration::from_millis(30));
    vm.respond(stream, &Response::status(200).header("server", "app").size(77));
    vm.expect(&[]);
    vm.tick();
    vm.expect(&[batch()]);
    let sent = only_report(&vm, ReportBatch::UPDATE);
    let report = RpcMsgIn2::decode(&sent).unwrap();
    assert_eq!(&*report.request_id, b"0123456789abcdef01234567");
    assert_eq!((report.response_code, report.response_size, report.response_millis), (200, 77, 30));
    assert_eq!(report.headers_out, [("server".into(), "app".into())]);
    vm.reply_to_report(&Reply::ack());
    vm.expect_metrics(&[&PASSED[..], &[("reports.sent.total", 1)]].concat());
}

#[test]
fn reports_a_block_with_an_id() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.reply(stream, &with_id(406));
    vm.finish(stream);
    vm.tick();
    vm.expect(&[asked(), Did::Answer(406), batch()]);
    let sent = only_report(&vm, ReportBatch::UPDATE);
    let report = RpcMsgIn2::decode(&sent).unwrap();
    assert_eq!((report.response_code, report.waf_response), (406, Some(406)));
    vm.expect_metrics(&[
        ("requests.total", 1),
        ("decisions.block.total", 1),
        ("callout_us", 1),
        ("reports.sent.total", 1),
    ]);
}

#[test]
fn reports_an_anomaly_with_the_request_as_it_came() {
    let mut vm = vm();
    let stream = allowed(&mut vm, "/missing?a=b");
    vm.respond(
        stream,
        &Response::status(404).header("location", "/2").header("set-cookie", "secret").size(9),
    );
    vm.tick();
    vm.expect(&[batch()]);
    let sent = only_report(&vm, ReportBatch::POST);
    let report = RpcMsgIn::decode(&sent).unwrap();
    assert_eq!((&*report.uri, &*report.method), (&b"/missing?a=b"[..], &b"GET"[..]));
    let pairs = [("Host".into(), "shop.example".into()), ("x-a".into(), "1".into())];
    assert_eq!(report.headers_in, pairs, "without the headers that the agent added");
    assert_eq!((report.waf_response, report.response_code), (Some(200), Some(404)));
    assert_eq!(report.headers_out, [("location".into(), "/2".into())], "only headers of interest");
    vm.expect_metrics(&[("reports.sent.total", 1)]);
}

#[test]
fn takes_slow_and_large_responses_for_anomalies() {
    let mut vm = vm();
    let streams = ["/large", "/slow", "/"].map(|path| allowed(&mut vm, path));
    let [large, slow, ordinary] = streams;
    vm.respond(large, &Response::status(200).size(524_288));
    vm.pass(Duration::from_millis(999));
    vm.respond(ordinary, &Response::status(299).size(524_287));
    vm.pass(Duration::from_millis(1));
    vm.respond(slow, &Response::status(200));
    vm.tick();
    vm.expect(&[batch()]);
    assert_eq!(reports(&vm).len(), 2);
    vm.expect_metrics(&[("reports.sent.total", 2)]);
}

#[test]
fn says_that_there_was_no_verdict() {
    let mut vm = vm();
    vm.refuse_calls(10);
    let stream = vm.open(&Request::get("/"));
    vm.respond(stream, &Response::status(500));
    vm.refuse_calls(0);
    vm.tick();
    vm.expect(&[Did::Complain, batch()]);
    let sent = only_report(&vm, ReportBatch::POST);
    assert_eq!(RpcMsgIn::decode(&sent).unwrap().waf_response, Some(-2));
    vm.expect_metrics(&[("requests.total", 1), ("failures.unavailable.total", 1), ("reports.sent.total", 1)]);
}

#[test]
fn reports_nothing_when_told_so() {
    let mut vm = Vm::start(&Settings::with(r#"{"report": {"enabled": false}}"#));
    let stream = vm.open(&Request::get("/"));
    vm.reply(stream, &with_id(406));
    vm.finish(stream);
    vm.tick();
    vm.expect(&[asked(), Did::Answer(406)]);
    vm.expect_metrics(&super::BLOCKED);
}

#[test]
fn drops_and_counts_reports_that_find_the_queue_full() {
    let mut vm = vm();
    for _ in 0..1030 {
        let stream = vm.open(&Request::get("/"));
        vm.reply(stream, &Reply::verdict(406));
        vm.finish(stream);
        vm.expect(&[asked(), Did::Answer(406)]);
    }
    // No more at once than the circuit breaker can spare; the rest goes as replies come.
    vm.tick();
    vm.expect(&vec![batch(); 8]);
    assert_eq!(reports(&vm).len(), 128);
    let all = [("requests.total", 1030), ("decisions.block.total", 1030), ("callout_us", 1030)];
    let sent = [("reports.dropped.total", 6), ("reports.sent.total", 1024)];
    vm.expect_metrics(&[&all[..], &sent].concat());
    vm.reply_to_report(&Reply::ack());
    vm.reply_to_report(&Reply::local(503, "no"));
    vm.expect_metrics(&[("reports.failed.total", 128)]);
}

#[test]
fn gives_up_reports_that_the_proxy_refuses() {
    let mut vm = vm();
    let stream = allowed(&mut vm, "/");
    vm.respond(stream, &Response::status(404));
    vm.refuse_calls(10);
    vm.tick();
    vm.refuse_calls(0);
    vm.tick();
    vm.expect(&[]);
    vm.expect_metrics(&[("reports.failed.total", 1)]);
}

#[test]
fn takes_every_shape_of_reply_to_a_report() {
    for reply in [Reply::broken(), Reply::local(504, "late"), Reply::http(200, &[]), Reply::http(500, &[])] {
        let mut vm = vm();
        let stream = allowed(&mut vm, "/");
        vm.respond(stream, &Response::status(404));
        vm.tick();
        vm.expect(&[batch()]);
        vm.reply_to_report(&reply);
        vm.expect_metrics(&[("reports.sent.total", 1), ("reports.failed.total", 1)]);
    }
}
