//! Reports of responses, on their way to the agent.
//!
//! A stream that has ended cannot wait for a reply, so its report goes into a queue that the plugin sends from at each
//! tick, many in one call. The queue is bounded; what does not fit is dropped and counted.

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_protocol::{ReportBatch, http};

use crate::config::Config;
use crate::headers::Headers;
use crate::host::{Callout, Host, HostError, Token};

/// A report ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the agent is asked to do with it.
    pub kind: Kind,
    /// The message.
    pub message: Vec<u8>,
}

/// What a report is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request without an id, and its response.
    Post,
    /// The response of a request with an id.
    Update,
}

/// Reports that wait to be sent, batches that wait for the agent's acknowledgement, and what the filter did by itself.
#[derive(Debug, Default)]
pub struct Reports {
    queue: VecDeque<Report>,
    bytes: usize,
    own: Own,
    /// At most [`MAX_UNANSWERED`].
    unanswered: Vec<(Token, Batch)>,
}

/// Requests that the filter judged by itself and has not told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Let pass.
    pub passed: i64,
    /// Stopped.
    pub blocked: i64,
}

/// What one call carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Reports.
    pub reports: usize,
    own: Own,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the queue.
    Queued,
    /// The queue is full.
    Dropped,
}

/// What came of sending a batch.
pub type Sent = Result<Batch, (Batch, HostError)>;

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

    /// Takes down what the filter did by itself.
    pub fn own(&mut self, own: Own) {
        self.own.passed = self.own.passed.saturating_add(own.passed);
        self.own.blocked = self.own.blocked.saturating_add(own.blocked);
    }

    /// How many reports have not been sent.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether there is more to tell than numbers.
    pub fn is_urgent(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends the oldest reports; none where there is nothing to tell, or too much is unanswered.
    pub fn send_next(&mut self, host: &impl Host, config: &Config) -> Option<Sent> {
        if self.unanswered.len() >= MAX_UNANSWERED || (self.queue.is_empty() && self.own == Own::default()) {
            return None;
        }
        let (mut size, mut count) = (0, 0);
        for report in &self.queue {
            size += report.message.len();
            if count >= MAX_BATCH || (count > 0 && size > MAX_BATCH_BYTES) {
                break;
            }
            count += 1;
        }
        let reports: Vec<Report> = self.queue.drain(..count).collect();
        self.bytes = self.bytes.saturating_sub(reports.iter().map(|report| report.message.len()).sum());
        let own = std::mem::take(&mut self.own);
        let pairs =
            reports.iter().map(|report| (report.kind.name().into(), report.message.as_slice().into()));
        let message = ReportBatch { passed: own.passed, blocked: own.blocked, reports: pairs.collect() };
        let batch = Batch { reports: reports.len(), own };
        match call(host, config, config.scope.default_timeout(), http::REPORTS, &message.encode()) {
            Ok(token) => {
                self.unanswered.push((token, batch));
                Some(Ok(batch))
            }
            Err(error) => {
                self.own(own);
                Some(Err((batch, error)))
            }
        }
    }

    /// Takes down that a reply has come; the batch it belongs to, if it does.
    pub fn answered(&mut self, token: Token) -> Option<Batch> {
        let at = self.unanswered.iter().position(|(asked, _)| *asked == token)?;
        Some(self.unanswered.swap_remove(at).1)
    }

    /// The agent did not take a batch: its reports are lost, its numbers are not.
    pub fn failed(&mut self, batch: Batch) {
        self.own(batch.own);
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Post => ReportBatch::POST,
            Kind::Update => ReportBatch::UPDATE,
        }
    }
}

/// Sends a message to the agent.
pub(crate) fn call(
    host: &impl Host,
    config: &Config,
    timeout: Duration,
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
    host.call(&Callout { cluster: &config.agent_cluster, headers: &headers, body: message, timeout })
}

/// A quarter of a second of one worker at full load.
const MAX_REPORTS: usize = 1024;
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// What one call carries at most.
const MAX_BATCH: usize = 128;
const MAX_BATCH_BYTES: usize = 256 * 1024;

/// Verdicts go first: reports may take only this much of the cluster's circuit breaker.
const MAX_UNANSWERED: usize = 8;

#[cfg(test)]
mod tests;
