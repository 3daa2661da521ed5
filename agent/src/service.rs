//! What the listeners call: decoding, the choice of thread, reports.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::{DecodeError, RpcMsgIn, RpcMsgIn2};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::debug;

use crate::answer::{Answer, NotInspected};
use crate::counters::Counters;
use crate::inspector::Inspector;
use crate::request;

/// Messages up to this size are inspected where they are read: handing one over costs more than inspecting it.
const INLINE_BYTES: usize = 4 * 1024;

/// Answers calls, whatever language they come in.
#[derive(Debug)]
pub struct Service {
    /// Judges requests.
    pub inspector: Inspector,
    /// What happened.
    pub counters: Arc<Counters>,
    /// Room for requests that are inspected on threads of their own.
    large: Arc<Semaphore>,
    time: Duration,
}

impl Service {
    /// Lets at most `most` large requests be under inspection at once, each for at most `time`.
    pub fn new(inspector: Inspector, counters: Arc<Counters>, most: usize, time: Duration) -> Self {
        let large = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { inspector, counters, large, time }
    }

    /// Judges the request that `message` describes.
    ///
    /// Large ones wait for a thread beside the I/O runtime; where too many do, or one takes too long, the answer is that
    /// it was not inspected.
    ///
    /// # Errors
    ///
    /// When `message` is not a request.
    pub async fn pre_request(self: &Arc<Self>, message: Bytes) -> Result<Answer, DecodeError> {
        if message.len() <= INLINE_BYTES {
            return self.judge(&message);
        }
        let Ok(permit) = Arc::clone(&self.large).try_acquire_owned() else {
            self.counters.shed.add();
            return Ok(Answer::NotInspected(NotInspected::Overloaded));
        };
        let service = Arc::clone(self);
        let judging = spawn_blocking(move || {
            let _permit = permit;
            service.judge(&message)
        });
        match timeout(self.time, judging).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                self.counters.faulted.add();
                Ok(Answer::NotInspected(NotInspected::Faulted))
            }
            Err(_) => {
                self.counters.timed_out.add();
                Ok(Answer::NotInspected(NotInspected::TimedOut))
            }
        }
    }

    /// Takes the report of a response together with its request.
    ///
    /// # Errors
    ///
    /// When `message` is not such a report.
    pub fn post_request(&self, message: &[u8]) -> Result<(), DecodeError> {
        let report = RpcMsgIn::decode(message)?;
        self.counters.posts.add();
        debug!(code = report.response_code, verdict = report.waf_response, "response reported");
        Ok(())
    }

    /// Takes the report of a response by its request's id.
    ///
    /// # Errors
    ///
    /// When `message` is not such a report.
    pub fn update_request(&self, message: &[u8]) -> Result<(), DecodeError> {
        let report = RpcMsgIn2::decode(message)?;
        self.counters.updates.add();
        debug!(code = report.response_code, id = ?report.request_id, "response reported");
        Ok(())
    }

    /// Notes a module that has started.
    ///
    /// # Errors
    ///
    /// When `message` does not describe one.
    pub fn module_init(&self, message: &[u8]) -> Result<(), DecodeError> {
        let module = RpcMsgIn::decode(message)?;
        self.counters.modules.add();
        debug!(module = ?module.module_version, server = ?module.server_version, "module started");
        Ok(())
    }

    fn judge(&self, message: &[u8]) -> Result<Answer, DecodeError> {
        let message = RpcMsgIn::decode(message)?;
        Ok(request::with_message(&message, |request| self.inspector.inspect(request)))
    }
}
