//! The plugin's configuration: a JSON object, read leniently.
//!
//! A proxy refuses to start, or refuses an update, when a plugin rejects its configuration. So nothing here fails: an
//! unknown key or an unusable value leaves the safe default, and is named in the log and counted.

use std::time::Duration;

use serde_json::{Map, Value};

/// How the filter works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The proxy's cluster that holds the agent.
    pub agent_cluster: String,
    /// How long a request waits for its verdict.
    pub timeout: Duration,
    /// What becomes of a request without a verdict.
    pub on_failure: OnFailure,
    /// When the app sees a request, and how much of its body the agent sees.
    pub body: BodyMode,
    /// Bytes of a body that the agent sees.
    pub max_body: usize,
    /// Which responses are reported.
    pub report: Report,
    /// Where TLS fingerprints are found.
    pub fingerprints: Fingerprints,
    /// First part of the name of every metric.
    pub metrics_prefix: String,
}

/// What becomes of a request without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on.
    Open,
    /// It is answered with this status.
    Closed(u16),
}

/// When the application sees a request, and how much of its body the agent sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyMode {
    /// Nothing goes on before the verdict. The host must have `allow_on_headers_stop_iteration` set: without it a
    /// request with a body would wait for ever.
    Hold,
    /// For hosts without that setting: headers go on after a verdict on them alone, the body after a second one.
    After,
    /// Bodies are not inspected.
    None,
}

/// Which responses the agent hears of although it did not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether any response is reported, those that the agent asked for included.
    pub mode: ReportMode,
    /// Those of this status and above.
    pub min_status: u16,
    /// Those that took this long.
    pub slow: Duration,
    /// Those of this many bytes.
    pub large: u64,
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
        let mut fail_open = true;
        let mut fail_status = DEFAULT_FAIL_STATUS;
        for (key, value) in map {
            match key.as_str() {
                "agent_cluster" => reader.text(key, value, &mut self.agent_cluster),
                "timeout_ms" => reader.millis(key, value, (5, 2000), &mut self.timeout),
                "fail_open" => reader.flag(key, value, &mut fail_open),
                "fail_status" => reader.status(key, value, (400, 599), &mut fail_status),
                "body" => self.read_body(reader, value),
                "report" => self.report.read(reader, value),
                "fingerprints" => self.fingerprints.read(reader, value),
                "metrics_prefix" => reader.name(key, value, &mut self.metrics_prefix),
                _ => reader.unknown(key),
            }
        }
        self.on_failure = if fail_open { OnFailure::Open } else { OnFailure::Closed(fail_status) };
    }

    fn read_body(&mut self, reader: &mut Reader, value: &Value) {
        for (key, value) in reader.object("body", value).into_iter().flatten() {
            match key.as_str() {
                "mode" => match value.as_str() {
                    Some("hold") => self.body = BodyMode::Hold,
                    Some("after") => self.body = BodyMode::After,
                    Some("none") => self.body = BodyMode::None,
                    _ => reader.unusable("body.mode", "one of hold, after, none"),
                },
                "max_bytes" => {
                    let mut bytes = 0;
                    if reader.number("body.max_bytes", value, (1, MAX_BODY_LIMIT), &mut bytes) {
                        self.max_body = usize::try_from(bytes).unwrap_or(DEFAULT_MAX_BODY);
                    }
                }
                _ => reader.unknown(&format!("body.{key}")),
            }
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent_cluster: "portcullis-agent".to_owned(),
            timeout: Duration::from_millis(100),
            on_failure: OnFailure::Open,
            body: BodyMode::Hold,
            max_body: DEFAULT_MAX_BODY,
            report: Report::default(),
            fingerprints: Fingerprints::default(),
            metrics_prefix: "portcullis".to_owned(),
        }
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
                    reader.number(&name, value, (1, u64::MAX), &mut self.large);
                }
                _ => reader.unknown(&name),
            }
        }
    }
}

impl Default for Report {
    /// What other modules take for an anomaly.
    fn default() -> Self {
        Self { mode: ReportMode::On, min_status: 300, slow: Duration::from_secs(1), large: 512 * 1024 }
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

/// Takes values that fit and notes those that do not.
#[derive(Default)]
struct Reader {
    problems: Vec<String>,
}

impl Reader {
    fn text(&mut self, key: &str, value: &Value, into: &mut String) {
        match value.as_str() {
            Some(text) if !text.is_empty() => text.clone_into(into),
            _ => self.unusable(key, "a string that is not empty"),
        }
    }

    /// A part of a metric's name.
    fn name(&mut self, key: &str, value: &Value, into: &mut String) {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match value.as_str() {
            Some(text) if !text.is_empty() && text.bytes().all(fits) => text.clone_into(into),
            _ => self.unusable(key, "letters, digits and _"),
        }
    }

    fn flag(&mut self, key: &str, value: &Value, into: &mut bool) {
        match value.as_bool() {
            Some(flag) => *into = flag,
            None => self.unusable(key, "true or false"),
        }
    }

    fn number(&mut self, key: &str, value: &Value, (min, max): (u64, u64), into: &mut u64) -> bool {
        match value.as_u64().filter(|number| (min..=max).contains(number)) {
            Some(number) => *into = number,
            None => {
                self.unusable(key, &format!("a number from {min} to {max}"));
                return false;
            }
        }
        true
    }

    fn status(&mut self, key: &str, value: &Value, range: (u64, u64), into: &mut u16) {
        let mut number = 0;
        if self.number(key, value, range, &mut number) {
            *into = u16::try_from(number).unwrap_or(*into);
        }
    }

    fn millis(&mut self, key: &str, value: &Value, range: (u64, u64), into: &mut Duration) {
        let mut number = 0;
        if self.number(key, value, range, &mut number) {
            *into = Duration::from_millis(number);
        }
    }

    fn object<'a>(&mut self, key: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
        if !value.is_object() {
            self.unusable(key, "an object");
        }
        value.as_object()
    }

    fn unusable(&mut self, key: &str, wanted: &str) {
        self.problems.push(format!("{key} must be {wanted}; the default stays"));
    }

    fn unknown(&mut self, key: &str) {
        self.problems.push(format!("{key} is not known; it has no effect"));
    }
}

const DEFAULT_FAIL_STATUS: u16 = 503;

/// Half of the smallest buffer limit that gateways ship with (32 KiB): what is collected must fit the host's buffer.
const DEFAULT_MAX_BODY: usize = 16 * 1024;
const MAX_BODY_LIMIT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
