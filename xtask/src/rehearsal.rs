//! Tests in Python: of what is no crate (nginx's module, manifests), with the packages they need from PyPI.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{root, succeeds};
use crate::pypi;

const REQUIREMENTS: &str = "deploy/tests/requirements.txt";

/// A network, mounts and processes of their own: with the first process all others end.
const NAMESPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// A command that runs `folder` in a network, a tree of mounts and a space of processes of its own: every port is free
/// there, and nothing of it is left behind.
pub(crate) fn python(folder: &Path) -> Result<Command> {
    ensure!(
        succeeds(Command::new("unshare").args(NAMESPACES).arg("true")),
        "these tests make networks, mounts and users: run them as root, in a container with CAP_SYS_ADMIN where there is one"
    );
    let packages = pypi::install("deploy", &root()?.join(REQUIREMENTS))?;
    let mut command = Command::new("unshare");
    command.args(NAMESPACES).arg("python3").arg(folder);
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
