//! Programs that Debian has: those on PATH, or installed where we may.

use anyhow::{Result, bail, ensure};

use crate::apt;
use crate::command::on_path;

/// A program and the package that brings it.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const CURL: Program = Program { name: "curl", package: "curl" };
pub(crate) const NGHTTP: Program = Program { name: "nghttp", package: "nghttp2-client" };
pub(crate) const H2LOAD: Program = Program { name: "h2load", package: "nghttp2-client" };
pub(crate) const NGINX: Program = Program { name: "nginx", package: "nginx-light" };
pub(crate) const OPENSSL: Program = Program { name: "openssl", package: "openssl" };
pub(crate) const CHROMIUM: Program = Program { name: "chromium", package: "chromium" };
pub(crate) const CHROMEDRIVER: Program = Program { name: "chromedriver", package: "chromium-driver" };
pub(crate) const WRK: Program = Program { name: "wrk", package: "wrk" };

/// Sees to it that all of them are on PATH.
///
/// # Errors
/// Names those that are missing and cannot be installed, and how to get them.
pub(crate) fn provide(programs: &[Program]) -> Result<()> {
    let missing: Vec<&Program> = programs.iter().filter(|program| on_path(program.name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    packages.sort_unstable();
    packages.dedup();
    ensure!(apt::install(&packages), "missing: run `apt-get install {}` as root", packages.join(" "));
    match missing.iter().find(|program| on_path(program.name).is_none()) {
        None => Ok(()),
        Some(program) => bail!("apt-get installed {} but {} is not on PATH", program.package, program.name),
    }
}
