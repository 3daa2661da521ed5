//! Debian's packages: installed where that needs root anyway, else unpacked into `.tools`, which changes no machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{on_path, root, run, succeeds};

/// Installs packages; false where that is not possible.
pub(crate) fn install(packages: &[&str]) -> bool {
    let apt = |args: &[&str]| succeeds(command("apt-get").args(args));
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(packages);
    is_root() && apt(&["update", "-qq"]) && apt(&install)
}

/// Unpacks packages, and what they need that is not installed, into a folder of `.tools`; does nothing the next time.
pub(crate) fn unpack(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = root()?.join(".tools").join(format!("debian-{name}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    ensure!(
        on_path("apt-get").is_some() && on_path("dpkg-deb").is_some(),
        "{} must be installed; on Debian they would be fetched",
        packages.join(", ")
    );
    let work = root()?.join(".tools").join(format!("debian-{name}.part-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let unpacked = fetch(&work, packages).with_context(|| {
        format!("cannot get them. As root: apt-get update && apt-get install {}", packages.join(" "))
    });
    let moved = unpacked.and_then(|unpacked| Ok(std::fs::rename(unpacked, &folder)?));
    std::fs::remove_dir_all(&work)?;
    moved.map(|()| folder)
}

fn fetch(work: &Path, packages: &[&str]) -> Result<PathBuf> {
    if needed(packages).is_err() {
        // A fresh machine has no lists of packages yet.
        ensure!(is_root() && succeeds(command("apt-get").args(["update", "-qq"])), "apt-get update");
    }
    run(command("apt-get").args(["download", "-qq"]).args(needed(packages)?).current_dir(work))?;
    let unpacked = work.join("unpacked");
    for entry in std::fs::read_dir(work)? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
        }
    }
    Ok(unpacked)
}

/// The packages themselves and those that an installation would add.
fn needed(packages: &[&str]) -> Result<BTreeSet<String>> {
    let output = command("apt-get")
        .args(["install", "--simulate", "-qq", "--no-install-recommends"])
        .args(packages)
        .output()
        .context("cannot start apt-get")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8_lossy(&output.stdout);
    let added = text.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(added.chain(packages.iter().copied()).map(str::to_owned).collect())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
