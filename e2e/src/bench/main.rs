//! What inspection costs inside Envoy: the filter in both modes beside a plain route and Envoy's own ext_authz.
//!
//! Started by `cargo xtask bench envoy`. Four Envoys of one worker each run the shipped configuration, without its access
//! log and with these differences: no filter; the filter as shipped; the filter in mode `local-first`; ext_authz before a
//! server that agrees to everything. wrk loads one after the other, in rounds, so that a machine that gets slower gets
//! slower for all. Envoy has one core of its own where the machine has two.

mod cores;
mod load;
mod report;
mod servers;
mod setups;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use portcullis_e2e::stack::{AgentSetup, Binaries, DEMO, Stack};

use load::{Load, Wrk};
use report::{Report, Row};
use servers::Servers;
use setups::Setup;

/// Rounds on the request that the shares are taken of.
const ROUNDS: usize = 3;

// The servers share a thread, as they share a core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    cores::keep_to_the_last();
    let binaries = Binaries::from_env()?;
    let mut stack = Stack::new(binaries.clone())?;
    // As long as the filter waits: see `Setup::configure`.
    stack.start_agent(AgentSetup { inspection_timeout: Some("2s"), ..DEMO }).await?;
    let servers = Servers::start(&stack.folder().join("authz.sock")).await?;
    let mut running = Vec::new();
    for setup in Setup::ALL {
        running.push(setup.start(&binaries, &stack, &servers).await?);
    }
    let wrk = Wrk::new(stack.folder(), options.seconds)?;
    let mut report = Report::default();
    for load in Load::ALL {
        let rounds = if load.is_headline() { ROUNDS } else { 1 };
        for _ in 0..rounds {
            for envoy in &mut running {
                let measured = wrk.run(load, envoy).await?;
                report.rows.push(Row { load, setup: envoy.setup, measured });
            }
        }
    }
    for envoy in &running {
        report.footprints.push((envoy.setup, envoy.footprint()?));
    }
    report.check(&running).await?;
    report.print(options.output)?;
    for envoy in running {
        envoy.stop().await?;
    }
    stack.stop().await
}

struct Options {
    output: Output,
    seconds: u32,
}

/// How the result is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Table,
    /// The table, and as the last line the shares as JSON.
    Json,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { output: Output::Table, seconds: 4 };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--json" => options.output = Output::Json,
                "--seconds" => {
                    let number = args.next().context("--seconds needs a number")?;
                    options.seconds = number.parse().context("--seconds takes a number")?;
                }
                _ => bail!("unknown option {arg}"),
            }
        }
        Ok(options)
    }
}
