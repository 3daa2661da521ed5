//! The settings that may differ between parts of a site.

use std::time::Duration;

use serde_json::Value;

use super::reader::Reader;

/// How the requests of one part of a site are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Whether they are looked at.
    pub inspection: Inspection,
    /// Who judges.
    pub mode: Mode,
    /// How long a request waits for its verdict.
    pub timeout: Duration,
    /// What becomes of a request without a verdict.
    pub on_failure: OnFailure,
    fail_status: u16,
    /// When the app sees a request, and how much of its body is seen.
    pub body: BodyMode,
    /// Bytes of a body that are seen.
    pub max_body: usize,
    /// What the content types begin with whose bodies are seen, in lower case; empty for all.
    pub content_types: Vec<String>,
    /// What the paths begin with whose bodies are not seen.
    pub skip_paths: Vec<String>,
}

/// Whether requests are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// They are.
    On,
    /// They go on as they are, apart from headers that only the agent may set.
    Off,
}

/// Who judges a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The agent, every one.
    AskAlways,
    /// The filter, where its engine finds nothing and the agent's facts say that nothing else matters; else the agent.
    LocalFirst,
}

/// What becomes of a request without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on.
    Open,
    /// It is answered with this status.
    Closed(u16),
}

/// When the application sees a request, and how much of its body is seen.
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

impl Profile {
    /// Reads one key of an object whose keys' names begin with `prefix`.
    pub(super) fn read(&mut self, reader: &mut Reader, prefix: &str, key: &str, value: &Value) -> Known {
        let name = format!("{prefix}{key}");
        match key {
            "inspect" => {
                let mut on = self.inspection == Inspection::On;
                reader.flag(&name, value, &mut on);
                self.inspection = if on { Inspection::On } else { Inspection::Off };
            }
            "mode" => reader.choice(&name, value, MODES, &mut self.mode),
            "timeout_ms" => reader.millis(&name, value, (5, 2000), &mut self.timeout),
            "fail_open" => {
                let mut open = self.on_failure == OnFailure::Open;
                reader.flag(&name, value, &mut open);
                self.fail(open);
            }
            "fail_status" => {
                reader.status(&name, value, (400, 599), &mut self.fail_status);
                self.fail(self.on_failure == OnFailure::Open);
            }
            "body" => self.read_body(reader, &name, value),
            _ => return Known::No,
        }
        Known::Yes
    }

    fn fail(&mut self, open: bool) {
        self.on_failure = if open { OnFailure::Open } else { OnFailure::Closed(self.fail_status) };
    }

    fn read_body(&mut self, reader: &mut Reader, body: &str, value: &Value) {
        for (key, value) in reader.object(body, value).into_iter().flatten() {
            let name = format!("{body}.{key}");
            match key.as_str() {
                "mode" => reader.choice(&name, value, BODY_MODES, &mut self.body),
                "max_bytes" => reader.size(&name, value, (1, MAX_BODY_LIMIT), &mut self.max_body),
                "content_types" => reader.words(&name, value, &mut self.content_types),
                "skip_paths" => reader.paths(&name, value, &mut self.skip_paths),
                _ => reader.unknown(&name),
            }
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            inspection: Inspection::On,
            mode: Mode::AskAlways,
            timeout: Duration::from_millis(100),
            on_failure: OnFailure::Open,
            fail_status: DEFAULT_FAIL_STATUS,
            body: BodyMode::Hold,
            max_body: DEFAULT_MAX_BODY,
            content_types: Vec::new(),
            skip_paths: Vec::new(),
        }
    }
}

/// Whether a key is one of these settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
}

const MODES: &[(&str, Mode)] = &[("ask-always", Mode::AskAlways), ("local-first", Mode::LocalFirst)];
const BODY_MODES: &[(&str, BodyMode)] =
    &[("hold", BodyMode::Hold), ("after", BodyMode::After), ("none", BodyMode::None)];

const DEFAULT_FAIL_STATUS: u16 = 503;

/// Half of the smallest buffer limit that gateways ship with (32 KiB): what is collected must fit the host's buffer.
const DEFAULT_MAX_BODY: usize = 16 * 1024;
pub(super) const MAX_BODY_LIMIT: u64 = 1024 * 1024;
