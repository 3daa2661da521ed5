//! `inspect`: a request in a file, what was found in it out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use common::BLOCK;
use serde_json::Value;
use tempfile::TempDir;

/// Runs the command with `request` at its standard input.
fn inspect(args: &[&str], request: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis-agent"))
        .env_clear()
        .arg("inspect")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
    child.wait_with_output().unwrap()
}

fn report(args: &[&str], request: &str) -> Value {
    let output = inspect(args, request);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refusal(args: &[&str], request: &str) -> String {
    let output = inspect(args, request);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn file(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const ATTACK: &str =
    "GET /items?id=1%2527%20or%201%253d1--%20 HTTP/1.1\nHost: shop.example\nUser-Agent: a browser\n\n";

#[test]
fn ends_well_where_nobody_reads_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for args in [&["inspect", "--help"][..], &["--help"], &["check-config"]] {
        let ended = Command::new(env!("CARGO_BIN_EXE_portcullis-agent"))
            .env_clear()
            .env("SIGSCI_ACCESSKEYID", "id")
            .env("SIGSCI_SECRETACCESSKEY", "secret")
            .args(args)
            .stdout(writer.try_clone().unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap();
        assert!(ended.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn shows_what_fired_where_and_how_it_was_decoded() {
    let report = report(&[], ATTACK);
    let found = report["signals"].as_array().unwrap().iter().find(|signal| signal["type"] == "SQLI").unwrap();
    assert_eq!(found["location"], "QUERYSTRING");
    assert_eq!((&found["name"], &found["kind"]), (&"id".into(), &"attack".into()));
    assert_eq!(found["value"], "id=1' or 1=1-- ");
    assert_eq!(found["form"], "1' or 1=1-- ");
    assert_eq!(found["redaction"], "none");
    assert_eq!(found["decoders"], serde_json::json!(["form", "percent"]));
    let (start, end) =
        (found["evidence"]["start"].as_u64().unwrap(), found["evidence"]["end"].as_u64().unwrap());
    let span = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
    assert_eq!(found["evidence"]["text"], found["form"].as_str().unwrap()[span]);
    assert_eq!((&report["waf_response"], &report["response_code"]), (&200.into(), &(-1).into()));
}

#[test]
fn decides_by_the_policy_it_is_given() {
    let dir = TempDir::new().unwrap();
    let policy = file(&dir, "policy.json", BLOCK);
    assert_eq!(report(&["--policy", &policy], ATTACK)["waf_response"], 406);
    let clean = "GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: a browser\r\n\r\n";
    let report = report(&["--policy", &policy], clean);
    assert_eq!((&report["waf_response"], &report["signals"]), (&200.into(), &serde_json::json!([])));
}

#[test]
fn reads_the_response_too() {
    let dir = TempDir::new().unwrap();
    let request = file(&dir, "request.txt", "GET /a HTTP/1.1\nHost: x\nUser-Agent: a browser\n\n");
    let response = file(&dir, "response.txt", "HTTP/1.1 404 Not Found\nContent-Length: 4\n\ngone\n");
    let report = report(&[&request, "--response", &response], "");
    assert_eq!((&report["response_code"], &report["response_size"]), (&404.into(), &4.into()));
    assert!(report["signals"].as_array().unwrap().iter().any(|signal| signal["type"] == "HTTP404"));
}

#[test]
fn hides_what_the_agent_would_not_write_down() {
    let request = "GET /?password=hunter2'+or+1=1--+ HTTP/1.1\nHost: x\n\n";
    let text = String::from_utf8(inspect(&[], request).stdout).unwrap();
    assert!(text.contains("SQLI") && !text.contains("hunter2"), "{text}");
    let open = String::from_utf8(inspect(&["--unredacted"], request).stdout).unwrap();
    assert!(open.contains("hunter2"), "{open}");
}

#[test]
fn says_what_is_wrong_and_where() {
    let dir = TempDir::new().unwrap();
    assert!(refusal(&[], "").contains("standard input: is empty"));
    assert!(refusal(&[], "GET / HTTP/1.1\nHost x\n").contains("standard input: line 2: "));
    assert!(refusal(&["/nowhere/request.txt"], "").contains("cannot read /nowhere/request.txt"));
    assert!(refusal(&["--polcy", "x"], "").contains("unknown option --polcy"));
    assert!(refusal(&["--response"], "").contains("--response needs a file"));
    let response = file(&dir, "response.txt", "GET / HTTP/1.1\n");
    assert!(refusal(&["--response", &response], ATTACK).contains("response.txt: line 1: "));
    let policy = file(&dir, "policy.json", "{\n \"site\": {\"agentLevle\": \"block\"}\n}");
    let said = refusal(&["--policy", &policy], ATTACK);
    assert!(said.contains("policy.json:2:") && said.contains("agentLevle"), "{said}");
}

#[test]
fn tells_of_a_length_that_does_not_fit() {
    let report = report(&[], "POST / HTTP/1.1\nHost: x\nContent-Length: 99\n\na=1");
    assert!(report["warnings"][0].as_str().unwrap().contains("Content-Length is 99"), "{report}");
}

#[test]
fn hides_what_the_policys_own_redactions_name() {
    let dir = TempDir::new().unwrap();
    let policy = r#"{"redactions": [{"field": "nickname", "redactionType": 0}, {"field": "X-Motto", "redactionType": 1}]}"#;
    let policy = file(&dir, "policy.json", policy);
    let request = "GET /?nickname=1%27%20or%20%271%27%3D%271 HTTP/1.1\nHost: shop.example\nUser-Agent: x\n\
                   X-Motto: <script>alert(1)</script>\n\n";
    let shown = |args: &[&str]| inspect(args, request).stdout;
    let has_secret = |output: &[u8]| {
        let text = String::from_utf8_lossy(output);
        text.contains("1' or '1'") || text.contains("alert(1)")
    };
    let plain = report(&[], request);
    let found = plain["signals"].as_array().unwrap();
    assert!(found.iter().any(|signal| signal["name"] == "nickname"), "{plain}");
    assert!(has_secret(&shown(&[])));
    assert!(
        !has_secret(&shown(&["--policy", &policy])),
        "{}",
        String::from_utf8_lossy(&shown(&["--policy", &policy]))
    );
    assert!(has_secret(&shown(&["--policy", &policy, "--unredacted"])));
}
