//! Bodies where the host can hold a request's headers: the application sees nothing before the verdict.

use portcullis_host_tests::{Did, HeaderPause, Reply, Request, Settings, StreamId, Vm};

use super::{BLOCKED, PASSED, asked, body_sent, passed, vm};

/// The application has seen nothing; then the agent allows and it has all of it.
fn pass(vm: &mut Vm, stream: StreamId, body: &[u8]) {
    vm.expect(&[asked()]);
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    let app = vm.app(stream);
    assert_eq!((app.body.as_slice(), app.complete), (body, true));
    assert_eq!(app.header("x-sigsci-agentresponse"), [b"200"]);
}

#[test]
fn takes_a_body_whose_end_is_a_call_of_its_own() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/").header("content-length", "5"));
    vm.http1_body(stream, "a=bcd");
    assert_eq!(body_sent(&vm), (b"a=bcd".to_vec(), Some(5), false));
    pass(&mut vm, stream, b"a=bcd");
    vm.expect_metrics(&PASSED);
}

#[test]
fn takes_a_chunked_body() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, "a=", false);
    vm.data(stream, "bcd", false);
    vm.expect(&[]);
    vm.data(stream, "", true);
    assert_eq!(body_sent(&vm), (b"a=bcd".to_vec(), Some(5), false));
    pass(&mut vm, stream, b"a=bcd");
    vm.expect_metrics(&PASSED);
}

#[test]
fn takes_a_body_whose_last_part_says_so() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, "a=", false);
    vm.data(stream, "bcd", true);
    assert_eq!(body_sent(&vm), (b"a=bcd".to_vec(), Some(5), false));
    pass(&mut vm, stream, b"a=bcd");
    vm.expect_metrics(&PASSED);
}

#[test]
fn takes_an_empty_body() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, "", true);
    assert_eq!(body_sent(&vm), (Vec::new(), Some(0), false));
    pass(&mut vm, stream, b"");
    vm.expect_metrics(&PASSED);
}

#[test]
fn takes_a_body_that_trailers_end() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, "a=bcd", false);
    vm.expect(&[]);
    vm.trailers(stream, &[("checksum", "1")]);
    assert_eq!(body_sent(&vm), (b"a=bcd".to_vec(), Some(5), false));
    pass(&mut vm, stream, b"a=bcd");
    assert_eq!(vm.app(stream).trailers, Some(vec![(b"checksum".to_vec(), b"1".to_vec())]));
    vm.expect_metrics(&PASSED);
}

#[test]
fn holds_trailers_while_deciding() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/").header("content-length", "1"));
    vm.data(stream, "x", false);
    vm.trailers(stream, &[("t", "1")]);
    pass(&mut vm, stream, b"x");
    assert!(vm.app(stream).trailers.is_some());
    vm.expect_metrics(&PASSED);
}

