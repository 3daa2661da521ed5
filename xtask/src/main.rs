//! The task runner: `cargo xtask TASK`. Continuous integration calls the same tasks.

mod apt;
mod bench;
mod check;
mod command;
mod corpus;
mod deploy;
mod envoy;
mod fuzz;
mod image;
mod modules;
mod nginx;
mod node;
mod plugin;
mod programs;
mod proxy;
mod pypi;
mod rehearsal;
mod run;
mod soak;
mod test;
mod wasm;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
usage: cargo xtask TASK [OPTIONS]

  run [--port N] [--upstream URL]   Envoy with the filter and the agent on 127.0.0.1:10000, before a sample app
  run --proxy [--port N] ...        the agent alone, as a reverse proxy, on 127.0.0.1:8001, before a sample app
  run [--proxy] --smoke             either, asked by itself: prints a table, exits 0 or 1
  test [GROUP...]                   everything that must hold, or only these groups
  check                             formatting, lints and documentation
  image [--context]                 builds the agent's and the filter's images below target/images
  check-plugin FILE                 whether the filter would understand a configuration whole
  soak [--seconds N]                load for 10 minutes while things go wrong
  wasm                              builds target/wasm/filter.wasm
  corpus DIR [OPTIONS]              what the engine would block of labelled requests
  bench [NAME] [--json]             comparisons; without a name: which there are

`cargo xtask TASK --help` tells more. What a task needs (a compiler for wasm32, Envoy) it gets itself.
";

fn main() -> ExitCode {
    // A comparison starts this program once more, as what it compares with.
    let outcome = match bench::rpc::respond() {
        Ok(bench::rpc::Responder::Wanted) => Ok(()),
        Ok(bench::rpc::Responder::Unwanted) => task(std::env::args().skip(1)),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(mut args: impl Iterator<Item = String>) -> Result<()> {
    match args.next().as_deref() {
        Some("bench") => bench::run(args),
        Some("check") => check::run(args),
        Some("check-plugin") => plugin::run(args),
        Some("corpus") => corpus::run(args),
        Some("image") => image::run(args),
        Some("run") => run::run(args),
        Some("soak") => soak::run(args),
        Some("test") => test::run(args),
        Some("wasm") => wasm::run(args),
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("unknown task {other:?}\n\n{HELP}"),
        None => bail!("no task given\n\n{HELP}"),
    }
}
