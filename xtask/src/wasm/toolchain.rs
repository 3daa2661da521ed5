//! Finding a compiler with a standard library for the target, without changing the active toolchain's files.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::apt;

/// No WASI: the host offers none of it.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// Where the compiler and its standard library come from.
pub(super) enum Toolchain {
    /// The active toolchain has the target.
    Active,
    /// Debian's compiler builds the standard library from its source package; the linker is the active toolchain's.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// Takes what is there, then tries to get what is missing: by rustup first, by apt-get second.
    pub(super) fn find() -> Result<Toolchain> {
        let (active, debian) = (active_has_target(), debian_is_ready());
        if active {
            return Ok(Toolchain::Active);
        }
        if !debian {
            if succeeds(Command::new("rustup").args(["target", "add", TARGET])) && active_has_target() {
                return Ok(Toolchain::Active);
            }
            if !apt::install(&PACKAGES) || !debian_is_ready() {
                bail!(
                    "no Rust compiler for {TARGET}. Either of these ways provides one:\n  \
                     rustup target add {TARGET}\n  \
                     apt-get update && apt-get install -y --no-install-recommends {}   (Debian 12, as root)",
                    PACKAGES.join(" ")
                );
            }
        }
        Ok(Toolchain::Debian { linker: rust_lld()? })
    }

    /// The folder below `target` that this compiler builds in.
    pub(super) fn folder(&self) -> &'static str {
        match self {
            Toolchain::Active => "wasm-active",
            Toolchain::Debian { .. } => "wasm-debian",
        }
    }

    /// Points a cargo command at this compiler.
    pub(super) fn apply(&self, cargo: &mut Command) {
        match self {
            Toolchain::Active => {}
            Toolchain::Debian { linker } => {
                // Building the standard library is a nightly feature; this compiler takes it when told to.
                cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                cargo.arg("-Zbuild-std=std,panic_abort");
                // As a standard library is that comes built.
                for name in QUICK {
                    cargo.arg("--config").arg(format!("profile.wasm.package.{name}.opt-level=3"));
                }
            }
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Toolchain::Active => "of the active toolchain",
            Toolchain::Debian { .. } => "of Debian's rustc-web",
        })
    }
}

fn active_has_target() -> bool {
    let folder = printed(&["--print", "target-libdir", "--target", TARGET]);
    folder.is_some_and(|folder| Path::new(&folder).is_dir())
}

fn debian_is_ready() -> bool {
    let version = output(Command::new(DEBIAN_RUSTC).arg("--version"));
    // "rustc 1.96.0 (...)"
    let minor = version.as_deref().and_then(|text| text.split('.').nth(1)?.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= MIN_MINOR) && Path::new(DEBIAN_SOURCE).is_dir()
}

fn rust_lld() -> Result<PathBuf> {
    let sysroot = printed(&["--print", "sysroot"]).context("rustc does not name its sysroot")?;
    let host = printed(&["--print", "host-tuple"]).context("rustc does not name its host")?;
    let linker = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    if !linker.is_file() {
        bail!("{} is missing; a toolchain installed by rustup has it", linker.display());
    }
    Ok(linker)
}

fn printed(args: &[&str]) -> Option<String> {
    output(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"))).args(args))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Parts of the standard library of which code stays that is called for every header.
const QUICK: [&str; 3] = ["alloc", "compiler_builtins", "core"];

const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std";

/// The workspace's `rust-version`.
const MIN_MINOR: u32 = 95;
