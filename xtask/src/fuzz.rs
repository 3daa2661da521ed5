//! A smoke run of every fuzz target: the same inputs for everybody, a few seconds each.
//!
//! The targets need nightly's coverage instrumentation. They are built as cargo-fuzz builds them, without it, so that
//! a compiler is all it takes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{root, run, target};
use crate::test::Absent;

/// Executions of a target, and the seconds after which it stops before them.
const RUNS: &str = "-runs=20000";
const SECONDS: &str = "-max_total_time=6";

/// What cargo-fuzz passes to the compiler.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks";

/// Builds and runs every target.
///
/// # Errors
/// [`Absent`] where there is no nightly compiler; else when a target does not build, or fails.
pub(crate) fn smoke() -> Result<()> {
    let nightly = || {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly"]).env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    let Some(host) = host(nightly().args(["rustc", "-vV"])) else {
        return Err(Absent("no nightly compiler: rustup toolchain install nightly --profile minimal").into());
    };
    let folder = root()?.join("fuzz");
    let names = targets(&folder)?;
    let out = target()?.join("fuzz");
    run(nightly()
        .args(["cargo", "build", "--profile", "smoke", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&out)
        // Named, it keeps the flags away from build scripts, which could not be linked with them.
        .args(["--target", &host])
        .env("RUSTFLAGS", FLAGS))?;
    for name in names {
        let artifacts = out.join("artifacts").join(&name);
        std::fs::create_dir_all(&artifacts)?;
        let mut command = Command::new(out.join(&host).join("smoke").join(&name));
        command.args([RUNS, SECONDS, "-seed=1", "-max_len=256", "-timeout=10", "-rss_limit_mb=1024"]);
        command.args(["-print_final_stats=1", "-verbosity=0"]);
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        // Targets of one crate share a dictionary.
        let subject = name.split('_').next().unwrap_or_default();
        let dictionary = folder.join("dictionaries").join(format!("{subject}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        let seeds = folder.join("seeds").join(&name);
        // New inputs go to the first folder, which must not be the one with the seeds.
        let corpus = out.join("corpus").join(&name);
        std::fs::create_dir_all(&corpus)?;
        command.arg(corpus);
        if seeds.is_dir() {
            command.arg(seeds);
        }
        run(&mut command).with_context(|| {
            format!("the fuzz target {name} fails; the input is in {}", artifacts.display())
        })?;
    }
    Ok(())
}

/// The machine that the compiler builds for where nobody says otherwise; none where there is no compiler.
fn host(version: &mut Command) -> Option<String> {
    let output = version.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// Every target by name, so that none is forgotten.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("fuzz_targets"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    ensure!(!names.is_empty(), "no fuzz targets in {}", folder.display());
    names.sort();
    Ok(names)
}
