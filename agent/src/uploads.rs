//! What the agent would tell a console, told to whoever is near: `upload-log`, `upload-syslog`, `debug-log-uploads`.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_config::Settings;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::counters::Counters;
use crate::debug_log::{self, Level};
use crate::lines::{Kind, Lines, LinesError, Writer};
use crate::process;
use crate::service::Service;

/// Where the system's log listens.
const SYSLOG: &str = "/dev/log";

/// Facility user, severity informational.
const PRIORITY: &str = "<14>";

/// Bytes that a system's log takes in one message.
const MOST_SYSLOG: usize = 8 * 1024;

/// `upload-log`, and what writes it.
pub type UploadLog = (Arc<Lines<Value>>, Writer);

/// What is told, and to whom.
#[derive(Debug)]
pub struct Uploads {
    every: Duration,
    log: Option<Arc<Lines<Value>>>,
    syslog: bool,
    debug: Level,
    hostname: Arc<str>,
    threads: usize,
}

impl Uploads {
    /// Reads the options; none where nobody is to be told.
    ///
    /// # Errors
    ///
    /// When `upload-log` can not be opened.
    pub fn new(
        settings: &Settings,
        hostname: Arc<str>,
        threads: usize,
        counters: &Arc<Counters>,
    ) -> Result<(Option<Self>, Option<UploadLog>), LinesError> {
        let debug = match *settings.debug_log_uploads {
            _ if *settings.debug_log_all_the_things => Level::Line,
            0 => Level::Off,
            1 => Level::Line,
            _ => Level::Details,
        };
        let syslog = *settings.upload_syslog;
        let wanted = settings.upload_log.as_ref().filter(|_| !standalone(settings));
        let log = wanted.map(|path| Lines::start(Kind::UPLOADS, path, 16, counters)).transpose()?;
        let log = log.map(|(lines, writer)| (Arc::new(lines), writer));
        if standalone(settings) || (log.is_none() && !syslog && debug == Level::Off) {
            return Ok((None, log));
        }
        let every = settings.upload_interval.0.max(Duration::from_millis(100));
        let lines = log.as_ref().map(|(lines, _)| Arc::clone(lines));
        Ok((Some(Self { every, log: lines, syslog, debug, hostname, threads }), log))
    }

    /// Tells until the task is dropped.
    pub async fn run(self, service: Arc<Service>) {
        let started = Instant::now();
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let told = self.told(&service, started);
            match self.debug {
                Level::Off => {}
                Level::Line => info!(target: debug_log::TARGET, upload = %told, "upload"),
                Level::Details => info!(target: debug_log::TARGET, "upload {told:#}"),
            }
            if self.syslog
                && let Err(error) = syslog(Path::new(SYSLOG), &told)
            {
                warn!(%error, "upload-syslog: cannot write to {SYSLOG}");
            }
            if let Some(log) = &self.log {
                log.put(told);
            }
        }
    }

    /// Under the names of the console's API.
    fn told(&self, service: &Service, started: Instant) -> Value {
        let counters = &service.counters;
        let decision = counters.decision.now();
        let millis = |percent| decision.percentile(percent).map_or(0.0, |took| took.as_secs_f64() * 1e3);
        let signals: serde_json::Map<_, _> = counters
            .signals
            .all()
            .filter(|(_, count)| *count > 0)
            .map(|(tag, count)| (tag.as_str().to_owned(), count.into()))
            .collect();
        json!({
            "timestamp": jiff::Timestamp::now().to_string(),
            "agent": {
                "name": *self.hostname,
                "version": env!("CARGO_PKG_VERSION"),
                "pid": std::process::id(),
                "uptime": started.elapsed().as_secs(),
                "max_procs": self.threads,
                "connections_total": counters.connections.value(),
                "connections_open": counters.open(),
                "connections_dropped": counters.cut_off.value(),
                "current_requests": service.contexts.len(),
                "rpc_prerequest": counters.requests(),
                "rpc_postrequest": counters.posts.value(),
                "rpc_updaterequest": counters.updates.value(),
                "rule_updates": counters.reloads.value(),
                "decision_time_50th": millis(50),
                "decision_time_95th": millis(95),
                "decision_time_99th": millis(99),
            },
            "requests": {
                "allowed": counters.allowed.value(),
                "blocked": counters.blocked.value(),
                "not_inspected": counters.not_inspected(),
            },
            "runtime": { "mem_size": process::resident_bytes() },
            "signals": signals,
        })
    }
}

/// `debug-standalone` forbids uploads with its first bit.
fn standalone(settings: &Settings) -> bool {
    *settings.debug_standalone & 1 != 0
}

fn syslog(socket: &Path, told: &Value) -> std::io::Result<()> {
    let line = format!("{PRIORITY}portcullis-agent[{}]: {told}", std::process::id());
    let line = line.as_bytes();
    let stream = UnixDatagram::unbound()?;
    stream.set_nonblocking(true)?;
    stream.send_to(line.get(..MOST_SYSLOG).unwrap_or(line), socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_system_log_in_one_message() {
        let dir = tempfile::TempDir::new().unwrap();
        let socket = dir.path().join("log");
        let log = UnixDatagram::bind(&socket).unwrap();
        syslog(&socket, &json!({ "a": 1 })).unwrap();
        let mut message = [0; 256];
        let len = log.recv(&mut message).unwrap();
        let text = std::str::from_utf8(&message[..len]).unwrap();
        assert!(text.starts_with("<14>portcullis-agent[") && text.ends_with("]: {\"a\":1}"), "{text}");
    }
}
