//! `cargo xtask test proxy`: the agent as a reverse proxy, with the programs it is tried with.

use std::path::PathBuf;

use anyhow::Result;

use crate::command::{MEMBERS, cargo, root, run as run_command, target};
use crate::programs::{self, CHROMEDRIVER, CHROMIUM, CURL, H2LOAD, NGHTTP, NGINX, OPENSSL};
use crate::pypi;

/// What the peers in Python are made of.
const REQUIREMENTS: &str = "e2e/tests/proxy/peers/requirements.txt";

/// Runs the group.
pub(crate) fn test() -> Result<()> {
    programs::provide(&[CURL, NGHTTP, H2LOAD, NGINX, OPENSSL, CHROMIUM, CHROMEDRIVER])?;
    let packages = pypi::install("proxy", &root()?.join(REQUIREMENTS))?;
    let agent = agent()?;
    // Each test starts an agent of its own: few at a time, or their timeouts measure the machine.
    let mut tests = cargo(&["test", "--test", "proxy"])?;
    tests.args(MEMBERS).args(["--", "--test-threads=4"]);
    run_command(tests.env("PORTCULLIS_AGENT", agent).env("PYTHONPATH", packages))
}

/// The agent as it ships.
///
/// # Errors
/// When it does not build.
pub(crate) fn agent() -> Result<PathBuf> {
    run_command(&mut cargo(&["build", "--release", "--package", "portcullis-agent"])?)?;
    Ok(target()?.join("release/portcullis-agent"))
}
