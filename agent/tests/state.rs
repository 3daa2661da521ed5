//! What is remembered of clients, over the end of the process and over reloads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::symlink;

use common::{Agent, MSGID, command, get, message, operated, verdict};
use portcullis_protocol::RpcMsgIn2;
use portcullis_protocol::envelope::write_call;
use tempfile::TempDir;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

/// Five attacks flag an address.
const FLAGGING: &str =
    r#"{"site": {"agentLevel": "block", "attackThresholds": [{"interval": 1, "threshold": 5}]}}"#;

fn ask(agent: &Agent, uri: &str, address: &str) -> Vec<u8> {
    let mut message = message(uri);
    message.remote_addr = address.into();
    agent.exchange(&write_call(MSGID, "RPC.PreRequest", &message.encode()))
}

fn code(agent: &Agent, uri: &str, address: &str) -> i32 {
    verdict(&ask(agent, uri, address)).waf_response
}

/// Attacks until the address is flagged.
fn flag(agent: &Agent, address: &str) {
    for _ in 0..5 {
        assert_eq!(code(agent, ATTACK, address), 200);
    }
    assert_eq!(code(agent, ATTACK, address), 406);
}

fn tags(reply: &[u8]) -> String {
    let reply = verdict(reply);
    let tags = reply.request_headers.iter().find(|(name, _)| **name == *b"X-SigSci-Tags");
    tags.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

#[test]
fn blocks_attacks_of_a_flagged_address_and_nothing_else() {
    let (agent, admin, _) = operated(TempDir::new().unwrap(), FLAGGING, |command, dir| {
        command.env("SIGSCI_EVENTS_LOG", dir.join("events.log"));
    });
    flag(&agent, "192.0.2.7");
    assert_eq!(code(&agent, ATTACK, "192.0.2.8"), 200);
    let clean = ask(&agent, "/hello", "192.0.2.7");
    assert_eq!((verdict(&clean).waf_response, tags(&clean).as_str()), (200, "SITE-FLAGGED-IP"));
    assert!(get(&admin, "/flags").1.contains(r#""source":"192.0.2.7""#));
    let (_, metrics) = get(&admin, "/metrics");
    assert!(metrics.contains("waf_flags_total{kind=\"flagged\"} 1\n"), "{metrics}");
    assert!(metrics.contains("waf_policy_signals_total{signal=\"SITE-FLAGGED-IP\"}"), "{metrics}");
    agent.signal("-TERM");
    agent.await_log("SIGTERM");
    let dir = agent.drained_leaving();
    let events = std::fs::read_to_string(dir.path().join("events.log")).unwrap();
    let lines: Vec<serde_json::Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = lines.iter().map(|line| line["Type"].as_str().unwrap()).collect();
    assert_eq!(types, ["policy-loaded", "threshold-reached", "flagged"]);
    let reached = ["Source", "Window", "Count", "Limit"].map(|key| lines[1][key].to_string());
    assert_eq!(reached, ["\"192.0.2.7\"", "60", "5", "5"]);
    assert_eq!((&lines[2]["Source"], &lines[2]["Count"]), (&"192.0.2.7".into(), &5.into()));
}

#[test]
fn remembers_a_flag_after_a_kill_and_a_restart() {
    let (first, _, _) = operated(TempDir::new().unwrap(), FLAGGING, |_, _| {});
    flag(&first, "192.0.2.7");
    let dir = first.killed();
    let (second, _, said) = operated(dir, FLAGGING, |_, _| {});
    assert!(said.iter().any(|line| line.contains("state restored")), "{said:#?}");
    assert_eq!(code(&second, ATTACK, "192.0.2.7"), 406);
    assert_eq!(code(&second, ATTACK, "192.0.2.8"), 200);
    second.signal("-TERM");
    second.await_log("SIGTERM");
    let (third, _, said) = operated(second.drained_leaving(), FLAGGING, |_, _| {});
    assert!(
        said.iter().any(|line| line.contains("state restored") && line.contains("age_seconds=")),
        "{said:#?}"
    );
    assert_eq!(code(&third, ATTACK, "192.0.2.7"), 406);
}

#[test]
fn a_reload_keeps_who_is_flagged() {
    let (agent, _, _) = operated(TempDir::new().unwrap(), FLAGGING, |_, _| {});
    flag(&agent, "192.0.2.7");
    agent.signal("-HUP");
    agent.await_log("reloaded");
    assert_eq!(code(&agent, ATTACK, "192.0.2.7"), 406);
}

#[test]
fn an_operator_takes_a_flag_away() {
    let (agent, admin, _) = operated(TempDir::new().unwrap(), FLAGGING, |_, _| {});
    flag(&agent, "192.0.2.7");
    assert_eq!(common::post(&admin, "/unflag?address=192.0.2.7").0, 200);
    assert_eq!(code(&agent, ATTACK, "192.0.2.7"), 200);
}

#[test]
fn serves_without_its_cache_and_says_so() {
    let (agent, admin, said) = operated(TempDir::new().unwrap(), FLAGGING, |command, dir| {
        std::fs::write(dir.join("file"), "").unwrap();
        command.env("SIGSCI_SHARED_CACHE_DIR", dir.join("file"));
    });
    assert!(said.iter().any(|line| line.contains("state is kept in memory only")), "{said:#?}");
    flag(&agent, "192.0.2.7");
    let (status, text) = get(&admin, "/readyz");
    assert!(status == 200 && text.contains("degraded: a restart would forget"), "{text}");
    assert!(get(&admin, "/metrics").1.contains("waf_state_degraded 1\n"));
}

#[test]
fn loads_a_policy_when_its_file_changes() {
    let (agent, _, _) = operated(TempDir::new().unwrap(), r#"{"site": {"agentLevel": "log"}}"#, |_, _| {});
    let policy = agent.dir.path().join("policy.json");
    assert_eq!(code(&agent, ATTACK, "192.0.2.1"), 200);
    std::fs::write(agent.dir.path().join("fresh.json"), common::BLOCK).unwrap();
    std::fs::rename(agent.dir.path().join("fresh.json"), &policy).unwrap();
    agent.await_log("reloaded mode=Block");
    assert_eq!(code(&agent, ATTACK, "192.0.2.1"), 406);
    std::fs::write(&policy, "{").unwrap();
    agent.await_log("the old policy stays in force");
    assert_eq!(code(&agent, ATTACK, "192.0.2.1"), 406);
}

#[test]
fn watches_a_policy_that_a_reload_has_named() {
    let dir = TempDir::new().unwrap();
    let (conf, policy) = (dir.path().join("agent.conf"), dir.path().join("named.json"));
    std::fs::write(&conf, "").unwrap();
    std::fs::write(&policy, r#"{"site": {"agentLevel": "off"}}"#).unwrap();
    let mut command = command(&dir);
    let agent = Agent::start(dir, command.env("SIGSCI_CONFIG", &conf));
    std::fs::write(&conf, format!("policy-file = {}", policy.display())).unwrap();
    agent.signal("-HUP");
    agent.await_log("reloaded mode=Off");
    std::fs::write(&policy, common::BLOCK).unwrap();
    agent.await_log("reloaded mode=Block");
    assert_eq!(code(&agent, ATTACK, "192.0.2.1"), 406);
}

#[test]
fn loads_a_policy_that_kubernetes_swaps() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("policy");
    std::fs::create_dir(&folder).unwrap();
    let version = |name: &str, text: &str| {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("policy.json"), text).unwrap();
        symlink(name, folder.join("..fresh")).unwrap();
        std::fs::rename(folder.join("..fresh"), folder.join("..data")).unwrap();
    };
    version("..1", r#"{"site": {"agentLevel": "log"}}"#);
    symlink("..data/policy.json", folder.join("policy.json")).unwrap();
    for path in ["policy", "policy/policy.json"] {
        let mut command = command(&dir);
        command.env("SIGSCI_POLICY_FILE", dir.path().join(path));
        let mut said = Vec::new();
        // The folder has to stay where it is for both.
        let agent = Agent::start_and_hear(
            TempDir::new().unwrap(),
            command.env("SIGSCI_RPC_ADDRESS", "127.0.0.1:0"),
            &mut said,
        );
        version(&format!("..of-{}", path.replace('/', "-")), common::BLOCK);
        agent.await_log("reloaded mode=Block");
        version(&format!("..off-{}", path.replace('/', "-")), r#"{"site": {"agentLevel": "log"}}"#);
        agent.await_log("reloaded mode=Log");
    }
}

#[test]
fn reloads_when_it_is_asked_to_and_answers_what_came_of_it() {
    let (agent, admin, _) = operated(TempDir::new().unwrap(), common::BLOCK, |_, _| {});
    assert_eq!(common::post(&admin, "/reload"), (200, "reloaded\n".to_owned()));
    std::fs::write(agent.dir.path().join("policy.json"), r#"{"site": {"agentLevel": "lock"}}"#).unwrap();
    let (status, text) = common::post(&admin, "/reload");
    assert!(status == 422 && text.contains("policy.json:1"), "{text}");
    assert_eq!(get(&admin, "/reload").0, 404);
}

#[test]
fn a_response_is_joined_to_its_request_and_counts() {
    let policy = r#"{"site": {"agentLevel": "block"}, "alerts": [{"tagName": "HTTP404", "longName": "scanner", "interval": 1, "threshold": 3, "enabled": true, "action": "flagged"}]}"#;
    let (agent, _, _) = operated(TempDir::new().unwrap(), policy, |_, _| {});
    for _ in 0..3 {
        let reply = ask(&agent, "/missing", "192.0.2.7");
        let id = verdict(&reply).request_id.to_vec();
        assert_eq!(id.len(), 24);
        let update = RpcMsgIn2 { request_id: id.into(), response_code: 404, ..RpcMsgIn2::default() };
        agent.exchange(&write_call(MSGID, "RPC.UpdateRequest", &update.encode()));
    }
    agent.await_log("client flagged");
    assert_eq!(code(&agent, ATTACK, "192.0.2.7"), 406);
    assert!(agent.is_alive());
}

#[test]
fn reads_keys_when_their_files_change() {
    let dir = TempDir::new().unwrap();
    let keys = dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let write = |name: &str, text: &str| std::fs::write(keys.join(name), text).unwrap();
    write("id", "first-id");
    write("secret", "first-secret\n");
    let mut command = command(&dir);
    command
        .env_remove("SIGSCI_ACCESSKEYID")
        .env_remove("SIGSCI_SECRETACCESSKEY")
        .env("SIGSCI_ACCESSKEYID_FILE", keys.join("id"))
        .env("SIGSCI_SECRETACCESSKEY_FILE", keys.join("secret"));
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    write("secret", "second-secret\n");
    agent.await_log("reloaded");
    write("id", "");
    let line = agent.await_log("cannot reload");
    assert!(line.contains("accesskeyid") && !line.contains("second-secret"), "{line}");
    write("id", "second-id");
    agent.await_log("reloaded");
    assert_eq!(code(&agent, "/hello?name=bob", "192.0.2.1"), 200);
}
