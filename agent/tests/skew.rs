//! Filters of other versions than the agent's: what they sent is kept in vectors/http, and never changed.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::Write;

use common::{Agent, everything};
use portcullis_protocol::RpcMsgOut;
use portcullis_protocol::http as wire;

/// Asks as a filter does that speaks `version` and all before it: the head of the answer, and its body.
fn ask(agent: &Agent, path: &str, version: &str, message: &[u8]) -> (String, Vec<u8>) {
    let mut stream = agent.connect();
    let (header, length) = (wire::VERSION_HEADER, message.len());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n{header}: {version}\r\ncontent-length: {length}\r\n\r\n"
    );
    // At once: an agent that refuses by the head closes the connection without waiting for the rest.
    stream.write_all(&[head.as_bytes(), message].concat()).unwrap();
    let reply = everything(stream);
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    (String::from_utf8(reply[..end].to_vec()).unwrap(), reply[end + 4..].to_vec())
}

fn vector(group: &str, name: &str) -> Vec<u8> {
    let file: serde_json::Value = serde_json::from_str(include_str!("../../vectors/http/v1.json")).unwrap();
    let hex = file[group][name].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn answers_a_filter_of_version_1_in_version_1() {
    let agent = Agent::blocking();
    for (name, code) in [("attack", 406), ("harmless", 200)] {
        let (head, body) = ask(&agent, wire::PRE_REQUEST, "1", &vector("filter", name));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nx-portcullis-protocol: 1\r\n"), "{head}");
        assert_eq!(RpcMsgOut::decode(&body).unwrap().waf_response, code);
    }
    let (head, body) = ask(&agent, wire::UPDATE_REQUEST, "1", &vector("filter", "update"));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(body, wire::ACK);
}

const CHALLENGING: &str = r#"{"site": {"agentLevel": "block"}, "rules": [
    {"type": "request", "reason": "browsers", "enabled": true, "groupOperator": "all",
     "conditions": [{"type": "single", "field": "method", "operator": "equals", "value": "GET"}],
     "actions": [{"type": "browserChallenge"}]}]}"#;

#[test]
fn sends_a_page_only_where_the_filter_knows_what_one_is() {
    let agent = Agent::with_policy(CHALLENGING);
    let (head, body) = ask(&agent, wire::PRE_REQUEST, "1", &vector("filter", "harmless"));
    assert!(head.contains("\r\nx-portcullis-protocol: 1\r\n"), "{head}");
    let answer = RpcMsgOut::decode(&body).unwrap();
    assert_eq!((answer.waf_response, answer.page.is_empty()), (403, true));
    assert!(!body.windows(4).any(|four| four == b"Page"), "keys that version 1 does not have");
    for version in ["2", "7"] {
        let (_, body) = ask(&agent, wire::PRE_REQUEST, version, &vector("filter", "harmless"));
        let answer = RpcMsgOut::decode(&body).unwrap();
        assert_eq!((answer.waf_response, &*answer.page_type), (403, &b"text/html; charset=utf-8"[..]));
        assert!(answer.page.starts_with(b"<!doctype html>"), "{:?}", answer.page);
    }
}

#[test]
fn answers_a_later_filter_in_the_newest_version_that_both_speak() {
    let agent = Agent::blocking();
    let (head, body) = ask(&agent, wire::PRE_REQUEST, "7", &vector("later", "filter"));
    assert!(head.contains(&format!("\r\nx-portcullis-protocol: {}\r\n", wire::VERSION)), "{head}");
    assert_eq!(RpcMsgOut::decode(&body).unwrap().waf_response, 406);
}

#[test]
fn refuses_a_caller_that_names_no_version() {
    let agent = Agent::blocking();
    for version in ["0", "", "new", "99999"] {
        let (head, body) = ask(&agent, wire::PRE_REQUEST, version, &vector("filter", "attack"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{version}: {head}");
        assert!(String::from_utf8_lossy(&body).contains("speaks up to 2"), "{body:?}");
    }
}
