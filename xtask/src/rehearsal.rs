//! Tests in Python: of what is no crate (nginx's module, manifests), with the packages they need from PyPI.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{root, succeeds};
use crate::pypi;

const REQUIREMENTS: &str = "deploy/tests/requirements.txt";

/// A command that runs `folder` in a network and a tree of mounts of its own: every port is free there, and nothing of it
/// is left behind.
pub(crate) fn python(folder: &Path) -> Result<Command> {
    let packages = pypi::install("deploy", &root()?.join(REQUIREMENTS))?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !succeeds(Command::new("unshare").args(["--net", "--mount", "true"])) {
        // Without root, one has all rights only in a user namespace.
        command.arg("--map-root-user");
    }
    command.arg("python3").arg(folder).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
