//! `cargo xtask bench envoy`: what inspection costs inside Envoy; see `e2e/src/bench`.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::Output;
use crate::command::{cargo, on_path, run as run_command, succeeds, target};
use crate::run::Parts;

/// Runs the comparison.
pub(crate) fn run(output: Output) -> Result<()> {
    provide_wrk()?;
    let parts = Parts::provide()?;
    let name = "portcullis-bench";
    run_command(&mut cargo(&["build", "--release", "--package", "portcullis-e2e", "--bin", name])?)?;
    let mut bench = Command::new(target()?.join("release").join(name));
    if output == Output::Json {
        bench.arg("--json");
    }
    let status = parts.tell(&mut bench).status().context("cannot start the comparison")?;
    ensure!(status.success(), "the comparison failed: {status}");
    Ok(())
}

/// The load generator: the one on PATH, or Debian's package.
pub(crate) fn provide_wrk() -> Result<()> {
    if on_path("wrk").is_some() {
        return Ok(());
    }
    println!("    no wrk: asking apt-get for it");
    let apt =
        |args: &[&str]| succeeds(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive"));
    let _updated = apt(&["update", "-qq"]);
    if apt(&["install", "-y", "-qq", "--no-install-recommends", "wrk"]) && on_path("wrk").is_some() {
        return Ok(());
    }
    bail!("wrk is missing (Debian: apt-get install wrk)")
}
