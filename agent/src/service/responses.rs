//! Responses: reported with their request, by its id, or asked about before they go out.

use portcullis_detect::{Header, Response, Signals};
use portcullis_policy::{Decision, Event, redact};
use portcullis_protocol::{DecodeError, ReportBatch, RpcMsgIn, RpcMsgIn2};
use tracing::debug;

use super::Service;
use crate::answer::{Answer, Judged, NotInspected};
use crate::ids::RequestId;
use crate::inspector::{Awaited, Recording, Responded};
use crate::record::Answered;
use crate::request;

impl Service {
    /// Takes the report of a response together with its request.
    ///
    /// # Errors
    ///
    /// When `message` is not such a report.
    pub fn post_request(&self, message: &[u8]) -> Result<(), DecodeError> {
        self.debug.message("PostRequest", message, || self.redactions());
        let report = RpcMsgIn::decode(message)?;
        self.debug.input(&report, || self.redactions());
        self.counters.posts.add();
        debug!(code = report.response_code, verdict = report.waf_response, "response reported");
        let answered = Answered {
            code: report.response_code.unwrap_or(-1),
            millis: report.response_millis.unwrap_or(-1),
            size: report.response_size.unwrap_or(-1),
            headers: &report.headers_out,
        };
        let code = report.waf_response.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
        request::with_message(&report, |request| {
            self.answered_unasked(request, code, answered, &Signals::default());
        });
        Ok(())
    }

    /// Takes a response together with its request, which had the verdict `code` and the signals `found` by others than
    /// the engine.
    pub fn answered_unasked(
        &self,
        request: &request::Request<'_>,
        code: i32,
        answered: Answered<'_>,
        found: &Signals,
    ) {
        self.counters.signals.add(&found.iter().map(|signal| signal.tag).collect::<Vec<_>>());
        let responded = self.responded(&answered, redact::without_query(request.seen.target), None);
        // Last: what rules exclude is told by its place.
        let signals: Signals = responded.signals.iter().chain(found).cloned().collect();
        let wanted = match self.inspector.recording() {
            Recording::Off => false,
            Recording::Signalled => !signals.is_empty() || self.is_anomalous(&answered),
            Recording::Every => true,
        };
        if wanted {
            let mut record = self.inspector.record(request, code);
            record.answer(answered, &signals, &responded.decision);
            self.write_down(Some(record));
        }
    }

    /// Takes the report of a response by its request's id.
    ///
    /// # Errors
    ///
    /// When `message` is not such a report.
    pub fn update_request(&self, message: &[u8]) -> Result<(), DecodeError> {
        self.debug.message("UpdateRequest", message, || self.redactions());
        let report = RpcMsgIn2::decode(message)?;
        self.counters.updates.add();
        debug!(code = report.response_code, id = ?report.request_id, "response reported");
        let answered = Answered {
            code: report.response_code,
            millis: report.response_millis,
            size: report.response_size,
            headers: &report.headers_out,
        };
        self.answered(RequestId::read(&report.request_id), answered);
        Ok(())
    }

    /// Judges a response that waits.
    ///
    /// # Errors
    ///
    /// When `message` does not describe one.
    pub fn about_response(&self, message: &[u8]) -> Result<Answer, DecodeError> {
        let asked = RpcMsgIn2::decode(message)?;
        self.counters.responses.add();
        let id = RequestId::read(&asked.request_id);
        let Some((id, mut context)) = id.and_then(|id| Some((id, self.contexts.take(id)?))) else {
            self.counters.orphans.add();
            return Ok(Answer::NotInspected(NotInspected::Forgotten));
        };
        let answered =
            Answered { code: asked.response_code, millis: -1, size: -1, headers: &asked.headers_out };
        let responded = self.responded(&answered, &context.path, context.awaited.as_deref());
        let verdict = Box::new(responded.decision.clone());
        context.responded = Some(Box::new(responded));
        self.remember(id, context);
        Ok(Answer::Judged(Judged {
            verdict,
            id: None,
            forged_tags: false,
            headers: Vec::new(),
            asks_response: false,
        }))
    }

    /// Joins a response to its request.
    pub fn answered(&self, id: Option<RequestId>, answered: Answered<'_>) {
        let Some(context) = id.and_then(|id| self.contexts.take(id)) else {
            return self.counters.orphans.add();
        };
        // A response that was asked about has been judged, and counted.
        let responded = match context.responded {
            Some(responded) => *responded,
            None => self.responded(&answered, &context.path, context.awaited.as_deref()),
        };
        let record = context.record.map(|mut record| {
            record.answer(answered, &responded.signals, &responded.decision);
            record
        });
        self.write_down(record);
    }

    /// Writes down a request whose response nobody will report.
    pub fn unanswered(&self, id: RequestId) {
        if let Some(context) = self.contexts.take(id) {
            self.write_down(context.record);
        }
    }

    /// Takes the reports of a batch, each as if it had come alone, and what the filter did by itself.
    ///
    /// # Errors
    ///
    /// When `message` is not a batch. A report in it that is none is counted.
    pub fn reports(&self, message: &[u8]) -> Result<(), DecodeError> {
        let batch = ReportBatch::decode(message)?;
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        self.counters.passed_by_filter.add_many(number(batch.passed));
        self.counters.blocked_by_filter.add_many(number(batch.blocked));
        for (kind, report) in &batch.reports {
            let taken = match &**kind {
                kind if *kind == *ReportBatch::POST.as_bytes() => self.post_request(report).is_ok(),
                kind if *kind == *ReportBatch::UPDATE.as_bytes() => self.update_request(report).is_ok(),
                _ => false,
            };
            if !taken {
                self.counters.bad_reports.add();
            }
        }
        Ok(())
    }

    fn responded(&self, answered: &Answered<'_>, target: &[u8], awaited: Option<&Awaited>) -> Responded {
        let Ok(code) = u16::try_from(answered.code) else {
            return Responded { signals: Signals::default(), decision: Decision::unwatched() };
        };
        let headers: Vec<_> = answered.headers.iter().map(|(name, value)| Header { name, value }).collect();
        let responded = self.inspector.respond(&Response { code, target, headers: &headers }, awaited);
        self.counters.signals.add(&responded.decision.tags);
        self.counters.signals.add_named(responded.decision.added.iter().map(|added| &*added.signal));
        for event in &responded.decision.events {
            if let Event::Flagged { flag, .. } = event {
                self.keeping.flagged(flag);
            }
        }
        self.happened(&responded.decision.events, None);
        responded
    }

    fn is_anomalous(&self, answered: &Answered<'_>) -> bool {
        let over = |value: i64, limit: u64| u64::try_from(value).is_ok_and(|value| value > limit);
        let millis = u64::try_from(self.limits.anomaly_time.as_millis()).unwrap_or(u64::MAX);
        over(answered.size, self.limits.anomaly_size) || over(answered.millis, millis)
    }
}
