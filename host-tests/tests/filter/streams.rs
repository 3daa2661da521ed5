//! Requests that open a stream: their frames flow both ways, so nothing is collected.

use portcullis_host_tests::{Did, HeaderPause, Reply, Request, Settings, Vm};

use super::{BLOCKED, PASSED, asked, body_sent, passed};

fn streams() -> [Request; 4] {
    [
        Request::post("/ws").method("GET").header("upgrade", "websocket").header("connection", "Upgrade"),
        Request::post("/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .header("te", "trailers"),
        Request::post("/pkg.Service/Method").header("content-type", "application/grpc-web+proto"),
        Request::post("").method("CONNECT"),
    ]
}

#[test]
fn asks_by_headers_and_lets_frames_flow() {
    for header_pause in [HeaderPause::ShowBody, HeaderPause::StopAll] {
        for configuration in ["{}", r#"{"body": {"mode": "after"}}"#] {
            for request in streams() {
                let configuration = configuration.as_bytes().to_vec();
                let mut vm = Vm::start(&Settings { configuration, header_pause, ..Settings::default() });
                let stream = vm.open(&request);
                vm.expect(&[asked()]);
                assert_eq!(body_sent(&vm), (Vec::new(), None, true));
                vm.data(stream, "early", false);
                assert!(vm.app(stream).saw_nothing());
                vm.reply(stream, &Reply::verdict(200));
                vm.expect(&passed());
                for _ in 0..100 {
                    vm.data(stream, "frame", false);
                }
                assert_eq!(vm.app(stream).body.len(), 505);
                vm.trailers(stream, &[("t", "1")]);
                assert!(vm.app(stream).complete);
                vm.expect(&[]);
                vm.expect_metrics(&[&PASSED[..], &[("body.unseen.total", 1)]].concat());
            }
        }
    }
}

#[test]
fn blocks_a_handshake() {
    for request in streams() {
        let mut vm = super::vm();
        let stream = vm.open(&request);
        vm.expect(&[asked()]);
        vm.reply(stream, &Reply::verdict(406));
        vm.expect(&[Did::Answer(406)]);
        vm.data(stream, "frame", false);
        assert!(vm.app(stream).saw_nothing());
        vm.expect_metrics(&[&BLOCKED[..], &[("body.unseen.total", 1)]].concat());
    }
}

/// Each of these claims to be a stream and is a request with a body.
#[test]
fn is_not_fooled_by_half_a_handshake() {
    let form = || Request::post("/").header("content-type", "application/x-www-form-urlencoded");
    let requests = [
        form().header("upgrade", "websocket"),
        form().header("connection", "upgrade"),
        form().header("upgrade", "h2c").header("connection", "Upgrade").header("content-length", "8"),
        Request::post("/").header("content-type", "text/plain; application/grpc"),
    ];
    for request in requests {
        let mut vm = super::vm();
        let stream = vm.open(&request);
        vm.expect(&[]);
        vm.data(stream, "q=attack", true);
        vm.expect(&[asked()]);
        assert_eq!(body_sent(&vm).0, b"q=attack");
        vm.reply(stream, &Reply::verdict(406));
        vm.expect(&[Did::Answer(406)]);
        assert!(vm.app(stream).saw_nothing());
        vm.expect_metrics(&BLOCKED);
    }
}

#[test]
fn waits_for_no_body_of_an_event_stream() {
    let mut vm = super::vm();
    let stream = vm.open(&Request::get("/events").header("accept", "text/event-stream"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert!(vm.app(stream).complete);
    vm.expect_metrics(&PASSED);
}
