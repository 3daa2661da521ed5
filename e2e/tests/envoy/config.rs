//! The shipped file itself.

use portcullis_e2e::config::{Shipped, Upstream};
use portcullis_e2e::stack::{Binaries, Stack};
use tokio::process::Command;

#[tokio::test]
async fn the_shipped_configurations_are_valid() {
    for shipped in [Shipped::Filter, Shipped::ExtAuthz, Shipped::ExtProc] {
        validates(shipped, "http://127.0.0.1:8080").await;
    }
}

#[tokio::test]
async fn an_upstream_with_tls_is_valid() {
    validates(Shipped::Filter, "https://localhost:8443").await;
}

async fn validates(shipped: Shipped, upstream: &str) {
    let binaries = Binaries::from_env().unwrap();
    let stack = Stack::of(shipped, binaries.clone()).unwrap();
    let file = stack.configure(10000, &Upstream::parse(upstream).unwrap(), &[]).unwrap();
    let output = Command::new(&binaries.envoy)
        .args(["--mode", "validate", "--disable-hot-restart", "--config-path"])
        .arg(file)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
