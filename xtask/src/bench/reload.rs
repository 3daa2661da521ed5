//! `cargo xtask bench reload`: how long answers take while a policy of a thousand rules and a list of a hundred thousand
//! entries is loaded again, beside the time before and after.
//!
//! Requests come at a rate, over the unix socket, one connection each, whether or not earlier ones were answered: an agent
//! that stands still makes all of them late that come meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::rpc::{Server, agent_command, ask, wait};
use crate::bench::Output;
use crate::command::{cargo, run as run_command};

/// Requests a second: a third of what two cores can do, this program's own work included.
const RATE: f64 = 1500.0;
const CLIENTS: usize = 16;
const RELOADS: usize = 10;
/// Before the first reload, and after each.
const CALM: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Figures {
    rules: usize,
    entries: usize,
    requests_a_second: f64,
    reloads: usize,
    slowest_reload_ms: f64,
    before: Latency,
    during: Latency,
    after: Latency,
}

#[derive(Serialize)]
struct Latency {
    requests: usize,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

/// Runs the measurement.
pub(crate) fn run(output: Output) -> Result<()> {
    run_command(&mut cargo(&["build", "--release", "--package", "portcullis-agent"])?)?;
    output.tell("reload", measure, table)
}

fn measure(folder: &Path) -> Result<Figures> {
    let (policy, events) = (folder.join("policy.json"), folder.join("events.log"));
    fs::write(&policy, document()?)?;
    let (mut command, socket) = agent_command(folder, "agent", &policy)?;
    command.env("SIGSCI_EVENTS_LOG", &events);
    let server = Server::start(command, socket.clone())?;
    let (begun, over, turn) = (Instant::now(), AtomicBool::new(false), AtomicU32::new(0));
    // When each request was due, and how long after that it was answered.
    let client = || -> Result<Vec<(Instant, Duration)>> {
        let mut took = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let due = begun + Duration::from_secs_f64(f64::from(turn.fetch_add(1, Ordering::Relaxed)) / RATE);
            wait(due);
            ask(&socket)?;
            took.push((due, due.elapsed()));
        }
        Ok(took)
    };
    let (took, reloads) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let reloads = reload_often(&server, &events, begun);
        over.store(true, Ordering::Relaxed);
        let joined = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client failed"))?)
            .collect::<Result<Vec<_>>>()
            .map(|all| all.concat());
        Ok::<_, anyhow::Error>((joined?, reloads?))
    })?;
    let first = reloads.first().context("no reload")?.0;
    let is_during = |due: Instant| reloads.iter().any(|(from, to)| (*from..*to).contains(&due));
    let of = |wanted: &dyn Fn(Instant) -> bool| {
        Latency::new(took.iter().filter(|(due, _)| wanted(*due)).map(|(_, took)| *took).collect())
    };
    let slowest = reloads.iter().map(|(from, to)| to.duration_since(*from)).max().unwrap_or_default();
    Ok(Figures {
        rules: RULES,
        entries: ENTRIES,
        requests_a_second: RATE,
        reloads: reloads.len(),
        slowest_reload_ms: slowest.as_secs_f64() * 1e3,
        before: of(&|due| due < first)?,
        during: of(&is_during)?,
        after: of(&|due| due >= first && !is_during(due))?,
    })
}

/// Has the agent reload again and again, and tells from when to when each took.
fn reload_often(server: &Server, events: &Path, begun: Instant) -> Result<Vec<(Instant, Instant)>> {
    let loaded = || fs::read_to_string(events).map(|text| text.matches("policy-loaded").count()).unwrap_or(0);
    wait(begun + CALM);
    let mut reloads = Vec::new();
    for _ in 0..RELOADS {
        let (before, from) = (loaded(), Instant::now());
        run_quietly(Command::new("kill").arg("-HUP").arg(server.child.id().to_string()))?;
        while loaded() == before {
            ensure!(from.elapsed() < PATIENCE, "the policy is not loaded again");
            wait(Instant::now() + Duration::from_millis(2));
        }
        let to = Instant::now();
        reloads.push((from, to));
        wait(to + CALM);
    }
    Ok(reloads)
}

fn run_quietly(command: &mut Command) -> Result<()> {
    ensure!(command.status()?.success(), "the agent cannot be signalled");
    Ok(())
}

impl Latency {
    fn new(mut took: Vec<Duration>) -> Result<Self> {
        ensure!(took.len() > 100, "only {} requests", took.len());
        took.sort_unstable();
        let at = |percent: usize| {
            let place = took.len() * percent / 100;
            took.get(place).or(took.last()).copied().unwrap_or_default().as_secs_f64() * 1e6
        };
        Ok(Self { requests: took.len(), p50_us: at(50), p99_us: at(99), max_us: at(100) })
    }
}

const RULES: usize = 1000;
const ENTRIES: usize = 100_000;

/// Rules of the kinds that policies have, a tenth of them regular expressions, and a list.
fn document() -> Result<String> {
    let mut text =
        r#"{"site": {"agentLevel": "block"}, "lists": [{"name": "agents", "type": "string", "entries": ["#
            .to_owned();
    for index in 0..ENTRIES {
        let comma = if index == 0 { "" } else { "," };
        write!(text, r#"{comma}"Scraper/{index}.0 (+https://scraper-{index}.example)""#)?;
    }
    text += r#"]}], "rules": ["#;
    for index in 0..RULES {
        let (field, operator, value) = match index % 10 {
            0..=2 => ("path", "equals", format!("/api/v1/resource-{index}")),
            3 => ("path", "matches", format!(r"^/files/{index}/[a-z]+\\.php$")),
            4 | 5 => ("path", "like", format!("/shop/section-{index}/*")),
            6 => ("ip", "equals", format!("198.18.{}.0/24", index / 10)),
            7 => ("useragent", "inList", "site.agents".to_owned()),
            8 => ("useragent", "contains", format!("bad-bot-{index}")),
            _ => ("domain", "equals", format!("tenant-{index}.example")),
        };
        let comma = if index == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"id": "rule-{index}", "type": "request", "groupOperator": "all", "conditions": [{{"type": "single",
            "field": "{field}", "operator": "{operator}", "value": "{value}"}}], "actions": [{{"type": "block"}}]}}"#
        )?;
    }
    Ok(text + "]}")
}

fn table(figures: &Figures) {
    println!(
        "{} rules, a list of {} entries, {} reloads of at most {:.0} ms, {:.0} requests a second",
        figures.rules, figures.entries, figures.reloads, figures.slowest_reload_ms, figures.requests_a_second
    );
    println!("{:<8} {:>9} {:>9} {:>9} {:>9}", "", "requests", "p50 us", "p99 us", "max us");
    for (name, of) in [("before", &figures.before), ("during", &figures.during), ("after", &figures.after)] {
        println!("{name:<8} {:>9} {:>9.0} {:>9.0} {:>9.0}", of.requests, of.p50_us, of.p99_us, of.max_us);
    }
}
