//! Asking the agent and acting on what it says, or does not say.

use portcullis_protocol::http;

use super::{About, Flow, HeadersAt, State, Stream};
use crate::config::OnFailure;
use crate::failure::Failure;
use crate::headers::Headers;
use crate::host::{Answer, Host, HostError};
use crate::message::Body;
use crate::metrics::Counter;
use crate::reports;
use crate::verdict::{self, Decision, Verdict};

impl Stream {
    pub(super) fn ask(&mut self, host: &impl Host, about: About, body: Body<'_>) -> Flow {
        let message = self.facts.message(body).encode();
        match reports::call(host, &self.plugin.config, http::PRE_REQUEST, &message) {
            Ok(token) => {
                self.plugin.metrics.enter(host);
                self.state = State::Deciding { token, since: host.now(), about };
                Flow::Hold
            }
            Err(error) => self.fail(host, Failure::from(error)),
        }
    }

    pub(super) fn obey(&mut self, host: &impl Host, about: About, verdict: Verdict) -> Flow {
        self.code = verdict.code;
        match verdict.decision {
            Decision::Block(status) => {
                self.count(host, Counter::Blocked);
                self.answer(host, status, &[], "portcullis_blocked");
            }
            Decision::Redirect(status, ref location) => {
                self.count(host, Counter::Redirected);
                self.answer(host, status, &[(b"location", location)], "portcullis_redirected");
            }
            Decision::Allow => self.dress(host, &verdict),
        }
        if !verdict.request_id.is_empty() && !self.ids.contains(&verdict.request_id) {
            self.ids.push(verdict.request_id);
        }
        match (self.state, about) {
            (State::Blocked, _) => Flow::Hold,
            (_, About::Headers) => self.turn_to_body(host),
            (_, About::Whole) => {
                self.count(host, Counter::Allowed);
                self.state = State::Passed;
                Flow::Continue
            }
        }
    }

    /// Applies the failure policy.
    pub(super) fn fail(&mut self, host: &impl Host, failure: Failure) -> Flow {
        self.count(host, Counter::Failed(failure));
        self.plugin.complain(host, failure);
        match self.plugin.config.on_failure {
            OnFailure::Open => {
                self.state = State::Bypassed;
                Flow::Continue
            }
            OnFailure::Closed(status) => {
                self.answer(host, status, &[], "portcullis_failed_closed");
                Flow::Hold
            }
        }
    }

    /// Takes away what only the agent may tell the application, whatever becomes of the request.
    pub(super) fn strip_forged(&self, host: &impl Host, headers: &Headers) {
        let mut forged: Vec<&[u8]> =
            headers.iter().map(|(name, _)| name).filter(|name| verdict::is_reserved(name)).collect();
        forged.sort_unstable();
        forged.dedup();
        if forged.is_empty() {
            return;
        }
        self.count(host, Counter::Forged);
        for name in forged {
            self.check(host, host.remove_request_header(name));
        }
    }

    pub(super) fn count(&self, host: &impl Host, counter: Counter) {
        self.plugin.metrics.count(host, counter);
    }

    /// Counts an action that the host refused; there is nothing else to do about one.
    pub(super) fn check(&self, host: &impl Host, done: Result<(), HostError>) {
        if done.is_err() {
            self.count(host, Counter::HostErrors);
        }
    }

    /// Gives the request the agent's headers.
    fn dress(&self, host: &impl Host, verdict: &Verdict) {
        // What has gone to the application cannot be changed; hosts answer such an attempt with an error.
        if self.headers == HeadersAt::Application {
            return;
        }
        let code = verdict.code.to_string();
        let own: [(&[u8], &[u8]); 2] =
            [(b"x-sigsci-agentresponse", code.as_bytes()), (b"x-sigsci-requestid", &verdict.request_id)];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let given = verdict.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        for (name, value) in own.chain(given) {
            let done = if verdict::is_reserved(name) {
                host.replace_request_header(name, value)
            } else {
                host.add_request_header(name, value)
            };
            self.check(host, done);
        }
    }

    /// Answers in the application's place, once: a host may hang on a second answer.
    fn answer(&mut self, host: &impl Host, status: u16, extra: &[(&[u8], &[u8])], details: &str) {
        self.state = State::Blocked;
        let mut pairs: Vec<(&[u8], &[u8])> =
            vec![(b"content-type", b"text/plain"), (b"cache-control", b"no-store")];
        pairs.extend_from_slice(extra);
        let headers = Headers::from_pairs(&pairs);
        let answer = Answer { status, headers: &headers, body: b"request refused\n", details };
        if host.respond(&answer).is_err() {
            // A stream that cannot be answered must not wait for ever.
            self.count(host, Counter::HostErrors);
            self.check(host, host.reset());
        }
    }
}
