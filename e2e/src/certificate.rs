//! A certificate for tests.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Makes a certificate for `localhost` that nobody else vouches for, `cert.pem`, and its key, `key.pem`, in `folder`; `more`
/// are further arguments of `openssl req`.
///
/// # Errors
/// When openssl is not there, or makes none.
pub fn make(folder: &Path, more: &[&str]) -> Result<()> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(more)
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .context("openssl does not start (`cargo xtask test` provides it)")?;
    if !made.status.success() {
        bail!("openssl makes no certificate: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}
