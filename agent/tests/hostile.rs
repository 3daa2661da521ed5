//! Peers that mean harm, while honest ones are answered.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Agent, captures, command, pre_request, verdict};
use tempfile::TempDir;

/// What a module waits for an answer.
const PATIENCE_OF_A_MODULE: Duration = Duration::from_millis(100);

/// Numbers that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// A frame that a module could have sent, before something happened to it.
    fn frame(&mut self, originals: &[Vec<u8>]) -> Vec<u8> {
        let mut frame = originals[self.below(originals.len())].clone();
        match self.below(5) {
            0 => frame.truncate(self.below(frame.len())),
            1 => {
                for _ in 0..=self.below(8) {
                    let at = self.below(frame.len());
                    frame[at] = self.next().to_le_bytes()[0];
                }
            }
            2 => {
                // A length that is a lie.
                let at = self.below(frame.len());
                let lie: &[u8] =
                    [&b"\xdb\xff\xff\xff\xff"[..], b"\xdd\xff\xff\xff\xff", b"\xdf\x00\xff\xff\xff"]
                        [self.below(3)];
                frame.splice(at..at, lie.iter().copied());
            }
            3 => frame = (0..self.below(600)).map(|_| self.next().to_le_bytes()[0]).collect(),
            _ => frame = vec![[0x91, 0x81, 0xc7, 0xdc][self.below(4)]; self.below(4000)],
        }
        frame
    }
}

#[test]
fn answers_honest_requests_in_time_among_hostile_ones() {
    let dir = TempDir::new().unwrap();
    let policy = dir.path().join("policy.json");
    std::fs::write(&policy, common::BLOCK).unwrap();
    let mut command = command(&dir);
    let agent = Agent::start(dir, command.env("SIGSCI_POLICY_FILE", policy));
    let idle: Vec<_> = (0..5000).map(|_| agent.connect()).collect();
    let slow: Vec<_> = (0..500)
        .map(|_| {
            let mut stream = agent.connect();
            stream.write_all(&pre_request("/")[..40]).unwrap();
            stream
        })
        .collect();
    let originals: Vec<_> = captures().into_iter().map(|capture| capture.wire).collect();
    let over = AtomicBool::new(false);
    let mut late = Vec::new();
    let mut asked = 0_u32;
    std::thread::scope(|scope| {
        let hostile: Vec<_> = (0..2_u64)
            .map(|thread| {
                let (originals, socket) = (&originals, &agent.socket);
                scope.spawn(move || {
                    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 + thread);
                    for _ in 0..5000 {
                        let mut stream = UnixStream::connect(socket).unwrap();
                        // It may be turned away before it has said all.
                        let _refused = stream.write_all(&noise.frame(originals));
                        let _gone = stream.shutdown(std::net::Shutdown::Write);
                        if noise.below(2) == 0 {
                            let _reset = stream.read_to_end(&mut Vec::new());
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            hostile.into_iter().for_each(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            let started = Instant::now();
            assert_eq!(verdict(&agent.exchange(&pre_request("/hello"))).waf_response, 200);
            asked += 1;
            if started.elapsed() > PATIENCE_OF_A_MODULE {
                late.push(started.elapsed());
            }
        }
    });
    assert!(asked > 50, "{asked}");
    // Beside what tests do to each other on a small machine, nobody waits longer than a module does.
    assert!(late.len() <= usize::try_from(asked).unwrap() / 100, "{} of {asked}: {late:?}", late.len());
    drop((idle, slow));
    assert!(agent.is_alive());
}
