//! Existing modules against the real agent: what they are made of is fetched from their own registry, in fixed versions.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::command::{MEMBERS, cargo, root, run as run_command, target};
use crate::node::Node;

/// The test's sources, and where they are run with the packages they need.
const SOURCES: &str = "agent/modules/nodejs";
const FOLDER: &str = ".tools/modules/nodejs";
const FILES: &[&str] = &["package.json", "module.test.js"];

/// Runs the Node.js module's cases.
pub(crate) fn test() -> Result<()> {
    let node = Node::find()?;
    run_command(cargo(&["build", "--bin", "portcullis-agent"])?.args(MEMBERS))?;
    let (sources, folder) = (root()?.join(SOURCES), root()?.join(FOLDER));
    fs::create_dir_all(&folder)?;
    for file in FILES {
        fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let install = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"];
    run_command(node.npm().args(install).current_dir(&folder))?;
    ensure!(folder.join("node_modules/sigsci-module-nodejs").is_dir(), "npm did not install the module");
    let agent = target()?.join("debug/portcullis-agent");
    run_command(
        node.node().args(["--test", "module.test.js"]).current_dir(folder).env("PORTCULLIS_AGENT", agent),
    )
}
