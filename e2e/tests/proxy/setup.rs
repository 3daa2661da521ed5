//! An agent that proxies, raw clients, and upstreams that do as a test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_e2e::wait::until;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const BLOCKING: &str = r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#;

/// An attack in a query.
pub(crate) const ATTACK: &str = "/?id=1%27%20OR%20%271%27%3D%271";

/// A running agent with one listener; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    /// Where clients connect.
    pub(crate) at: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) dir: TempDir,
}

/// What an agent is started with.
pub(crate) struct Setup<'a> {
    /// The listener's keys beside `listener` and `upstreams`.
    pub(crate) keys: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { keys: "", scheme: "http", environment: &[] }
    }
}

/// The agent's program.
pub(crate) fn binary() -> PathBuf {
    let file = std::env::var_os("PORTCULLIS_AGENT").map(PathBuf::from);
    file.expect("PORTCULLIS_AGENT is not set; start this through `cargo xtask test proxy`")
}

/// An agent's command, whose log goes to `agent.log` in `dir`.
pub(crate) fn command(dir: &TempDir) -> Command {
    std::fs::write(dir.path().join("policy.json"), BLOCKING).unwrap();
    let log = std::fs::File::create(dir.path().join("agent.log")).unwrap();
    let mut command = Command::new(binary());
    command
        .env_clear()
        .env("SIGSCI_ACCESSKEYID", "test")
        .env("SIGSCI_SECRETACCESSKEY", "test")
        .env("SIGSCI_CONFIG", "/dev/null")
        .env("SIGSCI_POLICY_FILE", dir.path().join("policy.json"))
        .env("SIGSCI_INSPECTION_TIMEOUT", "5s")
        .env("SIGSCI_ADMIN_LISTENER", "127.0.0.1:0")
        .env("SIGSCI_WAF_DATA_LOG", dir.path().join("data.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    command
}

impl Agent {
    /// Before `upstreams`, with every default.
    pub(crate) async fn plain(upstreams: &str) -> Self {
        Self::start(upstreams, Setup::default()).await
    }

    /// With these keys.
    pub(crate) async fn with(upstreams: &str, keys: &str) -> Self {
        Self::start(upstreams, Setup { keys, ..Setup::default() }).await
    }

    pub(crate) async fn start(upstreams: &str, setup: Setup<'_>) -> Self {
        let Setup { keys, scheme, environment } = setup;
        let dir = TempDir::new().unwrap();
        let keys = keys.replace("DIR", dir.path().to_str().unwrap());
        let listener = format!("app:{{listener='{scheme}://127.0.0.1:0',upstreams='{upstreams}',{keys}}}");
        let mut command = command(&dir);
        command.env("SIGSCI_REVPROXY_LISTENER", listener).envs(environment.iter().copied());
        Self::run(dir, command).await
    }

    /// Waits until it serves.
    pub(crate) async fn run(dir: TempDir, mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = dir.path().join("agent.log");
        let (at, admin) = until("the agent serves", PATIENCE, || {
            let ended = child.try_wait().unwrap();
            let text = std::fs::read_to_string(&log).unwrap();
            async move {
                assert!(ended.is_none(), "the agent ended: {text}");
                let find = |mark: &str| {
                    let line = text.lines().find(|line| line.contains(mark))?;
                    line.split("address=").nth(1)?.split_whitespace().next()?.trim_matches('"').parse().ok()
                };
                Ok(find("reverse proxy listening").zip(find("admin-listener")))
            }
        })
        .await
        .unwrap();
        Self { child, at, admin, dir }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) async fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.pid().to_string()).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the agent does not end").unwrap()
    }

    pub(crate) fn log(&self) -> String {
        self.file("agent.log")
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// Waits until a file in its folder has `text`.
    pub(crate) async fn await_file(&self, name: &str, text: &str) -> String {
        let seen = until(name, PATIENCE, || {
            let all = self.file(name);
            async move { Ok(all.contains(text).then_some(all)) }
        });
        seen.await.unwrap_or_else(|error| panic!("no {text:?} in {name} ({error}): {}", self.file(name)))
    }

    /// The sum of a metric's series whose labels hold `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let answer = exchange(self.admin, b"GET /metrics HTTP/1.0\r\n\r\n").await;
        let text = String::from_utf8(answer).unwrap();
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric is at least `least`.
    pub(crate) async fn await_metric(&self, name: &str, labels: &str, least: f64) {
        until(&format!("{name} {labels}"), PATIENCE, || async {
            Ok((self.metric(name, labels).await >= least).then_some(()))
        })
        .await
        .unwrap();
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends bytes on a connection of their own and returns all that comes back.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        exchange(self.at, bytes).await
    }

    /// A GET, as text of the whole answer.
    pub(crate) async fn get(&self, target: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
        String::from_utf8_lossy(&self.exchange(request.as_bytes()).await).into_owned()
    }
}

/// Sends bytes on a connection of their own and returns all that comes back.
pub(crate) async fn exchange(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let work = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        // A peer that refuses what comes may close before it has read all.
        let _sent = stream.write_all(bytes).await;
        let mut all = Vec::new();
        let _ended = stream.read_to_end(&mut all).await;
        all
    };
    tokio::time::timeout(PATIENCE, work).await.expect("the exchange hangs")
}

