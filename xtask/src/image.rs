//! `cargo xtask image`: the agent's and the filter's images as OCI layouts below `target/images`.
//!
//! The agent is linked statically, so that its image needs no base; buildah from Debian builds without a daemon, without a
//! registry and without privileges that a container lacks. Nothing in an image says when or where it was built: the same
//! sources give the same digest.

mod agent;
mod artifact;
mod roots;
mod sbom;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::command::{on_path, root, run as run_command, succeeds, target};
use crate::{apt, wasm};

const HELP: &str = "\
usage: cargo xtask image [--context]

Builds target/images/portcullis-agent, portcullis-filter (one layer with plugin.wasm) and portcullis-filter-artifact
(application/vnd.module.wasm.content.layer.v1+wasm), each an OCI layout with the version as its tag.

  --context   only prepares target/images/agent and target/images/filter, for another builder:
              docker build target/images/agent
";

const VERSION: &str = env!("CARGO_PKG_VERSION");
const AGENT: &str = "portcullis-agent";
const FILTER: &str = "portcullis-filter";
const ARTIFACT: &str = "portcullis-filter-artifact";

/// Runs the task.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<()> {
    let args: Vec<String> = args.collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => build().map(drop),
        ["--context"] => contexts().map(drop),
        ["--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("unexpected arguments {other:?}\n{HELP}"),
    }
}

/// Builds everything, says what came of it, and returns the folder.
pub(crate) fn build() -> Result<PathBuf> {
    let folder = contexts()?;
    find_buildah()?;
    for (context, name) in [("agent", AGENT), ("filter", FILTER)] {
        layout(&folder.join(context), &folder.join(name), name)?;
    }
    artifact::create(&folder.join("filter/plugin.wasm"), &folder.join(ARTIFACT), VERSION)?;
    for name in [AGENT, FILTER, ARTIFACT] {
        let (digest, bytes) = artifact::describe(&folder.join(name))?;
        println!("{name}:{VERSION} {digest}, {:.2} MB", bytes as f64 / 1e6);
    }
    Ok(folder)
}

/// Builds the images of the same contexts once more, beside the first: the digests must be the same.
pub(crate) fn again(folder: &Path) -> Result<PathBuf> {
    let second = folder.with_extension("again");
    let _fresh = fresh(&second)?;
    for (context, name) in [("agent", AGENT), ("filter", FILTER)] {
        // A copy has other times and other inodes.
        run_command(Command::new("cp").arg("-r").arg(folder.join(context)).arg(second.join(context)))?;
        layout(&second.join(context), &second.join(name), name)?;
    }
    artifact::create(&second.join("filter/plugin.wasm"), &second.join(ARTIFACT), VERSION)?;
    Ok(second)
}

/// What the builders are given: a folder each, with the Dockerfile and what it copies.
fn contexts() -> Result<PathBuf> {
    let folder = target()?.join("images");
    let binary = agent::build()?;
    let module = wasm::build()?;
    let (agent, filter) = (fresh(&folder.join("agent"))?, fresh(&folder.join("filter"))?);
    dockerfile("agent", &agent)?;
    dockerfile("filter", &filter)?;
    copy(&module, &filter.join("plugin.wasm"), 0o644)?;
    rootfs(&binary, &agent.join("rootfs"))?;
    // An image keeps a folder only where there is something to copy.
    fs::create_dir_all(agent.join("sigsci/tmp"))?;
    mode(&agent.join("sigsci"), 0o755)?;
    mode(&agent.join("sigsci/tmp"), 0o755)?;
    println!("contexts: {}/agent, {}/filter", folder.display(), folder.display());
    Ok(folder)
}

fn rootfs(binary: &Path, rootfs: &Path) -> Result<()> {
    for part in ["usr/sbin", "usr/bin", "bin", "sigsci/bin", "etc/ssl/certs", "usr/share/sbom"] {
        fs::create_dir_all(rootfs.join(part))?;
    }
    copy(binary, &rootfs.join("usr/sbin/portcullis-agent"), 0o755)?;
    for (name, aim) in LINKS {
        symlink(aim, rootfs.join(name))?;
    }
    for (name, text) in FILES {
        write(&rootfs.join(name), text.as_bytes())?;
    }
    write(&rootfs.join("etc/ssl/certs/ca-certificates.crt"), roots::pem().as_bytes())?;
    write(&rootfs.join("usr/share/sbom/portcullis-agent.cdx.json"), sbom::of(AGENT, VERSION)?.as_bytes())
}

/// The names under which manifests written for the vendor's image call what is in it.
const LINKS: &[(&str, &str)] = &[
    ("usr/sbin/sigsci-agent", "portcullis-agent"),
    ("sigsci/bin/sigsci-agent", "/usr/sbin/portcullis-agent"),
    // `preStop: exec: command: [sleep, "30"]`
    ("bin/sleep", "/usr/sbin/portcullis-agent"),
];

const FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nportcullis:x:65532:65532:portcullis:/:/sbin/nologin\n"),
    ("etc/group", "root:x:0:\nportcullis:x:65532:\n"),
    // Without it the C library asks DNS before /etc/hosts.
    ("etc/nsswitch.conf", "hosts: files dns\n"),
];

/// Builds one image from its context and writes it as an OCI layout.
fn layout(context: &Path, output: &Path, name: &str) -> Result<()> {
    let store = fresh(&context.with_extension("store"))?;
    let tag = format!("{name}:{VERSION}");
    let buildah = |args: &[&str]| {
        let mut command = Command::new("buildah");
        command.arg("--storage-driver=vfs").arg("--root").arg(store.join("root"));
        command.arg("--runroot").arg(store.join("run")).args(args).stdout(Stdio::null());
        command
    };
    run_command(
        buildah(&["bud", "--isolation=chroot", "--format=oci", "--layers=false", "--quiet"])
            .args(["--timestamp=0", "--build-arg"])
            .arg(format!("VERSION={VERSION}"))
            .arg("--build-arg")
            .arg(format!("REVISION={}", revision()))
            .args(["--tag", &tag])
            .arg(context),
    )?;
    let _fresh = fresh(output)?;
    run_command(buildah(&["push", "--quiet", &tag]).arg(format!("oci:{}:{VERSION}", output.display())))?;
    Ok(fs::remove_dir_all(store)?)
}

fn find_buildah() -> Result<()> {
    if on_path("buildah").is_none() {
        println!("    no buildah: asking apt-get for it");
        ensure!(
            apt::install(&["buildah"]),
            "no buildah (Debian, as root: apt-get install --no-install-recommends buildah); or build the contexts with \
             another builder: cargo xtask image --context && docker build target/images/agent"
        );
    }
    Ok(())
}

/// The commit, marked where the tree is another.
fn revision() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root().ok()?).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let clean = succeeds(Command::new("git").args(["diff", "--quiet", "HEAD"]).stdin(Stdio::null()));
    if clean { commit } else { format!("{commit}-modified") }
}

fn dockerfile(name: &str, context: &Path) -> Result<()> {
    let source = root()?.join("deploy/image").join(name).join("Dockerfile");
    copy(&source, &context.join("Dockerfile"), 0o644)
}

fn fresh(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
}

fn copy(from: &Path, to: &Path, bits: u32) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    mode(to, bits)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    mode(path, 0o644)
}

fn mode(path: &Path, bits: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(bits))?)
}
