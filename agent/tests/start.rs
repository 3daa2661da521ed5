//! What the agent needs to start, and what it says where that is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use common::{Agent, command, refusal};
use tempfile::TempDir;

#[test]
fn names_each_missing_key() {
    let dir = TempDir::new().unwrap();
    let said = refusal(command(&dir).env_remove("SIGSCI_ACCESSKEYID"));
    assert!(said.contains("SIGSCI_ACCESSKEYID") && !said.contains("SIGSCI_SECRETACCESSKEY"), "{said}");
    let said = refusal(command(&dir).env_remove("SIGSCI_SECRETACCESSKEY"));
    assert!(said.contains("SIGSCI_SECRETACCESSKEY") && !said.contains("SIGSCI_ACCESSKEYID"), "{said}");
    let said = refusal(command(&dir).env_remove("SIGSCI_SECRETACCESSKEY").env("SIGSCI_ACCESSKEYID", ""));
    assert!(said.contains("SIGSCI_SECRETACCESSKEY") && said.contains("SIGSCI_ACCESSKEYID"), "{said}");
    assert!(!dir.path().join("agent.sock").exists());
}

#[test]
fn refuses_a_bad_policy_and_names_the_place() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("policy.json");
    let mut agent = command(&dir);
    agent.env("SIGSCI_POLICY_FILE", &path);
    let said = refusal(&mut agent);
    assert!(said.contains("cannot read") && said.contains("policy.json"), "{said}");
    std::fs::write(&path, "{\n  \"site\": {\"agentLevle\": \"block\"}\n}").unwrap();
    let said = refusal(&mut agent);
    assert!(said.contains("policy.json:2:") && said.contains("site.agentLevle: "), "{said}");
    assert!(!dir.path().join("agent.sock").exists());
}

#[test]
fn refuses_an_unknown_command() {
    let dir = TempDir::new().unwrap();
    assert!(refusal(command(&dir).arg("inspekt")).contains("unknown command \"inspekt\""));
}

#[test]
fn answers_questions_about_itself_without_keys() {
    let dir = TempDir::new().unwrap();
    for (flag, expected) in
        [("--version", "portcullis-agent "), ("--help", "rpc-address"), ("-usage", "rpc-address")]
    {
        let output =
            std::process::Command::new(command(&dir).get_program()).env_clear().arg(flag).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected), "{flag}");
    }
}

#[test]
fn opens_its_socket_to_every_user() {
    let agent = Agent::blocking();
    let mode = std::fs::metadata(&agent.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn replaces_a_socket_that_nobody_answers_at() {
    let dir = TempDir::new().unwrap();
    drop(UnixListener::bind(dir.path().join("agent.sock")).unwrap());
    assert!(dir.path().join("agent.sock").exists());
    let mut command = command(&dir);
    let agent = Agent::start(dir, &mut command);
    assert!(agent.is_alive());
}

#[test]
fn takes_over_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let again = TempDir::new().unwrap();
    let socket = dir.path().join("agent.sock");
    let mut command = command(&dir);
    let agent = Agent::start(again, &mut command);
    agent.signal("-KILL");
    assert!(!agent.ended().success());
    assert!(socket.exists());
    assert!(Agent::start(dir, &mut command).is_alive());
}

#[test]
fn leaves_a_live_socket_to_its_agent() {
    let agent = Agent::blocking();
    let said = refusal(&mut command(&agent.dir));
    assert!(said.contains("another agent is listening on") && said.contains("agent.sock"), "{said}");
    assert!(agent.is_alive());
}

#[test]
fn never_removes_what_is_no_socket() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("agent.sock"), "precious").unwrap();
    assert!(refusal(&mut command(&dir)).contains("exists and is not a socket"));
    assert_eq!(std::fs::read_to_string(dir.path().join("agent.sock")).unwrap(), "precious");
}

#[test]
fn names_a_missing_folder() {
    let dir = TempDir::new().unwrap();
    let said = refusal(command(&dir).env("SIGSCI_RPC_ADDRESS", dir.path().join("none/agent.sock")));
    assert!(said.contains("none does not exist"), "{said}");
}
