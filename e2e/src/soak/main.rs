//! The path under load for a long time, while its agent is killed, hung and restarted and its configuration changes.
//!
//! Started by `cargo xtask soak`. It fails where a request is lost (no answer, or one that is neither the application's nor
//! a block), where an attack reaches the application while somebody could have judged it, where counters do not add up, or
//! where memory grows.

mod faults;
mod load;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use portcullis_e2e::app::App;
use portcullis_e2e::stack::{Binaries, DEMO, Stack};

use faults::Fault;
use load::Load;
use watch::Watch;

// The application, the clients and the faults share a thread: the machine's cores are Envoy's and the agent's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match soak().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn soak() -> Result<()> {
    let time = Duration::from_secs(seconds(std::env::args().skip(1))?);
    let app = App::start().await?;
    let mut stack = Stack::new(Binaries::from_env()?)?;
    stack.start_agent(DEMO).await?;
    let update = faults::serve_by_discovery(&mut stack, &app.address().into()).await?;
    let load = Load::start(stack.ingress()?);
    let mut watch = Watch::default();
    let started = Instant::now();
    let mut round = 0_usize;
    while started.elapsed() < time {
        let fault = Fault::of(round);
        fault.happen(&mut stack, &update, round).await?;
        watch.look(&stack, started.elapsed(), fault).await?;
        round += 1;
    }
    let sent = load.stop().await?;
    stack.ensure_running()?;
    println!("\n{round} rounds in {} s; {sent}", started.elapsed().as_secs());
    let mut faults = sent.faults();
    faults.extend(watch.faults(&stack, &sent).await?);
    stack.stop().await?;
    for fault in &faults {
        println!("WRONG: {fault}");
    }
    ensure!(faults.is_empty(), "{} things are not as they should be", faults.len());
    println!("nothing lost, nothing leaked, counters add up");
    Ok(())
}

fn seconds(mut args: impl Iterator<Item = String>) -> Result<u64> {
    match (args.next().as_deref(), args.next(), args.next()) {
        (None, ..) => Ok(600),
        (Some("--seconds"), Some(number), None) => number.parse().context("--seconds takes a number"),
        _ => bail!("usage: portcullis-soak [--seconds N]"),
    }
}
