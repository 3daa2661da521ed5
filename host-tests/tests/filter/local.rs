//! Mode `local-first`: the engine in the finished module, and the agent's facts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_detect::{Engine, Header, Request as Seen, Tag};
use portcullis_host_tests::{Did, Reply, Request, Response, Settings, StreamId, Vm};
use portcullis_protocol::{LocalFacts, ReportBatch, RpcMsgIn, RpcMsgOut, http};

use super::{asked, passed};

const LOCAL: &str = r#"{"mode": "local-first"}"#;

fn facts() -> LocalFacts<'static> {
    LocalFacts { version: 7, engine: env!("CARGO_PKG_VERSION").into(), ..LocalFacts::default() }
}

fn blocking() -> LocalFacts<'static> {
    LocalFacts { blocks: true, block_code: 406, ..facts() }
}

/// A proxy whose filter has learnt these facts.
fn informed(configuration: &str, facts: &LocalFacts<'_>) -> Vm {
    let mut vm = Vm::start(&Settings::with(configuration));
    vm.tick();
    vm.expect(&[Did::call(http::LOCAL)]);
    vm.reply_to_report(&Reply::agent(facts.encode()));
    vm.tick();
    vm.expect(&[]);
    vm.expect_metrics(&[("local.facts_version", 7)]);
    vm
}

fn browser(path: &str) -> Request {
    Request::get(path).header("user-agent", "Mozilla/5.0").property(&["request", "protocol"], b"HTTP/1.1")
}

fn local(vm: &mut Vm, request: &Request) -> StreamId {
    let stream = vm.open(request);
    vm.expect(&[]);
    assert!(vm.app(stream).complete);
    assert_eq!(vm.told(stream, "portcullis_verdict").as_deref(), Some("local"));
    stream
}

const ATTACK: &str = "/?id=1'+OR+'1'='1";

#[test]
fn ordinary_requests_go_on_and_are_told_of_in_numbers() {
    let mut vm = informed(LOCAL, &facts());
    for _ in 0..50 {
        let stream = local(&mut vm, &browser("/shop?page=2"));
        vm.respond(stream, &Response::status(200));
    }
    (0..10).for_each(|_| vm.tick());
    vm.expect(&[Did::call(http::REPORTS)]);
    let batch = vm.messages();
    assert_eq!(ReportBatch::decode(&batch[0]).unwrap().passed, 50);
    vm.expect_metrics(&[("requests.total", 50), ("decisions.local.total", 50), ("local.facts_version", 7)]);
}

#[test]
fn what_is_found_is_asked_about() {
    let mut vm = informed(LOCAL, &facts());
    let stream = vm.open(&browser(ATTACK));
    vm.expect(&[asked()]);
    assert!(vm.app(stream).saw_nothing());
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    vm.expect_metrics(&[
        ("requests.total", 1),
        ("decisions.allow.total", 1),
        ("callout_us", 1),
        ("local.facts_version", 7),
    ]);
}

#[test]
fn bodies_are_looked_at_in_both_modes() {
    for configuration in [LOCAL, r#"{"mode": "local-first", "body": {"mode": "after"}}"#] {
        let mut vm = informed(configuration, &blocking());
        let post =
            || browser("/").method("POST").body().header("content-type", "application/x-www-form-urlencoded");
        let stream = vm.open(&post());
        vm.data(stream, "name=bob", true);
        vm.expect(&[]);
        assert_eq!(vm.app(stream).body, b"name=bob");
        let stream = vm.open(&post());
        vm.data(stream, "name=1'+OR+'1'='1", true);
        vm.expect(&[asked()]);
        vm.reply(stream, &Reply::verdict(406));
        vm.expect(&[Did::Answer(406)]);
        assert!(vm.app(stream).body.is_empty());
        vm.expect_metrics(&[
            ("requests.total", 2),
            ("decisions.local.total", 1),
            ("decisions.block.total", 1),
            ("callout_us", 1),
            ("local.facts_version", 7),
        ]);
    }
}

/// A challenge concerns requests in which nothing is found, and so does its answer, a cookie like any other.
#[test]
fn what_a_challenge_concerns_is_asked_about_with_its_answer() {
    let challenging = LocalFacts { concerns: vec![vec![("path".into(), "/shop".into())]], ..facts() };
    let mut vm = informed(LOCAL, &challenging);
    local(&mut vm, &browser("/elsewhere"));
    let page = RpcMsgOut {
        waf_response: 403,
        page: "<p>one moment</p>".into(),
        page_type: "text/html".into(),
        ..RpcMsgOut::default()
    };
    let stream = vm.open(&browser("/shop"));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::message(&page));
    vm.expect(&[Did::Answer(403)]);
    assert_eq!(vm.answer(stream), Some((403, b"<p>one moment</p>".to_vec())));
    let cookie = "portcullis_challenge=1790000000.17.0123456789abcdef0123456789abcdef.93715";
    let stream = vm.open(&browser("/shop").header("cookie", cookie));
    let messages = vm.messages();
    let sent = RpcMsgIn::decode(&messages[0]).unwrap().headers_in;
    assert!(sent.iter().any(|(name, value)| **name == *b"cookie" && **value == *cookie.as_bytes()));
    vm.expect(&[asked()]);
    vm.reply(stream, &Reply::verdict(200));
    vm.expect(&passed());
    assert!(vm.app(stream).complete);
    vm.forget();
}

