//! Reports of responses, on their way to the agent.
//!
//! A stream that has ended cannot wait for a reply, so its report goes into a queue that the plugin sends from at each
//! tick. The queue is bounded; what does not fit is dropped and counted.

use std::collections::{BTreeSet, VecDeque};

use portcullis_protocol::http;

use crate::config::Config;
use crate::headers::Headers;
use crate::host::{Callout, Host, HostError, Token};

/// A report ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the agent is asked to do with it.
    pub path: &'static str,
    /// The message.
    pub message: Vec<u8>,
}

/// Reports that wait to be sent and reports that wait for the agent's acknowledgement.
#[derive(Debug, Default)]
pub struct Reports {
    queue: VecDeque<Report>,
    bytes: usize,
    unanswered: BTreeSet<Token>,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the queue.
    Queued,
    /// The queue is full.
    Dropped,
}

impl Reports {
    /// Puts a report into the queue, if it fits.
    pub fn push(&mut self, report: Report) -> Fate {
        let bytes = self.bytes.saturating_add(report.message.len());
        if self.queue.len() >= MAX_REPORTS || bytes > MAX_BYTES {
            return Fate::Dropped;
        }
        self.bytes = bytes;
        self.queue.push_back(report);
        Fate::Queued
    }

    /// Sends the oldest report; none where the queue is empty or too many are unanswered.
    pub fn send_next(&mut self, host: &impl Host, config: &Config) -> Option<Result<(), HostError>> {
        if self.unanswered.len() >= MAX_UNANSWERED {
            return None;
        }
        let report = self.queue.pop_front()?;
        self.bytes = self.bytes.saturating_sub(report.message.len());
        let sent = call(host, config, report.path, &report.message);
        Some(sent.map(|token| {
            self.unanswered.insert(token);
        }))
    }

    /// Takes down that a reply has come; whether it belongs to a report.
    pub fn answered(&mut self, token: Token) -> bool {
        self.unanswered.remove(&token)
    }
}

/// Sends a message to the agent.
pub(crate) fn call(
    host: &impl Host,
    config: &Config,
    path: &str,
    message: &[u8],
) -> Result<Token, HostError> {
    let headers = Headers::from_pairs(&[
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", b"portcullis-agent"),
        (b":path", path.as_bytes()),
        (b"content-type", http::CONTENT_TYPE.as_bytes()),
        (http::VERSION_HEADER.as_bytes(), http::VERSION.as_bytes()),
    ]);
    let callout =
        Callout { cluster: &config.agent_cluster, headers: &headers, body: message, timeout: config.timeout };
    host.call(&callout)
}

/// A quarter of a second of one worker at full load.
const MAX_REPORTS: usize = 1024;
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Verdicts go first: reports may take only this much of the cluster's circuit breaker.
const MAX_UNANSWERED: usize = 128;

#[cfg(test)]
mod tests;
