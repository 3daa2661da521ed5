//! Tests in Python: of what is no crate (nginx's module, manifests), with the packages they need from PyPI.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{root, succeeds};
use crate::pypi;

const REQUIREMENTS: &str = "deploy/tests/requirements.txt";

/// A command that runs `folder` in a network and a tree of mounts of its own: every port is free there, and nothing of it
/// is left behind.
pub(crate) fn python(folder: &Path) -> Result<Command> {
    ensure!(
        succeeds(Command::new("unshare").args(["--net", "--mount", "true"])),
        "these tests make networks, mounts and users: run them as root, in a container with CAP_SYS_ADMIN where there is one"
    );
    let packages = pypi::install("deploy", &root()?.join(REQUIREMENTS))?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "python3"]).arg(folder);
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
