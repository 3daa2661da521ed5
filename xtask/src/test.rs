//! `cargo xtask test`: everything that must hold, in groups, the quick ones first.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{MEMBERS, cargo, root, run as run_command};
use crate::programs::{self, CHROMEDRIVER, CHROMIUM, CURL, OPENSSL};
use crate::pypi;
use crate::run::Parts;
use crate::{check, deploy, fuzz, modules, nginx, proxy, wasm};

struct Group {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<()>,
}

const GROUPS: &[Group] = &[
    Group { name: "fmt", about: "formatting", run: check::format },
    Group { name: "clippy", about: "lints, as errors", run: check::lints },
    Group { name: "unit", about: "the unit tests of every crate", run: unit },
    Group {
        name: "fuzz",
        about: "a smoke run of every fuzz target, where there is a nightly compiler",
        run: fuzz::smoke,
    },
    Group { name: "wasm", about: "the pure crates and the filter build for wasm32", run: wasm32 },
    Group { name: "host", about: "the filter in a scripted WebAssembly host", run: host },
    Group { name: "modules", about: "existing modules with the real agent", run: modules::test },
    Group { name: "nginx", about: "the Lua module in a real nginx, with the real agent", run: nginx::test },
    Group {
        name: "proxy",
        about: "the agent as a reverse proxy, with real clients and upstreams",
        run: proxy::test,
    },
    Group { name: "envoy", about: "the filter in a real Envoy, with the real agent", run: envoy },
    Group { name: "deploy", about: "images and manifests, checked and rehearsed", run: deploy::test },
    Group {
        name: "matrix",
        about: "the filter in every Envoy it supports, with and without its flag",
        run: matrix,
    },
];

/// A group can not run here, which is no failure but must be seen: no other group may say so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Absent(pub(crate) &'static str);

impl std::fmt::Display for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NOT RUN: {}", self.0)
    }
}

impl std::error::Error for Absent {}

/// How a group ended.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Passed,
    Failed,
    Absent(Absent),
}

/// The crates without I/O, clock and environment. That they build where there is none keeps them so.
const PURE: &[&str] = &["portcullis-protocol", "portcullis-detect", "portcullis-policy"];

/// Runs the task.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let names: Vec<String> = args.collect();
    if names.iter().any(|name| name == "--help" || name == "-h") {
        print!("{}", help());
        return Ok(());
    }
    let groups = chosen(&names)?;
    let mut outcomes = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        println!("\n==> [{}/{}] {}: {}", number + 1, groups.len(), group.name, group.about);
        let started = Instant::now();
        let outcome = (group.run)();
        let outcome = match outcome {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                eprintln!("error: {error:#}");
                error.downcast_ref().map_or(Outcome::Failed, |absent| Outcome::Absent(*absent))
            }
        };
        outcomes.push((group.name, outcome, started.elapsed()));
    }
    summary(&outcomes)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Group>> {
    if names.is_empty() {
        return Ok(GROUPS.iter().collect());
    }
    let find = |name: &String| {
        let group = GROUPS.iter().find(|group| group.name == name);
        group.with_context(|| format!("no group is named {name:?}\n{}", help()))
    };
    names.iter().map(find).collect()
}

fn summary(outcomes: &[(&str, Outcome, Duration)]) -> Result<()> {
    println!("\n==> summary");
    for (name, outcome, took) in outcomes {
        let (shown, remark) = match outcome {
            Outcome::Passed => ("passed", String::new()),
            Outcome::Failed => ("FAILED", String::new()),
            Outcome::Absent(absent) => ("ABSENT", format!("   {absent}")),
        };
        println!("    {name:<8} {shown:<7} {:>7.1} s{remark}", took.as_secs_f64());
    }
    let failed = outcomes.iter().filter(|(_, outcome, _)| matches!(outcome, Outcome::Failed));
    let failed: Vec<&str> = failed.map(|(name, ..)| *name).collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("failed: {}", failed.join(", ")),
    }
}

/// The property tests' seed. The same inputs every time: what fails here fails for everybody. New ones are the fuzz
/// targets' work, and a plain `cargo test` draws them too.
const SEED: &str = "20261123";

fn unit() -> Result<()> {
    run_command(cargo(&["test", "--no-fail-fast"])?.args(MEMBERS).env("PROPTEST_RNG_SEED", SEED))
}

fn wasm32() -> Result<()> {
    wasm::check(PURE)?;
    wasm::build().map(drop)
}

fn host() -> Result<()> {
    let filter = wasm::build()?;
    run_command(cargo(&["test", "--package", "portcullis-host-tests"])?.env("PORTCULLIS_FILTER_WASM", filter))
}

/// What speaks HTTP/3 in the group `envoy`.
const HTTP3: &str = "e2e/tests/envoy/peers/requirements.txt";

fn envoy() -> Result<()> {
    programs::provide(&[CHROMIUM, CHROMEDRIVER, CURL, OPENSSL])?;
    let packages = pypi::install("envoy", &root()?.join(HTTP3))?;
    let parts = Parts::provide()?;
    // Each test starts an Envoy and an agent of its own: few at a time, or their timeouts measure the machine.
    let mut tests = cargo(&["test", "--test", "envoy"])?;
    let here = ["--", "--test-threads=2", "--skip", "matrix::"];
    run_command(parts.tell(tests.args(MEMBERS).args(here)).env("PYTHONPATH", packages))
}

/// A few tests on each version; all of them on all would take an hour.
fn matrix() -> Result<()> {
    let parts = Parts::provide()?;
    for version in crate::envoy::VERSIONS {
        let envoy = crate::envoy::of_version(version)?;
        let mut tests = cargo(&["test", "--test", "envoy"])?;
        let tests = tests.args(MEMBERS).args(["--", "--test-threads=2", "matrix::"]);
        run_command(parts.tell(tests).env("PORTCULLIS_ENVOY", envoy))?;
    }
    Ok(())
}

fn help() -> String {
    let mut text =
        "usage: cargo xtask test [GROUP...]      without a name: all of them, in this order\n\n".to_owned();
    for group in GROUPS {
        text += &format!("  {:<8} {}\n", group.name, group.about);
    }
    text
}
