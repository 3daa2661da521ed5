//! What the listeners call: decoding, and the choice of thread. Responses have a file of their own.

mod responses;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_policy::{Action, Client, Decision, Event, Flag, redact};
use portcullis_protocol::{DecodeError, LocalQuery, RpcMsgIn};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::anonymous::Anonymous;
use crate::answer::{Answer, Judged, NotInspected};
use crate::clock;
use crate::contexts::{Context, Contexts};
use crate::counters::Counters;
use crate::debug_log::{self, DebugLog, Level};
use crate::ids::RequestId;
use crate::inspector::{Course, Effort, Inspected, Inspector, SITE_FLAGGED};
use crate::memory::Memory;
use crate::outlets::Outlets;
use crate::record::Record;
use crate::request;
use crate::state::Keeping;

/// Messages up to this size are inspected where they are read: handing one over costs more than inspecting it.
const INLINE_BYTES: usize = 4 * 1024;

/// Requests up to this size are looked at briefly where they are, before they are handed over: for most of them that is
/// enough, and a thread that reads sockets need not share its core with one that inspects.
const BRIEF_BYTES: usize = 96 * 1024;

/// Answers calls, whatever language they come in.
#[derive(Debug)]
pub struct Service {
    /// Judges requests.
    pub inspector: Inspector,
    /// What happened.
    pub counters: Arc<Counters>,
    /// What is to be logged beside.
    pub debug: DebugLog,
    /// What unfinished messages hold.
    pub memory: Arc<Memory>,
    /// Requests whose response is to be reported.
    pub contexts: Contexts,
    /// Where requests and events are written down.
    pub outlets: Outlets,
    /// What is remembered of clients.
    pub keeping: Arc<Keeping>,
    /// Room for requests that are inspected on threads of their own.
    large: Arc<Semaphore>,
    limits: Limits,
}

/// What the service allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Large requests under inspection at once.
    pub inspecting: usize,
    /// Time to a verdict.
    pub time: Duration,
    /// How long a request waits for its response to be reported.
    pub context: Duration,
    /// Bytes beyond which a response is written down though nothing was found.
    pub anomaly_size: u64,
    /// The same for its time.
    pub anomaly_time: Duration,
}