/// A connection to `to` on which `bytes` were sent.
pub(crate) async fn open(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Reads until `end` is there.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let work = async {
        while !all.windows(end.len()).any(|window| window == end) {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the end came before {}: {}", end.escape_ascii(), all.escape_ascii());
            all.extend_from_slice(&buffer[..n]);
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("no end of reading");
    all
}

/// An upstream of HTTP/1 that keeps what it is sent and answers as it is told.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<Mutex<usize>>,
    task: tokio::task::JoinHandle<()>,
}

/// What an upstream does with the n-th request, from 0, on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// Sends this and goes on.
    Answer(&'static [u8]),
    /// Sends this, and closes.
    AnswerAndClose(&'static [u8]),
    /// Never answers.
    Hang,
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Upstream {
    /// Answers every request 200.
    pub(crate) async fn ok() -> Self {
        Self::doing(|_, _| Deed::Answer(OK)).await
    }

    /// Does with each request what `deed` says of connection and request number, both from 0.
    pub(crate) async fn doing(deed: impl Fn(usize, usize) -> Deed + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let deed = Arc::new(deed);
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut count = count.lock().unwrap();
                    *count += 1;
                    *count - 1
                };
                let (log, deed) = (Arc::clone(&log), Arc::clone(&deed));
                tokio::spawn(async move { serve(stream, number, &log, &*deed).await });
            }
        });
        Self { address, seen, connections, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whole requests that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect()
    }

    /// The bytes of the last.
    pub(crate) fn last(&self) -> Vec<u8> {
        self.seen.lock().unwrap().last().cloned().unwrap_or_default()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    number: usize,
    log: &Mutex<Vec<Vec<u8>>>,
    deed: &(dyn Fn(usize, usize) -> Deed + Send + Sync),
) {
    let mut rest = Vec::new();
    for request in 0.. {
        let Some(whole) = request_from(&mut stream, &mut rest).await else { return };
        log.lock().unwrap().push(whole);
        match deed(number, request) {
            Deed::Answer(bytes) => {
                if stream.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Deed::AnswerAndClose(bytes) => {
                let _sent = stream.write_all(bytes).await;
                return;
            }
            Deed::Hang => std::future::pending().await,
        }
    }
}

/// One request off the stream, head and body.
async fn request_from(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(end) = whole(rest) {
            let tail = rest.split_off(end);
            return Some(std::mem::replace(rest, tail));
        }
        let mut buffer = [0; 16384];
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        rest.extend_from_slice(&buffer[..n]);
    }
}

fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = length {
        let end = head + length.trim().parse::<usize>().unwrap();
        return (bytes.len() >= end).then_some(end);
    }
    if text.contains("transfer-encoding: chunked") {
        let body = &bytes[head..];
        let last =
            if body.starts_with(b"0\r\n") { 0 } else { body.windows(5).position(|w| w == b"\r\n0\r\n")? + 2 };
        let end = body[last + 1..].windows(4).position(|four| four == b"\r\n\r\n")? + last + 5;
        return Some(head + end);
    }
    Some(head)
}

/// The status of an answer.
pub(crate) fn status(answer: impl AsRef<[u8]>) -> u16 {
    let text = String::from_utf8_lossy(answer.as_ref()).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status in {text:?}"))
}
