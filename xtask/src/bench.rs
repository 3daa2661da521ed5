//! `cargo xtask bench NAME`: comparisons. Each is an entry of [`BENCHES`].

mod envoy;
mod proxy;
mod reload;
pub(crate) mod rpc;

use anyhow::{Context, Result, bail};

/// How a comparison tells its result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// A table to read.
    Table,
    /// One JSON document.
    Json,
}

impl Output {
    /// Measures in a folder of its own, which is gone afterwards, and tells what came out.
    fn tell<F: serde::Serialize>(
        self,
        name: &str,
        measure: impl FnOnce(&std::path::Path) -> Result<F>,
        table: impl FnOnce(&F),
    ) -> Result<()> {
        let folder =
            crate::command::target()?.join("tmp").join(format!("bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let measured = measure(&folder);
        std::fs::remove_dir_all(&folder)?;
        let figures = measured?;
        match self {
            Self::Json => println!("{}", serde_json::to_string_pretty(&figures)?),
            Self::Table => table(&figures),
        }
        Ok(())
    }
}

struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(Output) -> Result<()>,
}

const BENCHES: &[Bench] = &[
    Bench { name: "rpc", about: "the agent beside a responder that does nothing", run: rpc::run },
    Bench { name: "reload", about: "the agent while a large policy is loaded again", run: reload::run },
    Bench { name: "proxy", about: "the agent as a reverse proxy beside nginx", run: proxy::run },
    Bench { name: "envoy", about: "the filter beside a plain route and Envoy's ext_authz", run: envoy::run },
];

/// Runs the task.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let (mut name, mut output) = (None, Output::Table);
    for arg in args {
        match arg.as_str() {
            "--json" => output = Output::Json,
            "--help" | "-h" => {
                print!("{}", help());
                return Ok(());
            }
            _ if arg.starts_with('-') || name.is_some() => bail!("unexpected argument {arg:?}\n{}", help()),
            _ => name = Some(arg),
        }
    }
    let Some(name) = name else {
        print!("{}", help());
        return Ok(());
    };
    let bench = BENCHES.iter().find(|bench| bench.name == name);
    (bench.with_context(|| format!("no comparison is named {name:?}\n{}", help()))?.run)(output)
}

fn help() -> String {
    let mut text = "usage: cargo xtask bench NAME [--json]\n\n".to_owned();
    for bench in BENCHES {
        text += &format!("  {:<12} {}\n", bench.name, bench.about);
    }
    text
}