/// A request that is kept by others.
pub trait Ask: Send + Sync + 'static {
    /// Calls `judge` with it.
    fn with_request<R>(&self, judge: impl FnOnce(&request::Request<'_>) -> R) -> R;
}

impl Service {
    /// Puts requests before `inspector`, and what is written down into `outlets`.
    pub fn new(
        inspector: Inspector,
        counters: Arc<Counters>,
        limits: Limits,
        debug: DebugLog,
        outlets: Outlets,
    ) -> Self {
        let large = Arc::new(Semaphore::new(limits.inspecting.min(Semaphore::MAX_PERMITS)));
        let (memory, contexts) = (Arc::default(), Contexts::new(limits.context));
        let keeping = Arc::clone(inspector.keeping());
        Self { inspector, counters, debug, memory, contexts, outlets, keeping, large, limits }
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
        self.debug.message("PreRequest", &message, || self.redactions());
        let size = message.len();
        let work = move |service: &Self| service.judge(&message);
        self.decide(size, self.limits.time, work).await
    }

    /// Judges `request`, of `size` bytes, within `time`, under the same rules as [`pre_request`](Self::pre_request).
    ///
    /// One that is not very large is looked at briefly first.
    pub async fn inspect<T: Ask>(self: &Arc<Self>, request: Arc<T>, size: usize, time: Duration) -> Answer {
        let mut effort = Effort::Whole;
        if (INLINE_BYTES + 1..=BRIEF_BYTES).contains(&size) {
            let started = Instant::now();
            if let Some(inspected) = request.with_request(|request| self.inspected(request, Effort::Brief)) {
                return self.told(inspected, started).await;
            }
            effort = Effort::Rest;
        }
        let work = move |service: &Self| {
            let inspected = request.with_request(|request| service.inspected(request, effort));
            Ok::<_, std::convert::Infallible>(inspected.unwrap_or_else(Inspected::faulted))
        };
        match self.decide(size, time, work).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    async fn decide<E: Send + 'static>(
        self: &Arc<Self>,
        size: usize,
        time: Duration,
        judge: impl FnOnce(&Self) -> Result<Inspected, E> + Send + 'static,
    ) -> Result<Answer, E> {
        let started = Instant::now();
        let inspected = if size <= INLINE_BYTES {
            judge(self)
        } else if let Ok(permit) = Arc::clone(&self.large).try_acquire_owned() {
            let service = Arc::clone(self);
            let judging = spawn_blocking(move || {
                let _permit = permit;
                service.counters.queued.add(started.elapsed());
                judge(&service)
            });
            match timeout(time, judging).await {
                Ok(Ok(inspected)) => inspected,
                Ok(Err(_)) => Ok(Inspected::not(NotInspected::Faulted)),
                Err(_) => Ok(Inspected::not(NotInspected::TimedOut)),
            }
        } else {
            Ok(Inspected::not(NotInspected::Overloaded))
        };
        Ok(self.told(inspected?, started).await)
    }

    /// The answer to a request that was taken in at `started`, and all that follows from it.
    async fn told(&self, inspected: Inspected, started: Instant) -> Answer {
        let answer = self.settle(inspected);
        if let Answer::Judged(judged) = &answer
            && is_about_a_flag(&judged.verdict)
        {
            self.keeping.settled().await;
        }
        self.counters.decision.add(started.elapsed());
        answer
    }

    /// Answers a filter that wants to judge by itself.
    ///
    /// # Errors
    ///
    /// When `message` is not its question.
    pub fn local(&self, message: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let query = LocalQuery::decode(message)?;
        Ok(self.inspector.local_facts(query.version))
    }

    /// Notes a module that has started.
    ///
    /// # Errors
    ///
    /// When `message` does not describe one.
    pub fn module_init(&self, message: &[u8]) -> Result<(), DecodeError> {
        self.debug.message("ModuleInit", message, || self.redactions());
        let module = RpcMsgIn::decode(message)?;
        self.debug.input(&module, || self.redactions());
        self.counters.modules.add();
        info!(module = ?module.module_version, server = ?module.server_version, "module started");
        Ok(())
    }

    /// Forgets requests whose response was not reported in time; they are written down without it.
    pub fn sweep(&self, now: Instant) {
        for context in self.contexts.sweep(now) {
            self.counters.expired.add();
            self.write_down(context.record);
        }
        for flag in self.keeping.state().sweep(clock::millis()) {
            self.outlets.expired(&flag, "time", self.hidden().as_ref(), &self.counters);
        }
    }

    /// Forgets flags and counts of the client at `address`, and returns the flags that held.
    pub fn unflag(&self, address: IpAddr) -> Vec<Flag> {
        let client = Client::new(address, self.inspector.snapshot().policy.site.ipv6_prefix);
        let gone = self.keeping.state().unflag(client, clock::millis());
        for flag in &gone {
            self.keeping.cleared(flag);
            self.outlets.expired(flag, "operator", self.hidden().as_ref(), &self.counters);
        }
        gone
    }

    /// Writes down what still waits for a response, and ends what writes.
    pub fn end(&self) {
        for context in self.contexts.clear() {
            self.write_down(context.record);
        }
        self.outlets.end();
        self.keeping.end();
    }

    fn judge(&self, message: &[u8]) -> Result<Inspected, DecodeError> {
        let message = RpcMsgIn::decode(message)?;
        self.debug.input(&message, || self.redactions());
        let inspected = request::with_message(&message, |request| self.inspected(request, Effort::Whole));
        Ok(inspected.unwrap_or_else(Inspected::faulted))
    }

    fn inspected(&self, request: &request::Request<'_>, effort: Effort) -> Option<Inspected> {
        let inspected = self.inspector.inspect_with(request, effort)?;
        if self.debug.blocked > Level::Off || self.debug.inspection > Level::Off {
            self.log(request, &inspected);
        }
        Some(inspected)
    }

    /// Does what follows from an answer that is given. One that came too late never gets here.
    fn settle(&self, inspected: Inspected) -> Answer {
        let Inspected { answer, course, record, path, awaited, client } = inspected;
        let counters = &self.counters;
        match course {
            Course::Inspected | Course::NotInspected => {}
            Course::Limited => {
                counters.limited.add();
                if self.debug.engine_errors > Level::Off {
                    info!(target: debug_log::TARGET, "inspection spent a budget: part of the request was not read");
                }
            }
            Course::Unwatched => counters.unwatched.add(),
            Course::Unsampled => counters.unsampled.add(),
        }
        match &answer {
            Answer::Judged(judged) => {
                if matches!(course, Course::Inspected | Course::Limited) {
                    self.count(judged);
                    self.happened(&judged.verdict.events, client);
                }
                match judged.id {
                    Some(id) => self.remember(id, Context { record, path, awaited, responded: None }),
                    None => self.write_down(record),
                }
            }
            Answer::NotInspected(reason) => self.missed(*reason),
        }
        answer
    }

    fn count(&self, judged: &Judged) {
        match judged.verdict.action {
            Action::Allow => self.counters.allowed.add(),
            Action::Block { .. } | Action::Redirect { .. } => self.counters.blocked.add(),
        }
        self.counters.signals.add(&judged.verdict.tags);
        self.counters.signals.add_named(judged.verdict.added.iter().map(|added| &*added.signal));
        debug!(code = judged.verdict.code(), tags = ?judged.verdict.tags, id = ?judged.id, "request judged");
    }

    fn missed(&self, reason: NotInspected) {
        match reason {
            NotInspected::TimedOut => self.counters.timed_out.add(),
            NotInspected::Overloaded => self.counters.shed.add(),
            NotInspected::Faulted => self.counters.faulted.add(),
            NotInspected::Disabled => return self.counters.disabled.add(),
            // Counted where it is found out.
            NotInspected::Forgotten => return,
        }
        // Whether it passes is the caller's to say.
        warn!(?reason, "a request was not inspected");
        if self.debug.engine_errors > Level::Off {
            info!(target: debug_log::TARGET, ?reason, "no verdict");
        }
    }

    fn remember(&self, id: RequestId, context: Context) {
        for evicted in self.contexts.put(id, context, Instant::now()) {
            self.counters.evicted.add();
            self.write_down(evicted.record);
        }
    }

    fn write_down(&self, record: Option<Box<Record>>) {
        if let Some(record) = record {
            self.outlets.record(record);
        }
    }

    fn happened(&self, events: &[Event], client: Option<IpAddr>) {
        let hidden = if events.is_empty() { None } else { self.hidden() };
        for event in events {
            self.outlets.happened(event, client, hidden.as_ref(), &self.counters);
        }
    }

    /// How long a request may keep its policy: until its response is forgotten.
    pub fn patience(&self) -> Duration {
        self.limits.time + 2 * self.limits.context
    }

    fn redactions(&self) -> redact::Redactions {
        self.inspector.snapshot().policy.redactions().clone()
    }

    fn hidden(&self) -> Option<Anonymous> {
        self.inspector.hidden().cloned()
    }

    fn log(&self, request: &request::Request<'_>, inspected: &Inspected) {
        let Answer::Judged(judged) = &inspected.answer else { return };
        let blocked = judged.verdict.code() != 200 && self.debug.blocked > Level::Off;
        let record = self.inspector.record(request, i32::from(judged.verdict.code()));
        let (code, tags) = (judged.verdict.code(), &judged.verdict.tags);
        let shown = serde_json::to_string(&record).unwrap_or_default();
        if blocked {
            info!(target: debug_log::TARGET, code, ?tags, id = ?judged.id, request = shown, "request blocked");
        }
        if self.debug.inspection > Level::Off {
            info!(target: debug_log::TARGET, code, ?tags, course = ?inspected.course, request = shown, "request inspected");
        }
    }
}

/// Whether the answer shows that a client is flagged, or makes it so.
fn is_about_a_flag(decision: &Decision) -> bool {
    let flags = |event: &Event| matches!(event, Event::Flagged { .. });
    decision.events.iter().any(flags) || decision.added.iter().any(|added| &*added.signal == SITE_FLAGGED)
}

#[cfg(test)]
mod tests;
