//! The filter as an OCI artifact, and what an OCI layout holds.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{fresh, write};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const MODULE: &str = "application/vnd.module.wasm.content.layer.v1+wasm";

/// Writes a layout whose one layer is the module itself.
pub(crate) fn create(module: &Path, output: &Path, version: &str) -> Result<()> {
    fs::create_dir_all(fresh(output)?.join("blobs/sha256"))?;
    let config = blob(output, b"{}", CONFIG)?;
    let mut layer = blob(output, &fs::read(module)?, MODULE)?;
    layer["annotations"] = json!({ "org.opencontainers.image.title": "plugin.wasm" });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        "annotations": {
            "org.opencontainers.image.title": "portcullis-filter",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    });
    let mut entry = blob(output, &serde_json::to_vec(&manifest)?, MANIFEST)?;
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": version });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    write(&output.join("index.json"), &serde_json::to_vec(&index)?)?;
    write(&output.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// The digest of a layout's image, and the bytes of all that it holds.
pub(crate) fn describe(layout: &Path) -> Result<(String, u64)> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    let digest = index["manifests"][0]["digest"].as_str().context("a layout without an image")?.to_owned();
    let mut bytes = 0;
    for blob in fs::read_dir(layout.join("blobs/sha256"))? {
        bytes += blob?.metadata()?.len();
    }
    Ok((digest, bytes))
}

fn blob(layout: &Path, bytes: &[u8], media: &str) -> Result<Value> {
    let part = layout.join("blobs/part");
    write(&part, bytes)?;
    let digest = sha256(&part)?;
    fs::rename(part, layout.join("blobs/sha256").join(&digest))?;
    Ok(json!({ "mediaType": media, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
}

fn sha256(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output().context("cannot start sha256sum")?;
    ensure!(output.status.success(), "sha256sum {}: {}", file.display(), output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().next().context("sha256sum says nothing")?.to_owned())
}
