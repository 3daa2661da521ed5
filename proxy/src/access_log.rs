//! The access log: a line an answered request, written off the data path.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use http::Version;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::json;
use tracing::warn;

use crate::failure::Reason;
use crate::inspect::{Outcome, Shown};
use crate::settings::AccessLogFormat;

/// Lines that may wait to be written.
const QUEUE: usize = 8192;
/// How long the end of the process waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Writes lines through a bounded queue; where the disk is slower than the traffic, lines are dropped and counted.
#[derive(Debug)]
pub(crate) struct AccessLog {
    queue: SyncSender<Order>,
    format: AccessLogFormat,
    dropped: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Line(String),
    Reopen,
    Stop,
}

impl AccessLog {
    /// Opens the log at `path`, appending.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub(crate) fn open(path: &Path, format: AccessLogFormat) -> io::Result<Self> {
        let file = append(path)?;
        let (queue, orders) = sync_channel(QUEUE);
        let path = path.to_owned();
        let writer = std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(file, &path, &orders))?;
        Ok(Self { queue, format, dropped: Arc::default(), writer })
    }

    /// Queues the line of `outcome`. Never blocks.
    pub(crate) fn write(&self, outcome: &Outcome, shown: &Shown) {
        let line = line(outcome, shown, self.format, SystemTime::now());
        match self.queue.try_send(Order::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Opens the file again by its name: whoever rotates logs has moved it.
    pub(crate) fn reopen(&self) {
        if self.queue.try_send(Order::Reopen).is_err() {
            warn!("access log not reopened: its queue is full");
        }
    }

    /// How many lines were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // What is queued is written before the process ends, but whoever does not read it must not keep it from ending.
        let begun = Instant::now();
        let mut order = Order::Stop;
        while begun.elapsed() < LAST_LINES {
            match self.queue.try_send(order) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => {
                    order = back;
                    std::thread::park_timeout(Duration::from_millis(10));
                }
            }
        }
        while !self.writer.is_finished() && begun.elapsed() < LAST_LINES {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn write(file: File, path: &Path, orders: &Receiver<Order>) {
    let mut out = BufWriter::new(file);
    let mut failing = false;
    while let Ok(mut order) = orders.recv() {
        loop {
            match order {
                Order::Line(line) => {
                    let outcome = out.write_all(line.as_bytes());
                    report(outcome, path, &mut failing);
                }
                Order::Reopen => {
                    report(out.flush(), path, &mut failing);
                    match append(path) {
                        Ok(file) => out = BufWriter::new(file),
                        Err(error) => warn!(path = %path.display(), %error, "access log not reopened"),
                    }
                }
                Order::Stop => {
                    report(out.flush(), path, &mut failing);
                    return;
                }
            }
            match orders.try_recv() {
                Ok(next) => order = next,
                Err(_) => break,
            }
        }
        report(out.flush(), path, &mut failing);
    }
}

/// Tells of the first of a run of failures, not of each line that a full disk refuses.
fn report(outcome: io::Result<()>, path: &Path, failing: &mut bool) {
    match outcome {
        Ok(()) => *failing = false,
        Err(error) if !*failing => {
            *failing = true;
            warn!(path = %path.display(), %error, "access log lines are lost");
        }
        Err(_) => {}
    }
}

/// One line, with its line end.
pub(crate) fn line(outcome: &Outcome, shown: &Shown, format: AccessLogFormat, now: SystemTime) -> String {
    match format {
        AccessLogFormat::Json => json_line(outcome, shown, now),
        AccessLogFormat::Common | AccessLogFormat::Combined => ncsa(outcome, shown, format, now),
    }
}

fn ncsa(outcome: &Outcome, shown: &Shown, format: AccessLogFormat, now: SystemTime) -> String {
    let seen = &outcome.seen;
    let mut line = format!(
        "{} - - [{}] \"{} {} {}\" {} {}",
        seen.client.ip().to_canonical(),
        moment(now).strftime("%d/%b/%Y:%H:%M:%S %z"),
        quoted(seen.method.as_str().as_bytes()),
        quoted(shown.target.as_bytes()),
        version(seen.version),
        outcome.status.as_u16(),
        outcome.bytes,
    );
    if format == AccessLogFormat::Combined {
        let header = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "-".to_owned(), |value| quoted(value.as_bytes()))
        };
        let _ = write!(line, " \"{}\" \"{}\"", header(&shown.referer), header(&shown.user_agent));
    }
    let judgement = outcome.judgement.as_ref();
    let _ = writeln!(
        line,
        " waf={} signals={} decision_us={} id={} took_ms={} failure={}",
        judgement.map_or(0, |judgement| judgement.code),
        signals(outcome).unwrap_or_else(|| "-".to_owned()),
        judgement.map_or(0, |judgement| judgement.took.as_micros()),
        judgement.and_then(|judgement| judgement.request_id.as_deref()).unwrap_or("-"),
        outcome.took.as_millis(),
        outcome.failure.map_or("-", Reason::as_str),
    );
    line
}

fn json_line(outcome: &Outcome, shown: &Shown, now: SystemTime) -> String {
    let seen = &outcome.seen;
    let judgement = outcome.judgement.as_ref();
    let mut line = json!({
        "time": moment(now).timestamp().to_string(),
        "listener": &*seen.listener,
        "client": seen.client.ip().to_canonical().to_string(),
        "method": seen.method.as_str(),
        "uri": shown.target,
        "protocol": version(seen.version),
        "status": outcome.status.as_u16(),
        "bytes": outcome.bytes,
        "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        "upstream": outcome.upstream.as_deref(),
        "referer": shown.referer,
        "user_agent": shown.user_agent,
        "waf": judgement.map(|judgement| judgement.code),
        "signals": judgement.map(|judgement| &judgement.signals),
        "decision_us": judgement.map(|judgement| u64::try_from(judgement.took.as_micros()).unwrap_or(u64::MAX)),
        "request_id": judgement.and_then(|judgement| judgement.request_id.as_deref()),
        "rejection": outcome.refused.as_ref().map(|refused| refused.rejection.as_str()),
        "failure": outcome.failure.map(Reason::as_str),
        "fault": outcome.failure.map(|reason| reason.fault().as_str()),
    })
    .to_string();
    line.push('\n');
    line
}

fn moment(now: SystemTime) -> Zoned {
    let timestamp = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.to_zoned(TimeZone::UTC)
}

fn signals(outcome: &Outcome) -> Option<String> {
    if let Some(refused) = &outcome.refused {
        return Some(format!("BHH:{}", refused.rejection.as_str()));
    }
    let signals = &outcome.judgement.as_ref()?.signals;
    (!signals.is_empty()).then(|| signals.join(","))
}

/// Nothing that a client sends may end a field or a line.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/?",
    }
}
