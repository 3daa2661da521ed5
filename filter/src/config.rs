//! The plugin's configuration: a JSON object, read leniently.
//!
//! A proxy refuses to start, or refuses an update, when a plugin rejects its configuration. So nothing here fails: an
//! unknown key or an unusable value leaves the safe default, and is named in the log and counted. What a configuration
//! may hold is published as `envoy/filter.schema.json`.

mod profile;
mod reader;
mod scope;

use std::time::Duration;

use serde_json::{Map, Value};

use reader::Reader;

pub use profile::{BodyMode, Inspection, Mode, OnFailure, Profile};
pub use scope::Scope;

/// How the filter works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The proxy's cluster that holds the agent.
    pub agent_cluster: String,
    /// How requests are treated, by host and path.
    pub scope: Scope,
    /// Whether a route may name the profile of its requests.
    pub route_metadata: RouteMetadata,
    /// When the agent is left alone.
    pub breaker: Breaker,
    /// How the filter keeps up with what it needs to judge by itself.
    pub local: Local,
    /// Which responses are reported.
    pub report: Report,
    /// Where TLS fingerprints are found.
    pub fingerprints: Fingerprints,
    /// Whether access logs can show what became of a request.
    pub filter_state: FilterState,
    /// The least grave lines that are logged.
    pub log_level: LogLevel,
    /// First part of the name of every metric.
    pub metrics_prefix: String,
}

/// Whether a route may name the profile of its requests, as `profile` in its metadata of the namespace `portcullis`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteMetadata {
    /// Metadata is not looked at, which costs nothing.
    #[default]
    Ignored,
    /// The name counts before host and path.
    Read,
}

/// When the agent is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row after which it is; 0 for never.
    pub failures: u64,
    /// How long at first; twice as long each time that it fails again.
    pub pause: Duration,
    /// How long at most.
    pub max_pause: Duration,
}

/// How the filter keeps up with what it needs to judge by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// How often the agent is asked for news.
    pub poll: Duration,
    /// Facts that the agent has not confirmed for so long are not relied upon.
    pub max_age: Duration,
    /// Longer bodies are left to the agent, as long as it answers.
    pub max_body: usize,
}

/// Whether filter state tells of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterState {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// The least grave lines that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// All.
    Info,
    /// Not those about lifecycle.
    Warn,
    /// Only those that someone must act upon.
    Error,
    /// None.
    Off,
}

/// Which responses the agent hears of although it did not ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether any response is reported, those that the agent asked for included.
    pub mode: ReportMode,
    /// Those of this status and above.
    pub min_status: u16,
    /// Those that took this long.
    pub slow: Duration,
    /// Those of this many bytes.
    pub large: u64,
    /// The response headers that are reported, in lower case.
    pub headers: Vec<String>,
}

/// Whether responses are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportMode {
    /// Those the agent asked for, and anomalies.
    On,
    /// None.
    Off,
}

/// Names of filter state that hold what the host's TLS inspector found; empty where it is not set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// JA3.
    pub ja3: String,
    /// JA4.
    pub ja4: String,
    /// The cipher of the connection.
    pub cipher: String,
}

impl Config {
    /// Reads a configuration; also says what of it was not understood.
    pub fn parse(bytes: &[u8]) -> (Config, Vec<String>) {
        let mut reader = Reader::default();
        let mut config = Config::default();
        if bytes.trim_ascii().is_empty() {
            return (config, reader.problems);
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => config.read(&mut reader, &map),
            Ok(_) => reader.problems.push("the configuration is not a JSON object".to_owned()),
            Err(error) => reader.problems.push(format!("the configuration is not JSON: {error}")),
        }
        (config, reader.problems)
    }

    fn read(&mut self, reader: &mut Reader, map: &Map<String, Value>) {
        let mut default = Profile::default();
        for (key, value) in map {
            match key.as_str() {
                "agent_cluster" => reader.text(key, value, &mut self.agent_cluster),
                "route_metadata" => {
                    let mut read = false;
                    reader.flag(key, value, &mut read);
                    self.route_metadata = if read { RouteMetadata::Read } else { RouteMetadata::Ignored };
                }
                "breaker" => self.breaker.read(reader, value),
                "local" => self.local.read(reader, value),
                "report" => self.report.read(reader, value),
                "fingerprints" => self.fingerprints.read(reader, value),
                "filter_state" => {
                    let mut on = true;
                    reader.flag(key, value, &mut on);
                    self.filter_state = if on { FilterState::On } else { FilterState::Off };
                }
                "log_level" => reader.choice(key, value, LOG_LEVELS, &mut self.log_level),
                "metrics_prefix" => reader.name(key, value, &mut self.metrics_prefix),
                // Read below, once the defaults are known.
                "profiles" | "scope" => {}
                _ => {
                    if default.read(reader, "", key, value) == profile::Known::No {
                        reader.unknown(key);
                    }
                }
            }
        }
        self.scope = Scope::read(reader, default, map.get("profiles"), map.get("scope"));
    }

