//! `cargo xtask soak`: the path under load for a long time, while things go wrong; see `e2e/src/soak`.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{cargo, run as run_command, target};
use crate::run::Parts;

const HELP: &str = "\
usage: cargo xtask soak [--seconds N]      10 minutes where nothing is said

Load on the shipped path while the agent is killed, hung and restarted and the filter's configuration changes. Fails
where a request is lost, memory grows, or counters do not add up.
";

/// Runs the task.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let args: Vec<String> = args.collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {}
        ["--seconds", number] if number.parse::<u64>().is_ok() => {}
        ["--help" | "-h"] => {
            print!("{HELP}");
            return Ok(());
        }
        other => bail!("unexpected arguments {other:?}\n{HELP}"),
    }
    let parts = Parts::provide()?;
    let name = "portcullis-soak";
    run_command(&mut cargo(&["build", "--release", "--package", "portcullis-e2e", "--bin", name])?)?;
    let mut soak = Command::new(target()?.join("release").join(name));
    let status = parts.tell(&mut soak).args(&args).status().context("cannot start the soak")?;
    ensure!(status.success(), "the soak failed: {status}");
    Ok(())
}
