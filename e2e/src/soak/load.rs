//! Clients that never stop: ordinary requests, forms, uploads and attacks over connections that are kept.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use portcullis_e2e::samples::noise;
use portcullis_e2e::smoke::BLOCK;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Requests under way at once.
const CLIENTS: usize = 16;

/// The clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Sent>>>,
}

/// What was sent and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) requests: u64,
    passed: u64,
    blocked: u64,
    /// Attacks that the application answered: there was nobody to judge them.
    unjudged: u64,
    /// Ordinary requests that were blocked.
    alarms: u64,
    /// Requests without an answer, or with one that is neither the application's nor a block.
    lost: u64,
    first_lost: Option<String>,
}

impl Load {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|client| tokio::spawn(work(to, client, Arc::clone(&stop)))).collect();
        Self { stop, clients }
    }

    /// Lets every client finish its request.
    pub(crate) async fn stop(self) -> Result<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for client in self.clients {
            all.add(client.await??);
        }
        Ok(all)
    }
}

async fn work(to: SocketAddr, client: usize, stop: Arc<AtomicBool>) -> Result<Sent> {
    let upload = noise(100_000);
    let mut sent = Sent::default();
    let mut connection = connect(to).await?;
    let mut number = client;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let (request, kind) = request(number, &upload)?;
        if !connection.is_ready() {
            // Closed between two requests, as either side may.
            connection = connect(to).await?;
        }
        sent.requests += 1;
        match exchange(&mut connection, request).await {
            Ok(status) => sent.count(kind, status),
            Err(error) => {
                sent.lose(format!("{kind:?}: {error:#}"));
                connection = connect(to).await?;
            }
        }
    }
    Ok(sent)
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(
    connection: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode> {
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    response.into_body().collect().await?;
    Ok(status)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Attack,
}

fn request(number: usize, upload: &Bytes) -> Result<(Request<Full<Bytes>>, Kind)> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let (method, target, media, body, kind) = match number % 10 {
        0 => (Method::GET, "/shop?id=1%27%20OR%20%271%27%3D%271", "", Bytes::new(), Kind::Attack),
        1 => (Method::POST, "/form", FORM, "q=%3Cscript%3Ealert%281%29%3C%2Fscript%3E".into(), Kind::Attack),
        2 | 3 => (Method::POST, "/form", FORM, "name=bob&comment=two+words".into(), Kind::Ordinary),
        4 => (Method::POST, "/upload", "application/octet-stream", upload.clone(), Kind::Ordinary),
        _ => (Method::GET, "/shop?category=garden&page=2", "", Bytes::new(), Kind::Ordinary),
    };
    let mut request = Request::builder().method(method).uri(target).header("host", "soak");
    request = request.header("user-agent", "Mozilla/5.0 (soak)").header("accept", "*/*");
    if !media.is_empty() {
        request = request.header("content-type", media);
    }
    Ok((request.body(Full::new(body)).context("a request")?, kind))
}

impl Sent {
    fn count(&mut self, kind: Kind, status: StatusCode) {
        match (kind, status.as_u16()) {
            (Kind::Ordinary, 200) => self.passed += 1,
            (Kind::Attack, BLOCK) => self.blocked += 1,
            (Kind::Attack, 200) => self.unjudged += 1,
            (Kind::Ordinary, BLOCK) => self.alarms += 1,
            (_, other) => self.lose(format!("{kind:?} answered {other}")),
        }
    }

    fn lose(&mut self, how: String) {
        self.lost += 1;
        self.first_lost.get_or_insert(how);
    }

    fn add(&mut self, other: Sent) {
        self.requests += other.requests;
        self.passed += other.passed;
        self.blocked += other.blocked;
        self.unjudged += other.unjudged;
        self.alarms += other.alarms;
        self.lost += other.lost;
        self.first_lost = self.first_lost.take().or(other.first_lost);
    }

    /// What of it should not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.lost > 0 {
            let how = self.first_lost.as_deref().unwrap_or_default();
            faults.push(format!("{} requests were lost, the first so: {how}", self.lost));
        }
        if self.alarms > 0 {
            faults.push(format!("{} ordinary requests were blocked", self.alarms));
        }
        if self.passed == 0 || self.blocked == 0 {
            faults.push("no request passed, or no attack was blocked".to_owned());
        }
        faults
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, passed, blocked, unjudged, lost, .. } = self;
        write!(
            f,
            "{requests} requests: {passed} passed, {blocked} attacks blocked, {unjudged} attacks passed while no \
             verdict was to be had, {lost} lost"
        )
    }
}