#[test]
fn old_facts_are_not_relied_upon() {
    let mut vm = informed(LOCAL, &facts());
    vm.pass(Duration::from_secs(4));
    vm.tick();
    vm.expect(&[Did::call(http::LOCAL)]);
    vm.open(&browser("/"));
    vm.expect(&[asked()]);
    vm.expect_metrics(&[("requests.total", 1), ("inflight", 1)]);
}

#[test]
fn with_the_agent_gone_attacks_are_still_stopped_and_the_rest_goes_on() {
    let mut vm = informed(r#"{"mode": "local-first", "breaker": {"failures": 2}}"#, &blocking());
    vm.pass(Duration::from_secs(60));
    vm.refuse_calls(10);
    vm.tick();
    for _ in 0..2 {
        let stream = vm.open(&browser("/"));
        assert!(vm.app(stream).complete);
        let stream = vm.open(&browser(ATTACK));
        assert!(vm.app(stream).saw_nothing());
        assert_eq!(vm.told(stream, "portcullis_verdict").as_deref(), Some("local-block"));
        assert_eq!(vm.told(stream, "portcullis_signals").as_deref(), Some("SQLI"));
    }
    vm.expect(&[Did::Complain, Did::Complain, Did::Answer(406), Did::Answer(406)]);
    vm.expect_metrics(&[
        ("requests.total", 4),
        ("failures.unavailable.total", 1),
        ("failures.paused.total", 1),
        ("decisions.local_block.total", 2),
        ("breaker.opened.total", 1),
        ("breaker.open", 1),
    ]);
}

/// The engine that sees a long body only once the agent fails must not have lost any of it.
#[test]
fn an_attack_in_a_long_body_is_stopped_with_the_agent_gone() {
    let mut vm = informed(r#"{"mode": "local-first", "body": {"max_bytes": 65536}}"#, &blocking());
    let post =
        || browser("/").method("POST").body().header("content-type", "application/x-www-form-urlencoded");
    let harmless = "text=abc&".repeat(2000);
    let attack = format!("{harmless}name=1'+OR+'1'='1");
    for (body, status, verdict) in [(&harmless, 0, "none"), (&attack, 406, "local-block")] {
        let stream = vm.open(&post());
        let (first, last) = body.split_at(9000);
        vm.data(stream, first, false);
        vm.data(stream, last, true);
        vm.expect(&[asked()]);
        assert!(vm.app(stream).saw_nothing());
        vm.reply(stream, &Reply::local(503, "gone"));
        assert_eq!(vm.told(stream, "portcullis_verdict").as_deref(), Some(verdict));
        assert_eq!(vm.answer(stream).map_or(0, |(status, _)| status), status);
        vm.forget();
    }
}

/// Every vector of every detector: the engine in the module finds something exactly where the native one does, and an
/// attack exactly where the native one does. The second is seen by what happens once the agent is gone.
#[test]
fn the_engine_in_the_module_agrees_with_the_native_one_on_every_vector() {
    let engine = Engine::default();
    let mut vm = informed(LOCAL, &blocking());
    let (mut seen, mut wrong) = (0, Vec::new());
    for (place, value) in vectors() {
        seen += 1;
        let target = target(&value);
        let native = native(&engine, &target);
        let stream = vm.open(&browser(&target));
        let mut tags = String::new();
        if vm.pending(stream) {
            vm.reply(stream, &Reply::local(503, "gone"));
            tags = vm.told(stream, "portcullis_signals").unwrap_or_default();
        }
        let verdict = vm.told(stream, "portcullis_verdict").unwrap_or_default();
        let expected = match (native.is_empty(), native.iter().any(|tag| is_attack(*tag))) {
            (true, _) => "local",
            (false, true) => "local-block",
            (false, false) => "none",
        };
        let names: Vec<&str> = native.iter().map(|tag| tag.as_str()).collect();
        if verdict != expected || tags != names.join(",") {
            wrong.push(format!("{place}: native {names:?}, module {verdict} {tags:?}"));
        }
        vm.finish(stream);
        // Answers keep the agent from being left alone, facts from growing old.
        vm.forget();
        let healthy = vm.open(&browser(ATTACK));
        vm.reply(healthy, &Reply::verdict(406));
        vm.finish(healthy);
        vm.forget();
    }
    assert!(seen > 1000, "only {seen} vectors were read");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
    vm.tick();
    vm.forget();
}

fn native(engine: &Engine, target: &str) -> Vec<Tag> {
    let headers = [
        Header { name: b"Host", value: b"shop.example" },
        Header { name: b"user-agent", value: b"Mozilla/5.0" },
    ];
    let request = Seen {
        method: b"GET",
        scheme: b"http",
        authority: b"shop.example",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
        ..Seen::default()
    };
    let mut tags: Vec<Tag> = engine.inspect(&request).iter().map(|signal| signal.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn is_attack(tag: Tag) -> bool {
    tag.kind() == portcullis_detect::Kind::Attack
}

/// The value as a query parameter, as the engine's own tests send it.
fn target(value: &[u8]) -> String {
    let mut target = "/search?value=".to_owned();
    for byte in value {
        if byte.is_ascii_alphanumeric() {
            target.push(char::from(*byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

/// Every value of every `vectors/*/*.txt`, with its place; escapes are left as they are, which makes them other values.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        files.extend(std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
    }
    files.retain(|file| file.extension().is_some_and(|end| end == "txt"));
    files.sort();
    let mut values = Vec::new();
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"));
        values.extend(
            lines.map(|(number, line)| (format!("{}:{}", file.display(), number + 1), line.to_vec())),
        );
    }
    values
}
