//! `cargo xtask check-plugin FILE`: whether a proxy's filter would understand a configuration whole.
//!
//! The file is read by the filter's own parser. The filter takes anything, so that a mistake shows only in a metric; this
//! task fails for one. `envoy/filter.schema.json` says the same for editors; a test holds its keys and defaults against the
//! parser's.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use portcullis_filter::config::Config;

const USAGE: &str =
    "usage: cargo xtask check-plugin FILE      FILE is the JSON that the plugin is configured with\n";

/// Runs the task.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    let (Some(file), None) = (args.next(), args.next()) else { bail!("one file is wanted\n{USAGE}") };
    if file == "--help" || file == "-h" {
        print!("{USAGE}");
        return Ok(());
    }
    let path = PathBuf::from(&file);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {file}"))?;
    let (_, problems) = Config::parse(&text);
    for problem in &problems {
        println!("{file}: {problem}");
    }
    ensure!(problems.is_empty(), "{file} is not what the filter wants");
    println!("{file}: understood whole");
    Ok(())
}

#[cfg(test)]
mod tests;
