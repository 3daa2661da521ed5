//! `cargo xtask check`: what can be said of the sources without running them.

use anyhow::{Result, bail};

use crate::command::{cargo, run as run_command};

const HELP: &str = "usage: cargo xtask check      formatting, lints and documentation\n";

/// Runs the task.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    match args.next().as_deref() {
        None => {}
        Some("--help" | "-h") => {
            print!("{HELP}");
            return Ok(());
        }
        Some(other) => bail!("unexpected argument {other:?}\n{HELP}"),
    }
    format()?;
    lints()?;
    documentation()
}

/// Every file is as `cargo fmt` writes it.
pub(crate) fn format() -> Result<()> {
    run_command(&mut cargo(&["fmt", "--all", "--check"])?)
}

/// Clippy has nothing to say.
pub(crate) fn lints() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    run_command(cargo(&["clippy", "--workspace", "--all-targets"])?.args(deny))?;
    // The agent without gRPC has lines of its own.
    run_command(cargo(&["clippy", "--package", "portcullis-agent", "--no-default-features"])?.args(deny))?;
    // Not among all targets, because it does not run with all tests.
    run_command(cargo(&["clippy", "--package", "portcullis-e2e", "--test", "envoy"])?.args(deny))
}

/// The documentation builds, and its links lead somewhere.
pub(crate) fn documentation() -> Result<()> {
    run_command(
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"])?
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
