//! `cargo xtask bench rpc`: the agent beside a responder that does nothing, asked in the way modules ask.
//!
//! One connection a request over the unix socket, 32 clients. What the agent costs is its whole CPU time, as the system
//! counts it, over the requests it answered; the do-nothing responder reads a request and writes a fixed reply, which is
//! the price of the way itself.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::bench::Output;
use crate::command::{cargo, run as run_command, target};

/// Distinct clients of an hour.
const ADDRESSES: u32 = 1_000_000;

const CLIENTS: u64 = 32;
const SECONDS: u64 = 5;

/// A small GET as a module sends it, and the reply that lets it pass.
const REQUEST: &[u8] = b"\x94\x00\x01\xaeRPC.PreRequest\x91\x8a\xadModuleVersion\xa7bench 1\xaaServerName\xacshop.example\xaaRemoteAddr\xa9192.0.2.1\xa6Method\xa3GET\xa6Scheme\xa4http\xa3URI\xb6/hello?name=bob&page=2\xa8Protocol\xa8HTTP/1.1\xa9HeadersIn\x93\x92\xa4Host\xacshop.example\x92\xaaUser-Agent\xa8curl/8.1\x92\xa6Accept\xa3*/*\xa9NowMillis\x01\xa8PostBody\xa0";
const PASS: &[u8] = b"\x94\x01\x01\xc0\x83\xabWAFResponse\xd1\x00\xc8\xa9RequestID\xa0\xaeRequestHeaders\x90";

/// The environment variable by which this program becomes the responder that does nothing.
const RESPONDER: &str = "PORTCULLIS_BENCH_RESPONDER";

#[derive(Serialize)]
struct Figures {
    agent: Measured,
    nothing: Measured,
    /// CPU time that the agent takes beyond the responder, for each request.
    agent_cpu_over_nothing_us: f64,
    /// The agent again, at 70 % of what it can do.
    agent_at_70_percent: Measured,
    agent_resident_bytes_idle: u64,
    agent_resident_bytes_after: u64,
    /// The same where it has met an attack from each of [`ADDRESSES`] clients.
    addresses: Acquainted,
}

/// What the agent holds in memory for many clients.
#[derive(Serialize)]
struct Acquainted {
    count: u32,
    resident_bytes: u64,
    /// The most until then, while snapshots were written.
    peak_bytes: u64,
    /// What each address adds to an agent that knows none.
    bytes_an_address: u64,
    /// After the end and a start that restored what was kept, and the most during that.
    restored_bytes: u64,
    restored_peak_bytes: u64,
    snapshot_file_bytes: u64,
}

#[derive(Serialize)]
struct Measured {
    requests_a_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us_a_request: f64,
}

/// Runs the comparison.
pub(crate) fn run(output: Output) -> Result<()> {
    run_command(&mut cargo(&["build", "--release", "--package", "portcullis-agent"])?)?;
    output.tell("rpc", measure, table)
}

/// Whether this process was started to be the responder.
pub(crate) enum Responder {
    /// It was, and has been.
    Wanted,
    /// It was not.
    Unwanted,
}

/// Becomes the responder if this process was started to be it.
pub(crate) fn respond() -> Result<Responder> {
    let Some(path) = std::env::var_os(RESPONDER) else { return Ok(Responder::Unwanted) };
    let listener = UnixListener::bind(path)?;
    let threads: Vec<_> = (0..4)
        .map(|_| listener.try_clone())
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|listener| thread::spawn(move || listener.incoming().flatten().for_each(pass)))
        .collect();
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(Responder::Wanted)
}

fn pass(mut stream: UnixStream) {
    let mut request = [0; 4096];
    if stream.read(&mut request).is_ok_and(|read| read > 0) && stream.write_all(PASS).is_ok() {
        let _closed = stream.shutdown(std::net::Shutdown::Write);
        while stream.read(&mut request).is_ok_and(|read| read > 0) {}
    }
}

