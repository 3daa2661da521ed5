//! The agent as a pod runs it: a read-only root, an unprivileged user, and only `/sigsci/tmp` to write to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Agent, BLOCK, pre_request, verdict};
use tempfile::TempDir;

/// Makes a root of its own that nothing can be written to, and becomes the agent in it.
const POD: &str = r#"
set -e
root=$1 agent=$2 tmp=$3 user=$4
mount -t tmpfs -o mode=755 none "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sigsci/tmp"
for folder in /usr /lib /lib64; do
    if [ -d "$folder" ]; then mkdir -p "$root$folder"; mount --rbind "$folder" "$root$folder"; fi
done
cp "$agent" "$root/portcullis-agent"
mount --bind "$tmp" "$root/sigsci/tmp"
mount -o remount,ro "$root"
if [ "$user" = root ]; then exec chroot --userspec=65534:65534 "$root" /portcullis-agent; fi
exec chroot "$root" /portcullis-agent
"#;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

/// A command that runs the agent in a pod whose `/sigsci/tmp` is `dir`.
fn pod(dir: &Path, root: &Path) -> Command {
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let user = user.trim();
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if user == "root" {
        chown(dir, Some(65534), Some(65534)).unwrap();
    } else {
        // The only user there is has no privileges outside.
        command.arg("--map-root-user");
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(dir.join("policy.json"), BLOCK).unwrap();
    std::fs::set_permissions(dir.join("policy.json"), std::fs::Permissions::from_mode(0o644)).unwrap();
    command
        .args(["sh", "-c", POD, "pod"])
        .args([root, Path::new(env!("CARGO_BIN_EXE_portcullis-agent")), dir])
        .arg(user)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SIGSCI_ACCESSKEYID", "key-id")
        .env("SIGSCI_SECRETACCESSKEY", "key-secret")
        .env("SIGSCI_RPC_ADDRESS", "unix:/sigsci/tmp/agent.sock")
        .env("SIGSCI_SHARED_CACHE_DIR", "/sigsci/tmp/cache")
        .env("SIGSCI_POLICY_FILE", "/sigsci/tmp/policy.json")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn serves_where_only_its_folder_can_be_written_to() {
    let (dir, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut command = pod(dir.path(), root.path());
    let agent = Agent::start(dir, &mut command);
    assert_eq!(verdict(&agent.exchange(&pre_request(ATTACK))).waf_response, 406);
    agent.signal("-TERM");
    agent.await_log("SIGTERM: draining");
    let socket = agent.socket.clone();
    agent.drained();
    assert!(!socket.exists());
}

#[test]
fn says_what_it_cannot_write_to() {
    let (dir, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (option, value, text) in [
        ("SIGSCI_WAF_DATA_LOG", "/data.log", "waf-data-log: cannot open /data.log: Read-only file system"),
        ("SIGSCI_RPC_ADDRESS", "/agent.sock", "rpc-address: cannot bind /agent.sock: Read-only file system"),
        ("SIGSCI_RPC_ADDRESS", "/run/agent.sock", "folder /run does not exist"),
    ] {
        let said = common::refusal(pod(dir.path(), root.path()).env(option, value));
        assert!(said.contains(text), "{said}");
    }
}
