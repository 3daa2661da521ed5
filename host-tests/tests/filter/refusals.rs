//! A proxy that refuses, at any of its functions and with any status: the filter never crashes, since a crash takes down
//! the VM and leaves every stream hanging that waits in it.

use portcullis_host_tests::{Reply, Request, Settings, Vm};
use portcullis_protocol::LocalFacts;

/// Statuses that hosts give, and one that none does.
const STATUSES: [u32; 5] = [1, 2, 10, 12, 999];

const MODES: [&str; 3] = [
    r#"{"fail_open": FAIL}"#,
    r#"{"fail_open": FAIL, "body": {"mode": "after"}}"#,
    r#"{"fail_open": FAIL, "mode": "local-first"}"#,
];

const ATTACK: &str = "/?id=1'+OR+'1'='1";

/// Calls `check` with a started VM for each function, status and mode.
fn each(fail_open: bool, mut check: impl FnMut(&mut Vm, &str)) {
    let functions = Vm::functions();
    assert!(functions.len() > 20, "{functions:?}");
    for function in &functions {
        for status in STATUSES {
            for mode in MODES {
                let settings = Settings {
                    broken: Some((function.clone(), status)),
                    ..Settings::with(&mode.replace("FAIL", &fail_open.to_string()))
                };
                let mut vm = Vm::start_unasked(&settings);
                vm.forget();
                // What it asks the agent for by itself: facts.
                if !vm.messages().is_empty() {
                    let facts = LocalFacts {
                        version: 7,
                        engine: env!("CARGO_PKG_VERSION").into(),
                        ..LocalFacts::default()
                    };
                    vm.reply_to_report(&Reply::agent(facts.encode()));
                }
                vm.forget();
                check(&mut vm, function);
                vm.forget();
            }
        }
    }
}

fn browser(path: &str) -> Request {
    Request::get(path).header("user-agent", "Mozilla/5.0")
}

#[test]
fn no_request_hangs_and_nothing_crashes() {
    each(true, |vm, function| {
        for (request, body, code) in [
            (browser("/shop"), None, 200),
            (browser(ATTACK), None, 406),
            (browser("/form").method("POST").body(), Some("name=bob"), 200),
            (browser("/form").method("POST").body(), Some("id=1'+OR+'1'='1"), 406),
        ] {
            let stream = vm.open(&request);
            // In mode `after` there may be two questions.
            let answer = |vm: &mut Vm| {
                if vm.pending(stream) {
                    vm.reply(stream, &Reply::verdict(code));
                }
            };
            answer(vm);
            if let Some(body) = body {
                vm.data(stream, body, true);
                answer(vm);
            }
            // Where the proxy does not let go of a stream, or cannot be told which one, nobody can help.
            let helpless = matches!(function, "proxy_continue_stream" | "proxy_set_effective_context");
            let settled = vm.app(stream).complete || vm.is_over(stream);
            assert!(settled || helpless, "{function}: a request hangs");
            vm.finish(stream);
        }
    });
}

#[test]
fn with_fail_open_off_no_blocked_request_reaches_the_application() {
    each(false, |vm, function| {
        // Without it there is no configuration that could say so.
        if function == "proxy_get_buffer_bytes" {
            return;
        }
        let stream = vm.open(&browser(ATTACK));
        if vm.pending(stream) {
            vm.reply(stream, &Reply::verdict(406));
        }
        assert!(vm.app(stream).saw_nothing(), "{function}: the application saw it");
        vm.finish(stream);
    });
}