fn measure(folder: &Path) -> Result<Figures> {
    let policy = folder.join("policy.json");
    fs::write(&policy, r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#)?;
    let (command, socket) = agent_command(folder, "agent", &policy)?;
    let agent = Server::start(command, socket)?;
    let idle = agent.resident()?;
    let full = agent.measure(None)?;
    let loaded = agent.measure(Some(full.requests_a_second * 0.7))?;
    let after = agent.resident()?;
    drop(agent);

    let addresses = acquainted(folder)?;

    let socket = folder.join("nothing.sock");
    let mut command = Command::new(std::env::current_exe()?);
    command.env(RESPONDER, &socket);
    let nothing = Server::start(command, socket)?.measure(None)?;
    Ok(Figures {
        agent_cpu_over_nothing_us: full.cpu_us_a_request - nothing.cpu_us_a_request,
        agent: full,
        nothing,
        agent_at_70_percent: loaded,
        agent_resident_bytes_idle: idle,
        agent_resident_bytes_after: after,
        addresses,
    })
}

/// What many clients take.
fn acquainted(folder: &Path) -> Result<Acquainted> {
    let policy = folder.join("watching.json");
    fs::write(&policy, r#"{"site": {"agentLevel": "log"}}"#)?;
    let (mut command, socket) = agent_command(folder, "watching", &policy)?;
    // So that some are written while clients come.
    command.env("SIGSCI_SNAPSHOT_INTERVAL", "1s");
    let agent = Server::start(command, socket.clone())?;
    let idle = agent.resident()?;
    agent.meet(ADDRESSES)?;
    let (resident, peak) = (agent.resident()?, agent.peak()?);
    agent.end()?;
    let snapshot = fs::metadata(folder.join("watching.cache/state"))?.len();
    let (command, _) = agent_command(folder, "watching", &policy)?;
    let again = Server::start(command, socket)?;
    Ok(Acquainted {
        count: ADDRESSES,
        resident_bytes: resident,
        peak_bytes: peak,
        bytes_an_address: resident.saturating_sub(idle) / u64::from(ADDRESSES),
        restored_bytes: again.resident()?,
        restored_peak_bytes: again.peak()?,
        snapshot_file_bytes: snapshot,
    })
}

/// An agent called `name` with the policy at `policy`, and its socket.
pub(super) fn agent_command(folder: &Path, name: &str, policy: &Path) -> Result<(Command, PathBuf)> {
    let socket = folder.join(name).with_extension("sock");
    let mut command = Command::new(target()?.join("release/portcullis-agent"));
    command
        .env_clear()
        .env("SIGSCI_ACCESSKEYID", "bench")
        .env("SIGSCI_SECRETACCESSKEY", "bench")
        .env("SIGSCI_CONFIG", "/dev/null")
        .env("SIGSCI_SHARED_CACHE_DIR", folder.join(name).with_extension("cache"))
        .env("SIGSCI_RPC_ADDRESS", &socket)
        .env("SIGSCI_POLICY_FILE", policy);
    Ok((command, socket))
}

/// What is measured.
pub(super) struct Server {
    pub(super) child: Child,
    socket: PathBuf,
}

impl Server {
    pub(super) fn start(mut command: Command, socket: PathBuf) -> Result<Self> {
        let child = command.stderr(Stdio::null()).spawn().context("cannot start a server")?;
        let mut server = Self { child, socket };
        let started = Instant::now();
        while ask(&server.socket).is_err() {
            ensure!(server.child.try_wait()?.is_none(), "the server ended");
            ensure!(started.elapsed() < Duration::from_secs(20), "the server does not answer");
            thread::yield_now();
        }
        Ok(server)
    }

    /// Asks for a while, as fast as it goes or at `rate` requests a second.
    fn measure(&self, rate: Option<f64>) -> Result<Measured> {
        let (before, started) = (self.cpu()?, Instant::now());
        let turn = AtomicU64::new(0);
        let mut took: Vec<Duration> = thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| self.client(started, rate, &turn))).collect();
            let joined = clients
                .into_iter()
                .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client failed"))?);
            joined.collect::<Result<Vec<_>>>().map(|all| all.concat())
        })?;
        let (cpu, wall) = (self.cpu()?.saturating_sub(before), started.elapsed());
        took.sort_unstable();
        let count = took.len();
        ensure!(count > 1000, "only {count} requests were answered");
        let at =
            |percent: usize| took.get(count * percent / 100).copied().unwrap_or_default().as_secs_f64() * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let requests = count as f64;
        Ok(Measured {
            requests_a_second: requests / wall.as_secs_f64(),
            p50_us: at(50),
            p99_us: at(99),
            cpu_us_a_request: cpu.as_secs_f64() * 1e6 / requests,
        })
    }

    fn client(&self, started: Instant, rate: Option<f64>, turn: &AtomicU64) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        while started.elapsed() < Duration::from_secs(SECONDS) {
            // What waits for its turn is counted from its turn on: a slow answer makes those behind it late, not fewer.
            let due = match rate {
                None => Instant::now(),
                Some(rate) => {
                    let turn = u32::try_from(turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX);
                    let due = started + Duration::from_secs_f64(f64::from(turn) / rate);
                    wait(due);
                    due
                }
            };
            ask(&self.socket)?;
            took.push(due.elapsed());
        }
        Ok(took)
    }

    /// Sends an attack from each of `addresses` clients.
    fn meet(&self, addresses: u32) -> Result<()> {
        let next = AtomicU32::new(0);
        thread::scope(|scope| {
            let one = || -> Result<()> {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= addresses {
                        return Ok(());
                    }
                    exchange(&self.socket, &attack(number))?;
                }
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(one)).collect();
            clients
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client failed"))?)
        })
    }

    /// CPU time of all its threads so far.
    fn cpu(&self) -> Result<Duration> {
        // The scheduler's own count, in nanoseconds; the other one is rounded to hundredths of a second.
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split_whitespace().next().context("empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    fn resident(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most that was resident so far.
    fn peak(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &'static str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
        Ok(line.split_whitespace().next().context(name)?.parse::<u64>()? * 1024)
    }

    /// Has it end in its own way.
    fn end(mut self) -> Result<()> {
        run_command(Command::new("kill").args(["-TERM", &self.child.id().to_string()]))?;
        ensure!(self.child.wait()?.success(), "the server failed at its end");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "a rate is kept by the clock, not by an event")]
pub(super) fn wait(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// Asks about a small request, which must pass.
pub(super) fn ask(socket: &Path) -> Result<()> {
    exchange(socket, REQUEST)
}

/// An attack from the client of this number.
fn attack(number: u32) -> Vec<u8> {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + number).to_string();
    let text = |text: &[u8], with: &[u8], by: &[u8]| -> Vec<u8> {
        let at = text.windows(with.len()).position(|window| window == with).unwrap_or_default();
        [text.get(..at), Some(by), text.get(at + with.len()..)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .concat()
    };
    // Short strings have their length in the byte before them.
    let length = u8::try_from(address.len()).unwrap_or_default();
    let by = [&[0xa0 | length], address.as_bytes()].concat();
    let message = text(REQUEST, b"\xa9192.0.2.1", &by);
    text(&message, b"name=bob&page=2", b"q=%3Cscript%3Ea")
}

fn exchange(socket: &Path, request: &[u8]) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request)?;
    let mut reply = Vec::with_capacity(256);
    stream.read_to_end(&mut reply)?;
    ensure!(
        reply.starts_with(b"\x94\x01\x01\xc0") && reply.windows(3).any(|window| window == b"\xd1\x00\xc8"),
        "the request did not pass"
    );
    Ok(())
}

