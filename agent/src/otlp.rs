//! Records sent to an OpenTelemetry collector: OTLP over HTTP, in JSON, with TLS or without.
//!
//! Records wait in a bounded queue, go out in batches, and are tried again where the collector says that it is busy or
//! does not answer, when it says. What finds no place or no taker is dropped and counted: a collector never slows an answer.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use portcullis_proxy::{TlsError, client_config};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tracing::{debug, warn};

use crate::aside;
use crate::counters::Counters;
use crate::memory::{Held, Memory};
use crate::record::Record;

/// Records of one request to the collector, about how many bytes of them, and how long the first of them waits for more.
/// Collectors refuse requests of more than 20 MiB, and as JSON within JSON a record may take four times its size.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 2 * 1024 * 1024;
const GATHER: Duration = Duration::from_secs(1);

/// How often a batch is tried, and how long an attempt may take.
const ATTEMPTS: u32 = 5;
const ANSWER: Duration = Duration::from_secs(10);

/// The longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Bytes of the collector's answer that are read, and letters of its complaint that are logged.
const ANSWER_BYTES: usize = 64 * 1024;
const COMPLAINT: usize = 200;

/// A record, and the memory that it has.
type Waiting = (Box<Record>, Held);

/// The sending end.
#[derive(Clone, Debug)]
pub struct Otlp {
    queue: Sender<Waiting>,
    memory: Arc<Memory>,
    ending: Arc<Notify>,
    counters: Arc<Counters>,
}

/// What sends.
#[derive(Debug)]
pub struct Exporter {
    queue: Receiver<Waiting>,
    /// Records that are neither in the queue nor counted.
    under_way: u64,
    ending: Arc<Notify>,
    target: Target,
    /// How TLS is spoken; none where the target is plain.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    hostname: Arc<str>,
    counters: Arc<Counters>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    authority: String,
    /// Without brackets.
    host: String,
    port: u16,
    path: String,
    scheme: Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Why there is nowhere to send to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// That is no address of a collector.
    #[error("otlp-logs-url: {url:?} is not http://HOST:PORT/PATH or https://HOST:PORT/PATH")]
    Url {
        /// What was given.
        url: String,
    },
    /// Whoever reads the configuration would read a password there, and it is not sent.
    #[error("otlp-logs-url: a user's name or password has no place in it")]
    Credentials,
    /// Roots are given and nothing is checked against them.
    #[error("otlp-ca-roots: otlp-logs-url is not https")]
    Plain,
    /// The roots can not be used.
    #[error("otlp-ca-roots")]
    Roots(#[from] TlsError),
}

enum Failure {
    /// It may go better next time, and after the pause that the collector asks for.
    Passing(String, Option<Duration>),
    /// It will not.
    Final(String),
}

impl Otlp {
    /// Sends to `url`, of which the path may be left out; at most `most` records wait. `roots` is a file of those that an
    /// https collector's certificate is checked against, in the place of the system's.
    ///
    /// # Errors
    ///
    /// When `url` is none, or the roots can not be used.
    pub fn new(
        (url, roots): (&str, Option<&Path>),
        most: usize,
        hostname: Arc<str>,
        counters: &Arc<Counters>,
    ) -> Result<(Self, Exporter), OtlpError> {
        if has_credentials(url) {
            return Err(OtlpError::Credentials);
        }
        let unfit = || OtlpError::Url { url: url.to_owned() };
        let target = target(url).ok_or_else(unfit)?;
        let tls = match (target.scheme, roots) {
            (Scheme::Http, None) => None,
            (Scheme::Http, Some(_)) => return Err(OtlpError::Plain),
            (Scheme::Https, roots) => {
                let name = ServerName::try_from(target.host.clone()).map_err(|_| unfit())?;
                Some((client_config(roots)?, name))
            }
        };
        let (sender, queue) = channel(most);
        let ending = Arc::new(Notify::new());
        let (memory, counting) = (Memory::of_records(most), Arc::clone(counters));
        let otlp = Self { queue: sender, memory, ending: Arc::clone(&ending), counters: counting };
        Ok((
            otlp,
            Exporter { queue, under_way: 0, ending, target, tls, hostname, counters: Arc::clone(counters) },
        ))
    }

