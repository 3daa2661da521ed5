//! The agent, linked so that it needs nothing of the image.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, root, run, target};

/// Builds it and returns its path.
pub(crate) fn build() -> Result<PathBuf> {
    let host = host()?;
    let folder = target()?.join("image");
    run(cargo(&["build", "--release", "--package", "portcullis-agent", "--target", &host, "--target-dir"])?
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags()?.join("\x1f")))?;
    Ok(folder.join(host).join("release/portcullis-agent"))
}

/// Static, and without the names of this machine's folders.
fn flags() -> Result<Vec<String>> {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home).context("no HOME")?;
    Ok(vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/portcullis", root()?.display()),
        // Code that build scripts write; of several prefixes the last one counts.
        format!("--remap-path-prefix={}=/portcullis/target", target()?.display()),
        format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
    ])
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(rustc).args(["--print", "host-tuple"]).output().context("cannot start rustc")?;
    ensure!(output.status.success(), "rustc does not name its host");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