fn table(figures: &Figures) {
    println!("one connection a request, {CLIENTS} clients, {SECONDS} s each");
    println!("{:<22} {:>10} {:>10} {:>10} {:>14}", "", "req/s", "p50 us", "p99 us", "CPU us/req");
    for (name, measured) in [
        ("agent", &figures.agent),
        ("agent at 70 %", &figures.agent_at_70_percent),
        ("nothing", &figures.nothing),
    ] {
        println!(
            "{name:<22} {:>10.0} {:>10.0} {:>10.0} {:>14.1}",
            measured.requests_a_second, measured.p50_us, measured.p99_us, measured.cpu_us_a_request
        );
    }
    println!("agent beyond nothing: {:.1} us of CPU a request", figures.agent_cpu_over_nothing_us);
    println!(
        "agent's memory: {} KiB idle, {} KiB after",
        figures.agent_resident_bytes_idle / 1024,
        figures.agent_resident_bytes_after / 1024
    );
    let known = &figures.addresses;
    println!(
        "after an attack from each of {} addresses: {} KiB, {} KiB at most, {} bytes an address",
        known.count,
        known.resident_bytes / 1024,
        known.peak_bytes / 1024,
        known.bytes_an_address
    );
    println!(
        "after a restart: {} KiB, {} KiB at most, from a snapshot of {} KiB",
        known.restored_bytes / 1024,
        known.restored_peak_bytes / 1024,
        known.snapshot_file_bytes / 1024
    );
}
