//! Records sent to an OpenTelemetry collector: OTLP over HTTP, in JSON, with TLS or without.
//!
//! Records wait in a bounded queue, go out in batches, and are tried again where the collector says that it is busy or
//! does not answer. What finds no place or no taker is dropped and counted: a collector never slows an answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
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
use crate::record::Record;

/// Records of one request to the collector, and how long the first of them waits for more.
const BATCH: usize = 256;
const GATHER: Duration = Duration::from_secs(1);

/// How often a batch is tried, and how long an attempt may take.
const ATTEMPTS: u32 = 5;
const ANSWER: Duration = Duration::from_secs(10);

/// Bytes of the collector's answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

/// The sending end.
#[derive(Clone, Debug)]
pub struct Otlp {
    queue: Sender<Box<Record>>,
    ending: Arc<Notify>,
    counters: Arc<Counters>,
}

/// What sends.
#[derive(Debug)]
pub struct Exporter {
    queue: Receiver<Box<Record>>,
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
    /// Roots are given and nothing is checked against them.
    #[error("otlp-ca-roots: otlp-logs-url is not https")]
    Plain,
    /// The roots can not be used.
    #[error("otlp-ca-roots")]
    Roots(#[from] TlsError),
}

enum Failure {
    /// It may go better next time.
    Passing(String),
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
        let otlp = Self { queue: sender, ending: Arc::clone(&ending), counters: Arc::clone(counters) };
        Ok((
            otlp,
            Exporter { queue, under_way: 0, ending, target, tls, hostname, counters: Arc::clone(counters) },
        ))
    }

    /// Has `record` sent; where too many wait it is dropped, and counted.
    pub fn put(&self, record: Box<Record>) {
        if self.queue.try_send(record).is_err() {
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
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let count = tokio::select! {
                count = self.queue.recv_many(&mut batch, BATCH) => count,
                () = self.ending.notified(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            let ending = Arc::clone(&self.ending);
            let more = async {
                while batch.len() < BATCH {
                    let room = BATCH - batch.len();
                    if self.queue.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            tokio::select! {
                _full = timeout(GATHER, more) => {}
                // Seen again by the next turn.
                () = ending.notified() => ending.notify_one(),
            }
            self.under_way = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            let body = Bytes::from(self.message(&batch).to_string());
            batch.clear();
            let sent = self.send(body).await;
            let count = std::mem::take(&mut self.under_way);
            match sent {
                Ok(()) => self.counters.otlp_sent.add_many(count),
                Err(fault) => {
                    self.counters.otlp_failed.add_many(count);
                    warn!(fault, records = count, "cannot send records to otlp-logs-url");
                }
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), String> {
        let mut pause = Duration::from_secs(1);
        for attempt in 1.. {
            let fault = match timeout(ANSWER, self.attempt(body.clone())).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Failure::Final(fault))) => return Err(fault),
                Ok(Err(Failure::Passing(fault))) => fault,
                Err(_) => "no answer in time".to_owned(),
            };
            if attempt == ATTEMPTS {
                return Err(fault);
            }
            debug!(fault, attempt, "records are sent again");
            sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }

    async fn attempt(&self, body: Bytes) -> Result<(), Failure> {
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

    async fn post<S>(&self, stream: S, body: Bytes) -> Result<(), Failure>
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
            .body(Full::new(body))
            .map_err(|error| Failure::Final(error.to_string()))?;
        let response = client.send_request(request).await.map_err(|error| passing(&error))?;
        let status = response.status();
        // What it says is of no use, but a collector may take a closed connection for a failure.
        let _said = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        match status {
            _ if status.is_success() => Ok(()),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Passing(status.to_string())),
            _ => Err(Failure::Final(status.to_string())),
        }
    }

    fn message(&self, records: &[Box<Record>]) -> Value {
        let records: Vec<Value> = records.iter().map(|record| log_record(record)).collect();
        json!({ "resourceLogs": [{
            "resource": { "attributes": [
                text("service.name", "portcullis-agent"),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("host.name", &self.hostname),
            ] },
            "scopeLogs": [{ "scope": { "name": "portcullis.requests" }, "logRecords": records }],
        }] })
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
    Failure::Passing(error.to_string())
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
    json!({
        "timeUnixNano": nanos,
        "severityNumber": level,
        "severityText": severity,
        "attributes": [
            text("http.request.method", &field("Method")),
            text("url.path", &field("Path")),
            text("server.address", &field("ServerName")),
            text("client.address", &field("RemoteAddr")),
            text("user_agent.original", &field("UserAgent")),
            int("http.response.status_code", number("ResponseCode")),
            int("waf.response", code),
            text("waf.request_id", &field("RequestIDStr")),
            json!({ "key": "waf.signals", "value": { "arrayValue": { "values": tags } } }),
        ],
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

fn target(url: &str) -> Option<Target> {
    let uri: Uri = url.parse().ok()?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(4318);
    let path = match uri.path() {
        "" | "/" => "/v1/logs".to_owned(),
        path => path.to_owned(),
    };
    Some(Target { authority: authority.to_string(), host, port, path, scheme })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_collectors_listen() {
        let of = |url: &str| {
            let target = target(url)?;
            Some((target.scheme, format!("{} {} {}", target.host, target.port, target.path)))
        };
        assert_eq!(of("http://collector"), Some((Scheme::Http, "collector 4318 /v1/logs".to_owned())));
        assert_eq!(of("http://[::1]:80/x"), Some((Scheme::Http, "::1 80 /x".to_owned())));
        assert_eq!(of("https://collector:443/x"), Some((Scheme::Https, "collector 443 /x".to_owned())));
        for url in ["", "collector:4318", "ftp://collector", "http://", "/v1/logs"] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn counts_what_it_gives_up() {
        let counters = Arc::new(Counters::default());
        let made = Otlp::new(("http://127.0.0.1:1", None), 10, "agent".into(), &counters);
        let (otlp, mut exporter) = made.unwrap();
        (0..3).for_each(|_| otlp.put(Box::new(Record::testing())));
        exporter.under_way = 2;
        drop(exporter);
        assert_eq!((counters.otlp_dropped.value(), counters.otlp_failed.value()), (3, 2));
    }

    #[test]
    fn refuses_roots_that_it_can_not_use() {
        let counters = Arc::new(Counters::default());
        let refused = |url: &str, roots: &str| {
            let made = Otlp::new((url, Some(Path::new(roots))), 1, "agent".into(), &counters);
            made.map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(refused("http://collector", "/roots.pem"), "otlp-ca-roots: otlp-logs-url is not https");
        assert_eq!(refused("https://collector", "/nowhere/roots.pem"), "otlp-ca-roots");
    }
}