#[test]
fn lets_trailers_through_after_the_verdict() {
    let mut vm = Vm::start(&Settings::with(r#"{"body": {"max_bytes": 1}}"#));
    let stream = vm.open(&Request::post("/").header("content-length", "2"));
    vm.data(stream, "xy", false);
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    vm.trailers(stream, &[("t", "1"), ("x_sigsci_tags", "SQLI")]);
    assert_eq!(vm.app(stream).trailers, Some(vec![(b"t".to_vec(), b"1".to_vec())]));
    assert!(vm.app(stream).complete);
    let rest = [("body.truncated.total", 1), ("forged_headers.total", 1)];
    vm.expect_metrics(&[&PASSED[..], &rest].concat());
}

#[test]
fn keeps_bytes_of_any_value() {
    let mut vm = vm();
    let body: Vec<u8> = (0..=255).collect();
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, &body, true);
    assert_eq!(body_sent(&vm).0, body);
    pass(&mut vm, stream, &body);
    vm.expect_metrics(&PASSED);
}

/// Ten megabytes, as far as the proxy takes them at each point.
#[test]
fn passes_a_large_upload_of_which_it_shows_the_beginning() {
    let settings = Settings { buffer_limit: 32 * 1024, ..Settings::default() };
    let mut vm = Vm::start(&settings);
    let part = vec![b'x'; 10_000];
    let stream = vm.open(&Request::post("/").header("content-length", "10000000"));
    vm.data(stream, &part, false);
    vm.expect(&[]);
    vm.data(stream, &part, false);
    vm.expect(&[asked()]);
    assert_eq!(body_sent(&vm), (vec![b'x'; 16 * 1024], Some(10_000_000), true));
    // Deciding, the proxy is told to slow the client down; told to collect, it would answer 413 here.
    vm.data(stream, &part, false);
    assert!(!vm.is_slowed_down(stream));
    vm.data(stream, &part, false);
    assert!(vm.is_slowed_down(stream));
    assert_eq!(vm.answer(stream), None);
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert!(!vm.is_slowed_down(stream));
    for sent in 5..=1000 {
        vm.data(stream, &part, sent == 1000);
    }
    let app = vm.app(stream);
    assert_eq!((app.body.len(), app.complete), (10_000_000, true));
    vm.expect(&[]);
    vm.expect_metrics(&[&PASSED[..], &[("body.truncated.total", 1)]].concat());
}

/// A client that starts slowly and then sends as fast as it can: the second part alone overflows the buffer.
#[test]
fn passes_a_burst_that_comes_while_it_collects() {
    let settings = Settings { buffer_limit: 32 * 1024, ..Settings::default() };
    for start in [1, 10_000, 16_383] {
        let mut vm = Vm::start(&settings);
        let stream = vm.open(&Request::post("/"));
        vm.data(stream, vec![b'x'; start], false);
        vm.expect(&[]);
        vm.data(stream, vec![b'y'; 32 * 1024], false);
        assert_eq!(vm.answer(stream), None);
        assert!(vm.is_slowed_down(stream));
        let sent = body_sent(&vm).0;
        assert_eq!(sent, [vec![b'x'; start], vec![b'y'; 16_384 - start]].concat());
        vm.expect(&[asked()]);
        vm.reply(stream, &Reply::verdict(200));
        vm.expect(&passed());
        vm.data(stream, "z", true);
        assert_eq!(vm.app(stream).body.len(), start + 32 * 1024 + 1);
        vm.expect_metrics(&[&PASSED[..], &[("body.truncated.total", 1)]].concat());
    }
}

#[test]
fn shows_a_long_beginning_where_the_buffer_is_large() {
    let mut vm = Vm::start(&Settings::with(r#"{"body": {"max_bytes": 100000}}"#));
    let body: Vec<u8> = (0..=255).cycle().take(120_000).collect();
    let stream = vm.open(&Request::post("/"));
    for part in body.chunks(7_000) {
        vm.data(stream, part, false);
    }
    vm.data(stream, "", true);
    assert_eq!(body_sent(&vm), (body[..100_000].to_vec(), None, true));
    pass(&mut vm, stream, &body);
    vm.expect_metrics(&[&PASSED[..], &[("body.truncated.total", 1)]].concat());
}

#[test]
fn shows_the_whole_of_a_body_of_many_parts() {
    let mut vm = Vm::start(&Settings::with(r#"{"body": {"max_bytes": 100000}}"#));
    let body: Vec<u8> = (0..=250).cycle().take(90_000).collect();
    let stream = vm.open(&Request::post("/"));
    for part in body.chunks(999) {
        vm.data(stream, part, false);
    }
    vm.trailers(stream, &[]);
    assert_eq!(body_sent(&vm), (body.clone(), Some(90_000), false));
    pass(&mut vm, stream, &body);
    vm.expect_metrics(&PASSED);
}

#[test]
fn blocks_a_large_upload_by_its_beginning() {
    let settings = Settings { buffer_limit: 32 * 1024, ..Settings::default() };
    let mut vm = Vm::start(&settings);
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, vec![b'x'; 20_000], false);
    vm.expect(&[asked()]);
    vm.data(stream, vec![b'x'; 20_000], false);
    vm.reply(stream, &Reply::verdict(406));
    vm.expect(&[Did::Answer(406)]);
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&[&BLOCKED[..], &[("body.truncated.total", 1)]].concat());
}

#[test]
fn leaves_the_proxy_its_413_where_more_is_to_be_shown_than_it_buffers() {
    let configuration = br#"{"body": {"max_bytes": 65536}}"#.to_vec();
    let settings = Settings { configuration, buffer_limit: 32 * 1024, ..Settings::default() };
    let mut vm = Vm::start(&settings);
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, vec![b'x'; 20_000], false);
    vm.data(stream, vec![b'x'; 20_000], false);
    assert_eq!(vm.answer(stream), Some((413, Vec::new())));
    assert!(vm.app(stream).saw_nothing());
    vm.expect_metrics(&[("requests.total", 1)]);
    vm.finish(stream);
    vm.tick();
    vm.expect(&[Did::call("/v1/reports")]);
    vm.expect_metrics(&[("abandoned.total", 1), ("reports.sent.total", 1)]);
}

#[test]
fn shows_as_much_as_it_is_told_to() {
    let mut vm = Vm::start(&Settings::with(r#"{"body": {"max_bytes": 4}}"#));
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, "abcdef", true);
    assert_eq!(body_sent(&vm), (b"abcd".to_vec(), Some(6), true));
    pass(&mut vm, stream, b"abcdef");
    vm.expect_metrics(&[&PASSED[..], &[("body.truncated.total", 1)]].concat());
    let exact = vm.open(&Request::post("/"));
    vm.data(exact, "abcd", true);
    assert_eq!(body_sent(&vm), (b"abcd".to_vec(), Some(4), false));
    pass(&mut vm, exact, b"abcd");
    vm.expect_metrics(&PASSED);
}

#[test]
fn asks_at_the_headers_where_bodies_are_not_inspected() {
    for header_pause in [HeaderPause::ShowBody, HeaderPause::StopAll] {
        let configuration = br#"{"body": {"mode": "none"}}"#.to_vec();
        let mut vm = Vm::start(&Settings { configuration, header_pause, ..Settings::default() });
        let stream = vm.open(&Request::post("/").header("content-length", "6"));
        assert_eq!(body_sent(&vm), (Vec::new(), Some(6), true));
        vm.data(stream, "abc", false);
        pass_open(&mut vm, stream);
        vm.data(stream, "def", true);
        let app = vm.app(stream);
        assert_eq!((app.body.as_slice(), app.complete), (&b"abcdef"[..], true));
        vm.expect_metrics(&[&PASSED[..], &[("body.unseen.total", 1)]].concat());
    }
}

fn pass_open(vm: &mut Vm, stream: StreamId) {
    vm.expect(&[asked()]);
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
}

#[test]
fn counts_a_client_that_goes_away_in_its_body() {
    let mut vm = vm();
    let stream = vm.open(&Request::post("/"));
    vm.data(stream, "abc", false);
    vm.disconnect(stream);
    vm.expect(&[]);
    vm.expect_metrics(&[("requests.total", 1), ("abandoned.total", 1)]);
}
