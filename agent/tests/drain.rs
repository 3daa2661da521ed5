//! The end of the process: nobody who was heard stays without an answer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Agent, PATIENCE, command, everything, pre_request, verdict};
use tempfile::TempDir;

#[test]
fn answers_a_request_that_was_begun_before_the_signal() {
    let agent = Agent::blocking();
    let wire = pre_request("/hello");
    let mut begun = agent.connect();
    begun.write_all(&wire[..30]).unwrap();
    assert!(agent.is_alive());
    agent.signal("-TERM");
    agent.await_log("SIGTERM: draining");
    begun.write_all(&wire[30..]).unwrap();
    assert_eq!(verdict(&everything(begun)).waf_response, 200);
    let socket = agent.socket.clone();
    agent.drained();
    assert!(!socket.exists());
}

#[test]
fn does_not_wait_for_idle_connections() {
    let agent = Agent::blocking();
    let idle: Vec<_> = (0..10).map(|_| agent.connect()).collect();
    let mut answered = agent.connect();
    answered.write_all(&pre_request("/")).unwrap();
    assert_eq!(verdict(&everything(&answered)).waf_response, 200);
    agent.signal("-INT");
    agent.await_log("SIGINT: draining");
    agent.drained();
    drop((idle, answered));
}

#[test]
fn ends_with_the_grace_though_a_peer_dawdles() {
    let dir = TempDir::new().unwrap();
    let mut command = command(&dir);
    let agent = Agent::start(dir, command.env("SIGSCI_SHUTDOWN_GRACE", "50ms"));
    let mut dawdler = agent.connect();
    dawdler.write_all(&pre_request("/")[..30]).unwrap();
    assert!(agent.is_alive());
    agent.signal("-TERM");
    agent.await_log("not everything was done within the grace");
    assert!(agent.ended().success());
}

#[test]
fn ends_though_a_reload_hangs() {
    let agent = Agent::blocking();
    // A file system that hangs: nobody ever writes into it.
    let policy = agent.dir.path().join("policy.json");
    std::fs::remove_file(&policy).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&policy).status().unwrap().success());
    agent.signal("-HUP");
    // Whoever was first, this or the watch of the file.
    agent.await_log("reloading");
    agent.signal("-TERM");
    agent.await_log("SIGTERM: draining");
    assert!(agent.ended().success());
}

#[test]
fn never_closes_without_a_reply_under_load() {
    let agent = Agent::blocking();
    let socket = agent.socket.clone();
    let (answered, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(reply) = ask(&socket) {
                    assert_eq!(verdict(&reply).waf_response, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                turned_away.fetch_add(1, Ordering::Relaxed);
            });
        }
        while answered.load(Ordering::Relaxed) < 200 {
            std::thread::yield_now();
        }
        agent.signal("-TERM");
    });
    assert_eq!(turned_away.into_inner(), 4);
    agent.await_log("SIGTERM: draining");
    agent.drained();
}

/// Asks once; none if the agent was no longer there when asked. A stream that ends without a reply fails the test.
fn ask(socket: &Path) -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&pre_request("/")).ok()?;
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Ok(0) => panic!("closed without a reply"),
        Ok(_) => Some(reply),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}
