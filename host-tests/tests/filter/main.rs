//! The finished filter.wasm, told by a script what happens.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod after;
mod bodies;
mod configuration;
mod failures;
mod headers;
mod local;
mod refusals;
mod reports;
mod responses;
mod streams;
mod verdicts;

use portcullis_host_tests::{Did, Settings, StreamId, Vm};
use portcullis_protocol::RpcMsgIn;

const PRE_REQUEST: &str = "/v1/pre-request";

/// A proxy as shipped.
fn vm() -> Vm {
    Vm::start(&Settings::default())
}

fn asked() -> Did {
    Did::call(PRE_REQUEST)
}

/// What the filter does with a request that the agent lets through.
fn passed() -> [Did; 2] {
    [Did::set("x-sigsci-agentresponse", "200"), Did::Resume]
}

/// The metrics of one request that the agent let through.
const PASSED: [(&str, i64); 3] = [("requests.total", 1), ("decisions.allow.total", 1), ("callout_us", 1)];

/// The metrics of one request that the agent blocked.
const BLOCKED: [(&str, i64); 3] = [("requests.total", 1), ("decisions.block.total", 1), ("callout_us", 1)];

/// Body, announced total and mark of the one message that the agent has not replied to.
fn body_sent(vm: &Vm) -> (Vec<u8>, Option<i64>, bool) {
    let messages = vm.messages();
    assert_eq!(messages.len(), 1);
    let message = RpcMsgIn::decode(&messages[0]).unwrap();
    (message.post_body.to_vec(), message.body_total, message.body_truncated)
}

/// The stream ends, and nothing is due about it.
fn finish_quietly(vm: &mut Vm, stream: StreamId) {
    vm.finish(stream);
    vm.tick();
}

#[test]
fn forgets_streams_and_calls_that_have_ended() {
    let mut vm = vm();
    let request = portcullis_host_tests::Request::get("/");
    let round = |vm: &mut Vm| {
        for _ in 0..2_000 {
            let stream = vm.open(&request);
            vm.expect(&[asked()]);
            vm.disconnect(stream);
        }
    };
    // Memory grows while the allocator finds its size; it must not grow with the number of streams.
    round(&mut vm);
    let before = vm.memory_size();
    round(&mut vm);
    round(&mut vm);
    assert_eq!(vm.memory_size(), before);
    vm.expect_metrics(&[("requests.total", 6_000), ("abandoned.total", 6_000)]);
}