    /// Has `record` sent; where too many wait, or too large ones, it is dropped, and counted.
    pub fn put(&self, record: Box<Record>) {
        let mut held = self.memory.hold();
        let fits = held.grow_to(record.size()).is_ok();
        if !fits || self.queue.try_send((record, held)).is_err() {
            self.counters.otlp_dropped.add();
        }
    }

    /// No more records come.
    pub fn end(&self) {
        self.ending.notify_one();
    }
}

impl Exporter {
    /// Sends until it is told that no more records come, and all are sent.
    pub async fn run(mut self) {
        let mut batch: Vec<Waiting> = Vec::new();
        loop {
            let first = tokio::select! {
                first = self.queue.recv() => first,
                () = self.ending.notified(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut bytes = first.0.size();
            batch.push(first);
            let ending = Arc::clone(&self.ending);
            let more = async {
                while batch.len() < BATCH && bytes < BATCH_BYTES {
                    let Some(next) = self.queue.recv().await else { return };
                    bytes += next.0.size();
                    batch.push(next);
                }
            };
            tokio::select! {
                _full = timeout(GATHER, more) => {}
                // Seen again by the next turn.
                () = ending.notified() => ending.notify_one(),
            }
            self.under_way = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let (hostname, whole) = (Arc::clone(&self.hostname), std::mem::take(&mut batch));
            // A large batch takes as long as many verdicts.
            let sent = match aside::run("otlp", move || message(&hostname, &whole)).await {
                Ok(body) => self.send(body).await,
                Err(error) => Err(error.to_string()),
            };
            let count = std::mem::take(&mut self.under_way);
            match sent {
                Ok(refused) => {
                    let refused = refused.min(count);
                    self.counters.otlp_sent.add_many(count - refused);
                    self.counters.otlp_failed.add_many(refused);
                }
                Err(fault) => {
                    self.counters.otlp_failed.add_many(count);
                    warn!(fault, records = count, "cannot send records to otlp-logs-url");
                }
            }
        }
    }

    /// Sends a batch; how many of its records the collector refused for good.
    async fn send(&self, body: Bytes) -> Result<u64, String> {
        let mut pause = Duration::from_secs(1);
        let mut attempt = 1;
        loop {
            let (fault, asked) = match timeout(ANSWER, self.attempt(body.clone())).await {
                Ok(Ok(refused)) => return Ok(refused),
                Ok(Err(Failure::Final(fault))) => return Err(fault),
                Ok(Err(Failure::Passing(fault, asked))) => (fault, asked),
                Err(_) => ("no answer in time".to_owned(), None),
            };
            if attempt == ATTEMPTS {
                return Err(fault);
            }
            debug!(fault, attempt, "records are sent again");
            sleep(asked.unwrap_or_else(|| scattered(pause))).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn attempt(&self, body: Bytes) -> Result<u64, Failure> {
        let addresses = aside::lookup(&self.target.host, self.target.port).await;
        let addresses = addresses.map_err(|error| passing(&error))?;
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| passing(&error))?;
        match &self.tls {
            None => self.post(stream, body).await,
            Some((config, name)) => {
                let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await;
                self.post(stream.map_err(|error| passing(&error))?, body).await
            }
        }
    }

    async fn post<S>(&self, stream: S, body: Bytes) -> Result<u64, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut client, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| passing(&error))?;
        // Ends with the request: nothing is sent on it again.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.target.path)
            .header(HOST, &self.target.authority)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, concat!("portcullis-agent/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|error| Failure::Final(error.to_string()))?;
        let response = client.send_request(request).await.map_err(|error| passing(&error))?;
        let status = response.status();
        let asked = pause(response.headers(), Timestamp::now());
        // Read in any case: a collector may take a closed connection for a failure.
        let said = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        match status {
            _ if status.is_success() => Ok(said.map_or(0, |said| refused(&said.to_bytes()))),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Passing(status.to_string(), asked)),
            _ => Err(Failure::Final(status.to_string())),
        }
    }
}

/// Counts what is given up at the end of the process.
impl Drop for Exporter {
    fn drop(&mut self) {
        self.counters.otlp_failed.add_many(self.under_way);
        self.queue.close();
        while self.queue.try_recv().is_ok() {
            self.counters.otlp_dropped.add();
        }
    }
}

fn passing(error: &dyn std::error::Error) -> Failure {
    Failure::Passing(error.to_string(), None)
}

/// About `pause`: agents that lost the same collector must not come back to it at the same time.
fn scattered(pause: Duration) -> Duration {
    let share = u32::try_from(RandomState::new().hash_one(()) % 1000).unwrap_or_default();
    pause / 2 + pause * share / 1000
}

/// How long the collector asks to be left alone from `now` on: a number of seconds, or a date.
fn pause(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match asked.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => rfc2822::parse(asked).ok()?.timestamp().duration_since(now).try_into().unwrap_or_default(),
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// How many records of a batch that it took in part the collector says that it refused; they are not to be sent again.
fn refused(said: &[u8]) -> u64 {
    let said: Value = serde_json::from_slice(said).unwrap_or_default();
    let Some(partial) = said.get("partialSuccess") else { return 0 };
    let refused = match partial.get("rejectedLogRecords") {
        Some(Value::String(number)) => number.parse().unwrap_or_default(),
        Some(number) => number.as_u64().unwrap_or_default(),
        None => 0,
    };
    let complaint = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    if refused > 0 || !complaint.is_empty() {
        let complaint: String = complaint.chars().take(COMPLAINT).collect();
        warn!(records = refused, complaint, "otlp-logs-url takes only a part of the records");
    }
    refused
}

/// A batch as a request says it.
fn message(hostname: &str, records: &[Waiting]) -> Bytes {
    let records: Vec<Value> = records.iter().map(|(record, _)| log_record(record)).collect();
    let message = json!({ "resourceLogs": [{
        "resource": { "attributes": [
            text("service.name", "portcullis-agent"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("host.name", hostname),
        ] },
        "scopeLogs": [{ "scope": { "name": "portcullis.requests" }, "logRecords": records }],
    }] });
    message.to_string().into()
}

/// A record as a log record: what can be searched for as attributes, all of it as the body.
fn log_record(record: &Record) -> Value {
    let line = serde_json::to_value(record).unwrap_or_default();
    let field = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| line.get(name).and_then(Value::as_i64).unwrap_or(-1);
    let signals = line.get("Signals").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut tags: Vec<&str> = signals.iter().filter_map(|signal| signal.get("Type")?.as_str()).collect();
    tags.sort_unstable();
    tags.dedup();
    let tags: Vec<Value> = tags.into_iter().map(|tag| json!({ "stringValue": tag })).collect();
    let code = number("WAFResponse");
    let (level, severity) = if code == 200 { (9, "INFO") } else { (13, "WARN") };
    let nanos = record.millis().saturating_mul(1_000_000).to_string();
    let mut attributes = vec![
        text("http.request.method", &field("Method")),
        text("url.path", &field("Path")),
        text("server.address", &field("ServerName")),
        text("client.address", &field("RemoteAddr")),
        text("user_agent.original", &field("UserAgent")),
        int("waf.response", code),
        text("waf.request_id", &field("RequestIDStr")),
        json!({ "key": "waf.signals", "value": { "arrayValue": { "values": tags } } }),
    ];
    // There is none where nobody reported the response.
    attributes.extend(
        Some(number("ResponseCode"))
            .filter(|code| *code > 0)
            .map(|code| int("http.response.status_code", code)),
    );
    json!({
        "timeUnixNano": nanos,
        "severityNumber": level,
        "severityText": severity,
        "attributes": attributes,
        "body": { "stringValue": line.to_string() },
    })
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// JSON has no 64 bit numbers, so the protocol writes them as text.
fn int(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// Whether there is something before the host, which would be a user and a password.
fn has_credentials(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn target(url: &str) -> Option<Target> {
    let uri: Uri = url.parse().ok()?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return None,
    };
    let (authority, bare) = (uri.authority()?.as_str(), uri.authority()?.host());
    let host = bare.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = if authority == bare { 4318 } else { uri.port_u16()? };
    let path = match uri.path_and_query().map(PathAndQuery::as_str) {
        None | Some("" | "/") => "/v1/logs".to_owned(),
        Some(path) => path.to_owned(),
    };
    Some(Target { authority: format!("{bare}:{port}"), host, port, path, scheme })
}

#[cfg(test)]
mod tests;
