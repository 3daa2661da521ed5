//! An agent that is killed at any moment under load: no flag that anybody saw is forgotten, and nothing that it wrote is
//! refused. `PORTCULLIS_KILL_ROUNDS` says how often.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};

use common::{Agent, MSGID, PATIENCE, command, message, verdict};
use portcullis_protocol::envelope::write_call;
use tempfile::TempDir;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

/// Two attacks flag an address.
const POLICY: &str =
    r#"{"site": {"agentLevel": "block", "attackThresholds": [{"interval": 1, "threshold": 2}]}}"#;

const ROUNDS: usize = 8;
const CLIENTS: usize = 4;

/// Flags seen before a kill, at most.
const MOST: u64 = 200;

/// Of those seen in earlier rounds, how many are looked at again.
const OLDER: usize = 50;

fn attack(socket: &Path, address: Ipv4Addr) -> Option<i32> {
    let mut message = message(ATTACK);
    message.remote_addr = address.to_string().into();
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(&write_call(MSGID, "RPC.PreRequest", &message.encode())).ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    // A reply of which the kill left a part is none.
    (!reply.is_empty()).then(|| verdict(&reply).waf_response)
}

/// Has one address after the other flagged, and tells of each whose attack was blocked, until the agent is gone.
fn flag(socket: &Path, next: &AtomicU32, seen: &Sender<Ipv4Addr>) {
    loop {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + next.fetch_add(1, Ordering::Relaxed));
        for _ in 0..3 {
            match attack(socket, address) {
                Some(406) => {
                    if seen.send(address).is_err() {
                        return;
                    }
                    break;
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}

fn start(dir: TempDir) -> Agent {
    std::fs::write(dir.path().join("policy.json"), POLICY).unwrap();
    let mut command = command(&dir);
    command
        .env("SIGSCI_POLICY_FILE", dir.path().join("policy.json"))
        // Kills are to hit snapshots, too.
        .env("SIGSCI_SNAPSHOT_INTERVAL", "100ms");
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    let complaint =
        said.iter().find(|line| line.contains(" ERROR ") || line.contains("ends within an entry"));
    assert_eq!(complaint, None);
    agent
}

#[test]
fn no_flag_that_was_seen_is_forgotten_by_a_kill() {
    let rounds = std::env::var("PORTCULLIS_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let (next, random) = (AtomicU32::new(0), RandomState::new());
    let mut all: Vec<Ipv4Addr> = Vec::new();
    let mut agent = start(TempDir::new().unwrap());
    for round in 0..rounds {
        let until = usize::try_from(1 + random.hash_one(round) % MOST).unwrap();
        let (sender, seen) = channel();
        let socket = agent.socket.clone();
        let (dir, fresh) = std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (sender, socket, next) = (sender.clone(), &socket, &next);
                scope.spawn(move || flag(socket, next, &sender));
            }
            drop(sender);
            let mut fresh: Vec<Ipv4Addr> = seen.iter().take(until).collect();
            assert_eq!(fresh.len(), until);
            let dir = agent.killed();
            // Those that were told between the last and the kill were seen, too.
            fresh.extend(seen.iter());
            (dir, fresh)
        });
        agent = start(dir);
        let older = all.iter().step_by(1 + all.len() / OLDER);
        for address in fresh.iter().chain(older) {
            assert_eq!(attack(&agent.socket, *address), Some(406), "{address} is forgotten in round {round}");
        }
        all.extend(fresh);
    }
    eprintln!("{rounds} kills, {} flags seen, none forgotten", all.len());
}
