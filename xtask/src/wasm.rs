//! `cargo xtask wasm`: builds `target/wasm/filter.wasm`, the module that ships.
//!
//! The compiler comes from the active toolchain where it has the target `wasm32-unknown-unknown`, or from Debian's
//! `rustc-web`, which builds the standard library from `rust-web-src`; see [`toolchain`]. The build's module is then
//! finished by [`exports`]: entry points that the SDK cannot express are put in place, unused ones are dropped; and by
//! [`fence`], which spares Envoy's compiler work.

mod exports;
mod fence;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use toolchain::{TARGET, Toolchain};

/// Runs the task and says what was built.
pub(crate) fn run(mut args: impl Iterator<Item = String>) -> Result<()> {
    match args.next().as_deref() {
        None => build().map(drop),
        Some("--help" | "-h") => {
            println!("usage: cargo xtask wasm      builds {OUTPUT}");
            Ok(())
        }
        Some(other) => bail!("unexpected argument {other:?}; usage: cargo xtask wasm"),
    }
}

/// Builds the filter and answers the path of the module; does little where it is up to date.
pub(crate) fn build() -> Result<PathBuf> {
    let started = Instant::now();
    let root = root()?;
    let toolchain = Toolchain::find()?;
    let built = compile(&root, &toolchain)?;
    let module = exports::finish(&std::fs::read(&built)?).context("finishing the module's exports")?;
    ensure!(
        module.len() < MAX_BYTES,
        "filter.wasm has {} bytes; the limit is {MAX_BYTES}: look for a dependency that has grown",
        module.len()
    );
    let path = root.join(OUTPUT);
    std::fs::create_dir_all(path.parent().context("the output path has no folder")?)?;
    // An unchanged module keeps its time, so that nothing made from it is made again.
    if std::fs::read(&path).ok().as_deref() != Some(&module) {
        std::fs::write(&path, &module)?;
    }
    println!(
        "{OUTPUT}: {:.1} KB, compiler {toolchain}, {:.1} s",
        module.len() as f64 / 1000.0,
        started.elapsed().as_secs_f64()
    );
    Ok(path)
}

/// Builds the libraries of these packages with the filter's compiler, and says nothing about what comes of them.
pub(crate) fn check(packages: &[&str]) -> Result<()> {
    let names = packages.iter().flat_map(|name| ["--package", name]);
    let args: Vec<&str> = ["build", "--lib"].into_iter().chain(names).collect();
    cargo(&root()?, &Toolchain::find()?, &args, &[]).map(drop)
}

fn compile(root: &Path, toolchain: &Toolchain) -> Result<PathBuf> {
    // Beside an rlib, cargo would leave link-time optimisation out.
    let args = ["rustc", "--package", "portcullis-filter", "--lib", "--crate-type", "cdylib"];
    Ok(cargo(root, toolchain, &args, &[INLINING])?.join("portcullis_filter.wasm"))
}

/// Runs cargo for the target, the last compiler with these flags, and answers the folder of what it built.
fn cargo(root: &Path, toolchain: &Toolchain, args: &[&str], flags: &[&str]) -> Result<PathBuf> {
    // Two compilers never share a folder: each would undo the other's work.
    let dir = root.join("target").join(toolchain.folder());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(args).args(["--profile", "wasm", "--target", TARGET]);
    cargo.arg("--target-dir").arg(&dir);
    toolchain.apply(&mut cargo);
    if !flags.is_empty() {
        cargo.arg("--").args(flags);
    }
    let status = cargo.status().context("cannot start cargo")?;
    ensure!(status.success(), "cargo {} fails for {TARGET}: {status}", args.join(" "));
    Ok(dir.join(TARGET).join("wasm"))
}

fn root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as cargo xtask wasm")?;
    Ok(Path::new(&manifest).parent().context("xtask has no parent folder")?.to_path_buf())
}

/// The profile asks for small code, and that alone would leave calls in every inner loop: of what link-time optimisation
/// sees, functions up to this size are copied to where they are called, as at `opt-level = "s"`.
const INLINING: &str = "-Cllvm-args=-inline-threshold=50";

const OUTPUT: &str = "target/wasm/filter.wasm";

/// Envoy compiles the module before it serves, and it is fetched over networks.
const MAX_BYTES: usize = 2_000_000;
