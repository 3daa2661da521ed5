//! What is kept of a request until its response is done. It tells when it is dropped, so that no way out of the proxy
//! leaves a request unrecorded.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode};

use crate::activity::Busy;
use crate::failure::{Failed, Reason};
use crate::hold::Held;
use crate::inspect::{Judgement, Outcome, Refused, Seen};

/// Who hears of a request that is over.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Hears of it. Must not block.
    fn tell(&self, outcome: &Outcome);

    /// Hears of a failure. Must not block.
    fn failed(&self, outcome: &Outcome, reason: Reason, causes: &str);
}

/// A request under way.
pub(crate) struct Record {
    outcome: Outcome,
    started: Instant,
    sink: Arc<dyn Sink>,
    answered: bool,
    _busy: Busy,
}

impl Record {
    /// A request that came at `started`.
    pub(crate) fn new(seen: Arc<Seen>, started: Instant, sink: Arc<dyn Sink>, busy: Busy) -> Box<Self> {
        let outcome = Outcome {
            seen,
            judgement: None,
            refused: None,
            failure: None,
            status: Reason::Gone.status(),
            headers: HeaderMap::new(),
            bytes: 0,
            took: std::time::Duration::ZERO,
            upstream: None,
        };
        Box::new(Self { outcome, started, sink, answered: false, _busy: busy })
    }

    /// The request.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        &self.outcome.seen
    }

    /// Notes what is held of the body, and whether it goes on. To be told before anybody else has the request.
    pub(crate) fn read(&mut self, held: &Held) {
        if let Some(seen) = Arc::get_mut(&mut self.outcome.seen) {
            seen.body = held.bytes.clone();
            seen.truncated = held.rest.is_some();
            seen.trailers.clone_from(&held.trailers);
        }
    }

    /// Notes the verdict.
    pub(crate) fn judged(&mut self, judgement: Judgement) {
        self.outcome.judgement = Some(judgement);
    }

    /// The verdict, where there is one.
    pub(crate) fn judgement(&self) -> Option<&Judgement> {
        self.outcome.judgement.as_ref()
    }

    /// Notes that the framing was refused.
    pub(crate) fn refused(&mut self, refused: Refused) {
        self.outcome.refused = Some(refused);
    }

    /// Notes a failure, and tells of it.
    pub(crate) fn failed(&mut self, failed: &Failed) {
        self.outcome.failure = Some(failed.reason);
        if failed.upstream.is_some() {
            self.outcome.upstream.clone_from(&failed.upstream);
        }
        self.sink.failed(&self.outcome, failed.reason, &failed.causes());
    }

    /// Notes that the response broke off for `reason`.
    pub(crate) fn fail(&mut self, reason: Reason, cause: &dyn Error) {
        self.outcome.failure = Some(reason);
        self.sink.failed(&self.outcome, reason, &cause.to_string());
    }

    /// Notes what the client is answered, and who answered.
    pub(crate) fn answered(&mut self, status: StatusCode, headers: HeaderMap, upstream: Option<Arc<str>>) {
        self.answered = true;
        self.outcome.status = status;
        self.outcome.headers = headers;
        if upstream.is_some() {
            self.outcome.upstream = upstream;
        }
    }

    /// Notes bytes of the response's body.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.outcome.bytes += bytes as u64;
    }

    /// Notes that the response is over, `whole` or not.
    pub(crate) fn ended(&mut self, whole: bool) {
        if !whole && self.outcome.failure.is_none() {
            self.outcome.failure = Some(Reason::Gone);
            self.sink.failed(&self.outcome, Reason::Gone, "the response was not read to its end");
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.answered && self.outcome.failure.is_none() {
            self.outcome.failure = Some(Reason::Gone);
            self.sink.failed(&self.outcome, Reason::Gone, "the connection ended before the answer");
        }
        self.outcome.took = self.started.elapsed();
        self.sink.tell(&self.outcome);
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
