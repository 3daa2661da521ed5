//! What the agent decides happens.

use portcullis_host_tests::{Did, Reply, ReplyContext, Request, Settings, Vm};
use portcullis_protocol::{RpcMsgIn, RpcMsgOut};

use super::{BLOCKED, PASSED, asked, finish_quietly, passed, vm};

#[test]
fn allows() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/a?b=c"));
    vm.expect(&[asked()]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&[("requests.total", 1), ("inflight", 1)]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    let app = vm.app(stream);
    assert!(app.complete);
    assert_eq!(app.header(":path"), [b"/a?b=c"]);
    assert_eq!(app.header("x-sigsci-agentresponse"), [b"200"]);
    finish_quietly(&mut vm, stream);
    vm.expect_metrics(&[("decisions.allow.total", 1), ("inflight", -1), ("callout_us", 1)]);
}

#[test]
fn blocks_by_headers() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/?q=attack"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    assert!(vm.app(stream).saw_nothing());
    let (status, body) = vm.answer(stream).unwrap();
    assert_eq!((status, body.len() < 64), (406, true));
    vm.expect_metrics(&BLOCKED);
}

#[test]
fn blocks_by_body() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/form"));
    vm.expect(&[]);
    vm.data(stream, "q=attack", true);
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(403));
    vm.expect(&[Did::Answer(403)]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&BLOCKED);
}

#[test]
fn ignores_what_comes_after_a_block() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/form"));
    vm.data(stream, "x".repeat(20_000), false);
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    vm.data(stream, "y", true);
    vm.trailers(stream, &[("t", "1")]);
    vm.stray_reply(1, &Reply::verdict(200));
    vm.expect(&[]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&[&BLOCKED[..], &[("body.truncated.total", 1)]].concat());
}

#[test]
fn redirects() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::with_headers(302, &[("X-Sigsci-Redirect", "/sorry?a=b")]));
    vm.expect(&[Did::Redirect(302, "/sorry?a=b".to_owned())]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&[("requests.total", 1), ("decisions.redirect.total", 1), ("callout_us", 1)]);
}

#[test]
fn answers_a_bare_3xx_where_there_is_no_place_to_go() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(301));
    vm.expect(&[Did::Answer(301)]);
    vm.expect_metrics(&BLOCKED);
}

#[test]
fn lets_no_cache_keep_a_refusal() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(404));
    vm.expect(&[Did::Answer(404)]);
    let headers = vm.answer_headers(stream);
    assert!(headers.contains(&(b"cache-control".to_vec(), b"no-store".to_vec())));
    assert!(headers.contains(&(b"content-type".to_vec(), b"text/plain".to_vec())));
    vm.expect_metrics(&BLOCKED);
}

#[test]
fn takes_replies_whosever_callback_the_host_makes_them() {
    let settings = Settings { reply_context: ReplyContext::Plugin, ..Settings::default() };
    let mut vm = Vm::start(&settings);
    let first = vm.open(&Request::get("/1"));
    let second = vm.open(&Request::get("/2"));
    vm.expect(&[asked(), asked()]);
    vm.reply(second, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    vm.reply(first, &Reply::verdict(200));
    vm.expect(&passed());
    assert!(vm.app(second).saw_nothing());
    assert!(vm.app(first).complete);
    vm.expect_metrics(&[
        ("requests.total", 2),
        ("decisions.allow.total", 1),
        ("decisions.block.total", 1),
        ("callout_us", 2),
    ]);
}

#[test]
fn keeps_many_requests_apart() {
    let mut vm = vm();
    let streams: Vec<_> = (0..200).map(|index| vm.open(&Request::get(&format!("/{index}")))).collect();
    vm.expect(&vec![asked(); 200]);
    for (index, message) in vm.messages().iter().enumerate() {
        let uri = format!("/{index}").into_bytes();
        assert_eq!(RpcMsgIn::decode(message).unwrap().uri.to_vec(), uri);
    }
    for (index, stream) in streams.iter().enumerate().rev() {
        let code = if index % 2 == 0 { 200 } else { 406 };
        vm.reply(*stream, &Reply::verdict(code));
        assert_eq!(vm.app(*stream).complete, code == 200, "{index}");
        let expected = if code == 200 { passed().to_vec() } else { vec![Did::Answer(406)] };
        vm.expect(&expected);
    }
    vm.expect_metrics(&[
        ("requests.total", 200),
        ("decisions.allow.total", 100),
        ("decisions.block.total", 100),
        ("callout_us", 200),
    ]);
}

#[test]
fn measures_nothing_by_a_clock_of_its_own() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    let message = RpcMsgIn::decode(&vm.messages()[0]).map(|it| (it.timestamp, it.now_millis)).unwrap();
    assert_eq!(message, (1_800_000_000, 1_800_000_000_000));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::message(&RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() }));
    vm.expect(&passed());
    vm.expect_metrics(&PASSED);
}

fn page(body: &[u8]) -> RpcMsgOut<'_> {
    RpcMsgOut {
        waf_response: 403,
        page: body.into(),
        page_type: "text/html; charset=utf-8".into(),
        page_headers: vec![("X-Page".into(), "1".into()), ("content-length".into(), "7".into())],
        ..RpcMsgOut::default()
    }
}

#[test]
fn shows_the_agents_page_where_the_answer_holds_one() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::message(&page(b"<p>one moment</p>")));
    vm.expect(&[Did::Answer(403)]);
    assert!(vm.app(stream).saw_nothing());
    assert_eq!(vm.answer(stream), Some((403, b"<p>one moment</p>".to_vec())));
    let given = [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        // None that frames the message: that is the proxy's business.
        ("x-page", "1"),
    ];
    let given = given.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    assert_eq!(vm.answer_headers(stream), given);
    vm.expect_metrics(&BLOCKED);
}

#[test]
fn shows_its_own_text_to_callers_of_grpc_and_where_a_page_is_too_long() {
    let long = vec![b'x'; portcullis_protocol::http::MAX_PAGE + 1];
    let grpc = Request::post("/shop.Cart/Add").header("content-type", "application/grpc");
    for (request, body) in [(grpc, &b"<p>one moment</p>"[..]), (Request::get("/"), &long)] {
        let mut vm = vm();
        let stream = vm.open(&request);
        vm.expect(&[asked()]);
        vm.reply(stream, &Reply::message(&page(body)));
        vm.expect(&[Did::Answer(403)]);
        assert_eq!(vm.answer(stream), Some((403, b"request refused\n".to_vec())));
        vm.forget();
    }
}

#[test]
fn takes_an_older_agents_answer_for_what_it_is() {
    let mut vm = vm();
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::message_in("1", &RpcMsgOut { waf_response: 403, ..RpcMsgOut::default() }));
    vm.expect(&[Did::Answer(403)]);
    assert_eq!(vm.answer(stream), Some((403, b"request refused\n".to_vec())));
    vm.expect_metrics(&BLOCKED);
}