    /// Whether any part of the site is judged by the filter itself.
    pub fn judges(&self) -> bool {
        self.scope.profiles().any(|profile| profile.mode == Mode::LocalFirst)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent_cluster: "portcullis-agent".to_owned(),
            scope: Scope::read(&mut Reader::default(), Profile::default(), None, None),
            route_metadata: RouteMetadata::default(),
            breaker: Breaker::default(),
            local: Local::default(),
            report: Report::default(),
            fingerprints: Fingerprints::default(),
            filter_state: FilterState::On,
            log_level: LogLevel::Info,
            metrics_prefix: "portcullis".to_owned(),
        }
    }
}

impl Breaker {
    fn read(&mut self, reader: &mut Reader, value: &Value) {
        for (key, value) in reader.object("breaker", value).into_iter().flatten() {
            let name = format!("breaker.{key}");
            match key.as_str() {
                "failures" => {
                    reader.number(&name, value, (0, 1000), &mut self.failures);
                }
                "pause_ms" => reader.millis(&name, value, (100, 60_000), &mut self.pause),
                "max_pause_ms" => reader.millis(&name, value, (100, 600_000), &mut self.max_pause),
                _ => reader.unknown(&name),
            }
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_millis(250), max_pause: Duration::from_secs(8) }
    }
}

impl Local {
    fn read(&mut self, reader: &mut Reader, value: &Value) {
        for (key, value) in reader.object("local", value).into_iter().flatten() {
            let name = format!("local.{key}");
            match key.as_str() {
                "poll_ms" => reader.millis(&name, value, (100, 60_000), &mut self.poll),
                "max_age_ms" => reader.millis(&name, value, (200, 600_000), &mut self.max_age),
                "max_body_bytes" => {
                    reader.size(&name, value, (0, profile::MAX_BODY_LIMIT), &mut self.max_body);
                }
                _ => reader.unknown(&name),
            }
        }
    }
}

impl Default for Local {
    fn default() -> Self {
        // About here the agent's native engine gains as much as a question costs.
        Self { poll: Duration::from_millis(500), max_age: Duration::from_secs(3), max_body: 8 * 1024 }
    }
}

impl Report {
    fn read(&mut self, reader: &mut Reader, value: &Value) {
        for (key, value) in reader.object("report", value).into_iter().flatten() {
            let name = format!("report.{key}");
            match key.as_str() {
                "enabled" => {
                    let mut on = true;
                    reader.flag(&name, value, &mut on);
                    self.mode = if on { ReportMode::On } else { ReportMode::Off };
                }
                "min_status" => reader.status(&name, value, (200, 600), &mut self.min_status),
                "slow_ms" => reader.millis(&name, value, (1, 3_600_000), &mut self.slow),
                "large_bytes" => {
                    reader.number(&name, value, (1, LARGEST), &mut self.large);
                }
                "headers" => reader.words(&name, value, &mut self.headers),
                _ => reader.unknown(&name),
            }
        }
    }
}

impl Default for Report {
    /// What other modules take for an anomaly; and headers that say what a response is, none that holds a secret.
    fn default() -> Self {
        let headers =
            ["content-type", "content-length", "content-encoding", "location", "server", "retry-after"];
        Self {
            mode: ReportMode::On,
            min_status: 300,
            slow: Duration::from_secs(1),
            large: 512 * 1024,
            headers: headers.map(str::to_owned).to_vec(),
        }
    }
}

impl Fingerprints {
    fn read(&mut self, reader: &mut Reader, value: &Value) {
        for (key, value) in reader.object("fingerprints", value).into_iter().flatten() {
            let name = format!("fingerprints.{key}");
            match key.as_str() {
                "ja3" => reader.text(&name, value, &mut self.ja3),
                "ja4" => reader.text(&name, value, &mut self.ja4),
                "cipher" => reader.text(&name, value, &mut self.cipher),
                _ => reader.unknown(&name),
            }
        }
    }
}

/// Up to here a float holds every whole number, as JSON's may be one.
const LARGEST: u64 = (1 << 53) - 1;

const LOG_LEVELS: &[(&str, LogLevel)] =
    &[("info", LogLevel::Info), ("warn", LogLevel::Warn), ("error", LogLevel::Error), ("off", LogLevel::Off)];

#[cfg(test)]
mod tests;
