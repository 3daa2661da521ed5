//! `cargo xtask run`: builds everything, then becomes the demo.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{MEMBERS, cargo, run as run_command, target};
use crate::{envoy, proxy, wasm};

const HELP: &str = "\
usage: cargo xtask run [--port N] [--upstream URL]
       cargo xtask run --proxy [--port N] [--upstream URL]
       cargo xtask run [--proxy] --smoke

Builds the filter and the agent, finds or fetches Envoy, and starts the three before a sample application.
With --proxy there is neither Envoy nor filter: the agent itself is the reverse proxy.

  --port N         listen on 127.0.0.1:N instead of 10000, or of 8001 with --proxy
  --upstream URL   protect the application at http(s)://host[:port] instead of the sample
                   (the certificate of an https one is not checked)
  --smoke          send requests and attacks, print a table, exit 0 or 1; uses free ports

Ctrl-C stops everything and leaves nothing behind.
";

/// What the demo and the end-to-end tests are made of.
pub(crate) struct Parts {
    envoy: PathBuf,
    agent: PathBuf,
    filter: PathBuf,
}

impl Parts {
    /// Builds or finds each.
    pub(crate) fn provide() -> Result<Self> {
        println!("==> filter.wasm");
        let filter = wasm::build()?;
        println!("==> portcullis-agent");
        run_command(&mut cargo(&["build", "--release", "--package", "portcullis-agent"])?)?;
        println!("==> Envoy");
        Ok(Self { envoy: envoy::find()?, agent: target()?.join("release/portcullis-agent"), filter })
    }

    /// Tells a command where they are.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("PORTCULLIS_ENVOY", &self.envoy)
            .env("PORTCULLIS_AGENT", &self.agent)
            .env("PORTCULLIS_FILTER_WASM", &self.filter)
    }
}

/// Runs the task.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let args: Vec<String> = args.collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    // The demo reads its options itself: asked before anything long, it refuses what it does not understand.
    println!("==> demo");
    run_command(cargo(&["build", "--bin", "portcullis-demo"])?.args(MEMBERS))?;
    let demo = target()?.join("debug/portcullis-demo");
    let understood =
        Command::new(&demo).arg("--check").args(&args).status().context("cannot start the demo")?;
    ensure!(understood.success(), "see `cargo xtask run --help`");
    let mut command = Command::new(&demo);
    if args.iter().any(|arg| arg == "--proxy") {
        println!("==> portcullis-agent");
        let error = command.env("PORTCULLIS_AGENT", proxy::agent()?).args(&args).exec();
        bail!("cannot start {}: {error}", demo.display());
    }
    let parts = Parts::provide()?;
    // Only an error returns: from here on this process is the demo, and signals reach it directly.
    let error = parts.tell(&mut command).args(&args).exec();
    bail!("cannot start {}: {error}", demo.display())
}
