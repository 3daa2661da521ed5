//! The agent as a pod runs it: a read-only root, an unprivileged user, and only `/sigsci/tmp` to write to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Agent, BLOCK, PATIENCE, everything, pre_request, verdict};
use tempfile::TempDir;

/// Makes a root of its own that nothing can be written to, and becomes the agent in it.
const POD: &str = r#"
set -e
root=$1 agent=$2 tmp=$3 user=$4 small=$5
mount -t tmpfs -o mode=755 none "$root"
mkdir -p "$root/dev" "$root/proc" "$root/sigsci/tmp"
for folder in /usr /lib /lib64; do
    if [ -d "$folder" ]; then mkdir -p "$root$folder"; mount --rbind "$folder" "$root$folder"; fi
done
cp "$agent" "$root/portcullis-agent"
if [ -n "$small" ]; then
    mount -t tmpfs -o "size=$small,mode=777" none "$root/sigsci/tmp"
    cp "$tmp/policy.json" "$root/sigsci/tmp/"
else
    mount --bind "$tmp" "$root/sigsci/tmp"
fi
mount -o remount,ro "$root"
if [ "$user" = root ]; then exec chroot --userspec=65534:65534 "$root" /portcullis-agent; fi
exec chroot "$root" /portcullis-agent
"#;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

/// A command that runs the agent in a pod whose `/sigsci/tmp` is `dir`.
fn pod(dir: &Path, root: &Path) -> Command {
    pod_with(dir, root, "")
}

/// The same; where `small` is a size, `/sigsci/tmp` is a disk of that size of its own.
fn pod_with(dir: &Path, root: &Path, small: &str) -> Command {
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
        .args([user, small])
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

#[test]
fn keeps_judging_on_a_full_disk_and_says_so() {
    let (dir, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut command = pod_with(dir.path(), root.path(), "64k");
    command
        .env("SIGSCI_RPC_ADDRESS", "127.0.0.1:0")
        .env("SIGSCI_ADMIN_LISTENER", "127.0.0.1:0")
        .env("SIGSCI_WAF_DATA_LOG", "/sigsci/tmp/data.log")
        .env("SIGSCI_CONTEXT_EXPIRATION", "10ms")
        .env("SIGSCI_CLEANER_INTERVAL", "10ms");
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    let ask = || {
        let mut stream = TcpStream::connect(&agent.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&pre_request(ATTACK)).unwrap();
        verdict(&everything(stream)).waf_response
    };
    // A record has about a kilobyte.
    for _ in 0..200 {
        assert_eq!(ask(), 406);
    }
    agent.await_log("cannot write a record");
    assert_eq!(ask(), 406);
    let line = said.iter().find(|line| line.contains("admin-listener")).unwrap();
    let admin = line.split("address=").nth(1).unwrap().trim();
    let metrics = common::get(admin, "/metrics").1;
    let failed = metrics.lines().find_map(|line| line.strip_prefix("waf_records_total{outcome=\"failed\"} "));
    assert!(failed.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
}
