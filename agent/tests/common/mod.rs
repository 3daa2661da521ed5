//! An agent in a process of its own, and a peer that speaks to it.

#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use portcullis_protocol::envelope::write_call;
use portcullis_protocol::{RpcMsgIn, RpcMsgOut};
use tempfile::TempDir;

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BLOCK: &str = r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#;

pub(crate) struct Agent {
    child: Child,
    log: Receiver<String>,
    pub(crate) dir: TempDir,
    pub(crate) socket: PathBuf,
    /// As the agent says it.
    pub(crate) address: String,
}

/// A command line for an agent with a socket in `dir`, complete unless changed.
pub(crate) fn command(dir: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-agent"));
    command
        .env_clear()
        .env("SIGSCI_ACCESSKEYID", "key-id")
        .env("SIGSCI_SECRETACCESSKEY", "key-secret")
        .env("SIGSCI_RPC_ADDRESS", dir.path().join("agent.sock"))
        .env("SIGSCI_CONFIG", "/dev/null")
        .env("SIGSCI_SHARED_CACHE_DIR", dir.path().join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs an agent that is expected not to start, and returns what it says.
pub(crate) fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("key-secret"));
    said
}

/// An agent with `policy`, an admin listener and whatever `more` sets: the agent, the listener's address, and what was said.
pub(crate) fn operated(
    dir: TempDir,
    policy: &str,
    more: impl FnOnce(&mut Command, &Path),
) -> (Agent, String, Vec<String>) {
    std::fs::write(dir.path().join("policy.json"), policy).unwrap();
    let mut command = command(&dir);
    command
        .env("SIGSCI_POLICY_FILE", dir.path().join("policy.json"))
        .env("SIGSCI_ADMIN_LISTENER", "127.0.0.1:0");
    more(&mut command, dir.path());
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    let line = said.iter().find(|line| line.contains("admin-listener")).unwrap();
    let admin = line.split("address=").nth(1).unwrap().trim().to_owned();
    (agent, admin, said)
}

impl Agent {
    /// Starts one that blocks at once.
    pub(crate) fn blocking() -> Self {
        Self::with_policy(BLOCK)
    }

    pub(crate) fn with_policy(policy: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("policy.json");
        std::fs::write(&path, policy).unwrap();
        let mut command = command(&dir);
        command.env("SIGSCI_POLICY_FILE", path);
        Self::start(dir, &mut command)
    }

    /// Starts one and waits until it listens.
    pub(crate) fn start(dir: TempDir, command: &mut Command) -> Self {
        Self::start_and_hear(dir, command, &mut Vec::new())
    }

    /// Starts one, waits until it listens, and gives what it said by then.
    pub(crate) fn start_and_hear(dir: TempDir, command: &mut Command, said: &mut Vec<String>) -> Self {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let socket = dir.path().join("agent.sock");
        let mut agent = Self { child, log, dir, socket, address: String::new() };
        let listening = agent.hear("listening address=", said);
        agent.address = listening.split('"').nth(1).unwrap().to_owned();
        agent
    }

    /// Waits for a line with `text`.
    pub(crate) fn await_log(&self, text: &str) -> String {
        self.hear(text, &mut Vec::new())
    }

    fn hear(&self, text: &str, seen: &mut Vec<String>) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no {text:?} in the log ({error}): {seen:#?}"),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Ends the process, and gives all that it has said since.
    pub(crate) fn said_until_the_end(&self) -> Vec<String> {
        self.signal("-TERM");
        // The log ends when the process does.
        std::iter::from_fn(|| self.log.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Waits for the end of the process.
    pub(crate) fn ended(mut self) -> ExitStatus {
        // The log ends when the process does.
        while self.log.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }

    /// Waits for the end of the process, which must come because all is done and not because time is up.
    pub(crate) fn drained(self) {
        let line = self.await_log(" portcullis_agent::serve: ");
        assert!(line.contains("stopped"), "{line}");
        assert!(self.ended().success());
    }

    /// The same, and keeps its folder.
    pub(crate) fn drained_leaving(mut self) -> TempDir {
        let dir = std::mem::replace(&mut self.dir, TempDir::new().unwrap());
        self.drained();
        dir
    }

    /// Kills the process, and keeps its folder.
    pub(crate) fn killed(mut self) -> TempDir {
        let dir = std::mem::replace(&mut self.dir, TempDir::new().unwrap());
        self.signal("-KILL");
        self.ended();
        dir
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends `bytes` on a connection of their own and returns all that comes back.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        everything(stream)
    }

    pub(crate) fn is_alive(&self) -> bool {
        verdict(&self.exchange(&pre_request("/hello?name=bob"))).waf_response == 200
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Asks an admin listener; gives status and body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    request(address, "GET", path)
}

/// Gives an admin listener an order.
pub(crate) fn post(address: &str, path: &str) -> (u16, String) {
    request(address, "POST", path)
}

fn request(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// What the peer sends until it closes.
pub(crate) fn everything(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// A benign request for `uri`, unless `uri` is not.
pub(crate) fn message(uri: &str) -> RpcMsgIn<'_> {
    RpcMsgIn {
        module_version: "test 1".into(),
        server_name: "shop.example".into(),
        timestamp: 1_790_000_000,
        now_millis: 1_790_000_000_000,
        remote_addr: "192.0.2.1".into(),
        method: "GET".into(),
        scheme: "http".into(),
        uri: uri.into(),
        protocol: "HTTP/1.1".into(),
        headers_in: [
            ("Host", "shop.example"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("Accept", "*/*"),
            ("Accept-Language", "en"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        ..RpcMsgIn::default()
    }
}

pub(crate) const MSGID: u32 = 0xfedc_ba98;
const REPLY_HEAD: [u8; 8] = [0x94, 0x01, 0xce, 0xfe, 0xdc, 0xba, 0x98, 0xc0];

pub(crate) fn pre_request(uri: &str) -> Vec<u8> {
    write_call(MSGID, "RPC.PreRequest", &message(uri).encode())
}

/// The verdict in a reply to a call under [`MSGID`].
pub(crate) fn verdict(reply: &[u8]) -> RpcMsgOut<'_> {
    assert!(reply.starts_with(&REPLY_HEAD), "{reply:02x?}");
    RpcMsgOut::decode(&reply[REPLY_HEAD.len()..]).unwrap()
}

/// The text of an error reply.
pub(crate) fn error_text(reply: &[u8]) -> String {
    assert_eq!((&reply[..2], reply.last()), (&[0x94, 0x01][..], Some(&0xc0)), "{reply:02x?}");
    String::from_utf8_lossy(reply).into_owned()
}

pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) wire: Vec<u8>,
    pub(crate) expect: Option<i64>,
}

/// The captures of real modules.
pub(crate) fn captures() -> Vec<Capture> {
    let text = include_str!("../../../vectors/rpc/golden.json");
    let file: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    file.into_iter()
        .map(|(name, capture)| Capture {
            name,
            wire: bytes(capture["hex"].as_str().unwrap()),
            expect: capture["expect"].as_i64(),
        })
        .collect()
}

/// Closes the sending side.
pub(crate) trait HalfClose {
    fn half_close(&self);
}

impl HalfClose for UnixStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl HalfClose for TcpStream {
    fn half_close(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}
