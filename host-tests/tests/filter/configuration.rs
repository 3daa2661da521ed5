//! Configurations, good and bad: the plugin takes them all, since a proxy would not start otherwise.

use portcullis_host_tests::{Did, Reply, Request, Response, Settings, Vm};

use super::{PASSED, asked, passed};

#[test]
fn starts_with_any_configuration() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let cases: [(&[u8], i64); 8] = [
        (b"", 0),
        (b"{}", 0),
        (b"[]", 1),
        (b"{", 1),
        (b"\xff\x00", 1),
        (br#"{"colour": 1, "timeout_ms": "soon", "body": {"mode": "maybe"}}"#, 3),
        (br#"{"body": [], "report": 1, "fingerprints": null}"#, 3),
        (deep.as_bytes(), 1),
    ];
    for (configuration, errors) in cases {
        let settings = Settings { configuration: configuration.to_vec(), ..Settings::default() };
        let mut vm = Vm::start_unasked(&settings);
        let complaints = vec![Did::Complain; usize::try_from(errors).unwrap()];
        vm.expect(&[&[Did::Tick(100)], &complaints[..]].concat());
        let shown = [("config.errors", errors)];
        vm.expect_metrics(if errors == 0 { &[] } else { &shown });
        // And then works by its defaults.
        let stream = vm.open(&Request::get("/"));
        vm.reply(stream, &Reply::verdict(200));
        vm.expect(&[&[asked()], &passed()[..]].concat());
        vm.expect_metrics(&PASSED);
    }
}

#[test]
fn names_what_it_did_not_understand() {
    let vm = Vm::start_unasked(&Settings::with(r#"{"fail_opne": false}"#));
    assert!(vm.log().iter().any(|line| line.contains("fail_opne")), "{:?}", vm.log());
    let mut vm = vm;
    vm.expect(&[Did::Tick(100), Did::Complain]);
    vm.expect_metrics(&[("config.errors", 1)]);
}

#[test]
fn takes_a_new_configuration_while_requests_are_under_way() {
    let mut vm = Vm::start(&Settings::default());
    let old = vm.open(&Request::get("/"));
    let reported = vm.open(&Request::get("/"));
    vm.reply(reported, &Reply::verdict(200));
    vm.respond(reported, &Response::status(404));
    vm.expect(&[&[asked(), asked()], &passed()[..]].concat());
    vm.configure(br#"{"fail_open": false}"#);
    vm.expect(&[Did::Tick(100)]);
    let new = vm.open(&Request::get("/"));
    // A stream keeps the configuration that it began with.
    vm.reply(old, &Reply::broken());
    vm.reply(new, &Reply::broken());
    vm.expect(&[asked(), Did::Complain, Did::Resume, Did::Complain, Did::Answer(503)]);
    // Reports that the configuration before has left are sent.
    vm.tick();
    vm.expect(&[Did::call("/v1/reports")]);
    vm.expect_metrics(&[
        ("requests.total", 3),
        ("decisions.allow.total", 1),
        ("failures.reset.total", 2),
        ("callout_us", 3),
        ("reports.sent.total", 1),
    ]);
}
