//! The response's headers on their way out.

use portcullis_host_tests::{Did, Reply, Request, Response, StreamId, Vm};
use portcullis_protocol::{RespAction, RpcMsgIn2, RpcMsgOut};

use super::{PASSED, asked, vm};

fn allowed(vm: &mut Vm, message: &RpcMsgOut<'_>) -> StreamId {
    let stream = vm.open(&Request::get("/"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::message(&RpcMsgOut { waf_response: 200, ..message.clone() }));
    vm.forget_deeds();
    stream
}

fn delete(name: &'static str) -> RespAction<'static> {
    RespAction { code: 4, args: vec![name.into()] }
}

#[test]
fn headers_are_edited_as_the_verdict_says() {
    let mut vm = vm();
    let resp_actions =
        vec![delete("X-Powered-By"), RespAction { code: 2, args: vec!["Server".into(), "x".into()] }];
    let stream = allowed(&mut vm, &RpcMsgOut { resp_actions, ..RpcMsgOut::default() });
    vm.respond(stream, &Response::status(200).header("server", "app/1").header("x-powered-by", "app"));
    vm.expect(&[Did::remove("x-powered-by").of_response(), Did::set("server", "x").of_response()]);
    vm.expect_metrics(&PASSED);
}

#[test]
fn a_response_waits_for_the_agent_where_it_wants_to_see_it() {
    let asking = RpcMsgOut { ask_response: true, request_id: "id".into(), ..RpcMsgOut::default() };
    let mut vm = vm();
    let stream = allowed(&mut vm, &asking);
    vm.respond(stream, &Response::status(200).header("server", "app/1"));
    vm.expect(&[Did::call("/v1/response")]);
    assert!(vm.response_is_held(stream));
    let sent = vm.messages();
    let message = RpcMsgIn2::decode(&sent[0]).unwrap();
    assert_eq!((message.response_code, &*message.request_id), (200, &b"id"[..]));
    vm.reply(
        stream,
        &Reply::message(&RpcMsgOut {
            waf_response: 200,
            resp_actions: vec![delete("server")],
            ..RpcMsgOut::default()
        }),
    );
    vm.expect(&[Did::remove("server").of_response(), Did::ResumeResponse]);

    let stream = allowed(&mut vm, &asking);
    vm.respond(stream, &Response::status(500));
    vm.reply(stream, &Reply::verdict(503));
    vm.expect(&[Did::call("/v1/response"), Did::Answer(503)]);

    let stream = allowed(&mut vm, &asking);
    vm.respond(stream, &Response::status(200));
    vm.reply(stream, &Reply::broken());
    vm.expect(&[Did::call("/v1/response"), Did::Complain, Did::ResumeResponse]);
    vm.forget();
}
