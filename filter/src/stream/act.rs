//! Judging, asking the agent, and acting on what it says or does not say.

use portcullis_protocol::http;

use super::body::Unseen;
use super::tell::Told;
use super::{About, Flow, HeadersAt, State, Stream};
use crate::breaker::Gate;
use crate::config::{Mode, OnFailure};
use crate::failure::Failure;
use crate::headers::{self, Headers};
use crate::host::{Answer, Host, HostError};
use crate::local::{Found, Reliance};
use crate::message::Body;
use crate::metrics::Counter;
use crate::reports;
use crate::verdict::{self, Decision, Page, Verdict};

impl Stream {
    /// Judges by itself where that is enough; else asks.
    pub(super) fn consider(&mut self, host: &impl Host, about: About, body: Body<'_>) -> Flow {
        let judge = match self.profile.mode {
            Mode::LocalFirst => self.plugin.local.clone(),
            Mode::AskAlways => None,
        };
        let Some(judge) = judge else { return self.ask(host, about, body) };
        // The agent is quicker with a long body. Should it not answer, the engine sees the body after all.
        if body.bytes.len() > self.plugin.config.local.max_body {
            self.unseen = Some(Unseen::of(body));
            return self.ask(host, about, body);
        }
        let (found, reliance) = judge.judge(host, &self.plugin.config.local, &self.facts, body);
        self.found = found;
        match reliance {
            Reliance::Ask => self.ask(host, about, body),
            Reliance::Enough => self.pass(host, about),
        }
    }

    /// Goes on without having asked.
    fn pass(&mut self, host: &impl Host, about: About) -> Flow {
        if about == About::Headers {
            return self.turn_to_body(host);
        }
        self.plugin.passed();
        self.code = ALLOWED;
        self.state = State::Passed;
        self.tell(host, Told { verdict: "local", ..Told::default() });
        Flow::Continue
    }

    fn ask(&mut self, host: &impl Host, about: About, body: Body<'_>) -> Flow {
        if self.plugin.gate() == Gate::Spare {
            return self.fail(host, Failure::Paused);
        }
        self.facts.complete(host, &self.plugin.config);
        let message = self.facts.message(body).encode();
        let timeout = self.profile.timeout;
        match reports::call(host, &self.plugin.config, timeout, http::PRE_REQUEST, &message) {
            Ok(token) => {
                self.plugin.metrics.enter();
                self.state = State::Deciding { token, since: host.now(), about };
                Flow::Hold
            }
            Err(error) => self.unanswered(host, Failure::from(error)),
        }
    }

    pub(super) fn obey(&mut self, host: &impl Host, about: About, mut verdict: Verdict) -> Flow {
        self.unseen = None;
        self.code = verdict.code;
        let label = match verdict.decision {
            Decision::Block(status) => {
                self.count(Counter::Blocked);
                let page = verdict.page.take().filter(|_| !self.facts.is_grpc());
                self.answer(
                    host,
                    status,
                    Words { page: page.as_ref(), ..Words::default() },
                    "portcullis_blocked",
                );
                "block"
            }
            Decision::Redirect(status, ref location) => {
                self.count(Counter::Redirected);
                self.answer(host, status, Words::at(location), "portcullis_redirected");
                "redirect"
            }
            Decision::Allow => {
                self.dress(host, &verdict);
                self.response.take(&mut verdict);
                "allow"
            }
        };
        if about == About::Whole || self.state == State::Blocked {
            let (signals, id) = (verdict.tags(), verdict.request_id.as_slice());
            self.tell(host, Told { verdict: label, signals, id, reason: "" });
        }
        if !verdict.request_id.is_empty() && !self.ids.contains(&verdict.request_id) {
            self.ids.push(verdict.request_id);
        }
        match (self.state, about) {
            (State::Blocked, _) => Flow::Hold,
            (_, About::Headers) => self.turn_to_body(host),
            (_, About::Whole) => {
                self.count(Counter::Allowed);
                self.state = State::Passed;
                Flow::Continue
            }
        }
    }

    /// A question got no answer.
    pub(super) fn unanswered(&mut self, host: &impl Host, failure: Failure) -> Flow {
        self.plugin.unanswered(host, failure);
        self.fail(host, failure)
    }

    /// Stops an attack that the filter itself has found, where the agent has said that attacks are stopped at once; else
    /// applies the failure policy.
    pub(super) fn fail(&mut self, host: &impl Host, failure: Failure) -> Flow {
        let found = self.all_found(host);
        self.plugin.complain(host, failure);
        if let Some(block) = self.plugin.local.as_ref().and_then(|local| local.stop(host, &found)) {
            self.plugin.blocked();
            self.code = block.status.into();
            self.answer(host, block.status, Words::at(&block.location), "portcullis_blocked_locally");
            let signals = found.tags.as_bytes();
            self.tell(host, Told { verdict: "local-block", signals, id: b"", reason: failure.name() });
            return Flow::Hold;
        }
        self.count(Counter::Failed(failure));
        let signals = found.tags.as_bytes();
        self.tell(host, Told { verdict: "none", signals, id: b"", reason: failure.name() });
        match self.profile.on_failure {
            OnFailure::Open => {
                self.state = State::Bypassed;
                Flow::Continue
            }
            OnFailure::Closed(status) => {
                self.answer(host, status, Words::default(), "portcullis_failed_closed");
                Flow::Hold
            }
        }
    }

    /// What the engine has found, and finds in what it has not seen yet.
    fn all_found(&mut self, host: &impl Host) -> Found {
        let found = std::mem::take(&mut self.found);
        let (Some(judge), Some(unseen)) = (&self.plugin.local, self.unseen.take()) else { return found };
        judge.judge(host, &self.plugin.config.local, &self.facts, unseen.body()).0
    }

    /// Takes away what only the agent may tell the application, whatever becomes of the request.
    pub(super) fn strip_forged(&self, host: &impl Host, headers: &Headers) {
        let forged = headers.iter().map(|(name, _)| name).filter(|name| verdict::is_reserved(name));
        let forged = once_each(forged);
        if forged.is_empty() {
            return;
        }
        self.count(Counter::Forged);
        for name in forged {
            self.check(host.remove_request_header(name));
        }
    }

    /// Takes away from trailers what only the agent or only headers may tell the application, which may read both alike, and
    /// answers what is left.
    pub(super) fn admit(&self, host: &impl Host, trailers: &Headers) -> Headers {
        let (refused, left): (Vec<_>, Vec<_>) = trailers
            .iter()
            .partition(|(name, _)| verdict::is_reserved(name) || headers::is_for_headers(name));
        if refused.iter().any(|(name, _)| verdict::is_reserved(name)) {
            self.count(Counter::Forged);
        }
        for name in once_each(refused.into_iter().map(|(name, _)| name)) {
            self.check(host.remove_request_trailer(name));
        }
        if left.is_empty() { Headers::default() } else { Headers::from_pairs(&left) }
    }

    pub(super) fn count(&self, counter: Counter) {
        self.plugin.metrics.count(counter);
    }

    /// Counts an action that the host refused; there is nothing else to do about one.
    pub(super) fn check(&self, done: Result<(), HostError>) {
        if done.is_err() {
            self.count(Counter::HostErrors);
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
        // What the agent says itself need not be said before it.
        let given = |name: &[u8]| verdict.headers.iter().any(|(given, _)| given == name);
        let own = own.into_iter().filter(|(name, value)| !value.is_empty() && !given(name));
        let given = verdict.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        for (name, value) in own.chain(given) {
            let done = if verdict::is_reserved(name) {
                host.replace_request_header(name, value)
            } else {
                host.add_request_header(name, value)
            };
            self.check(done);
        }
    }

    /// Answers in the application's place, once: a host may hang on a second answer.
    pub(super) fn answer(&mut self, host: &impl Host, status: u16, words: Words<'_>, details: &str) {
        self.state = State::Blocked;
        let Words { page, location } = words;
        let content_type = page.map_or(&b"text/plain"[..], |page| &page.content_type);
        let extra = page.map(|page| page.headers.as_slice()).unwrap_or_default();
        let mut pairs: Vec<(&[u8], &[u8])> = vec![(b"content-type", content_type)];
        if !extra.iter().any(|(name, _)| name == b"cache-control") {
            pairs.push((b"cache-control", b"no-store"));
        }
        pairs.extend(extra.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
        if !location.is_empty() {
            pairs.push((b"location", location));
        }
        let headers = Headers::from_pairs(&pairs);
        let body = page.map_or(&b"request refused\n"[..], |page| &page.body);
        let answer = Answer { status, headers: &headers, body, details };
        if host.respond(&answer).is_err() {
            // A stream that cannot be answered must not wait for ever.
            self.count(Counter::HostErrors);
            self.check(host.reset());
        }
    }
}

/// The names without those that a name before them repeats. Hosts bound how many headers there are.
fn once_each<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// What a client is told beside a status.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Words<'a> {
    /// In the place of the filter's own text.
    page: Option<&'a Page>,
    /// Where a client is sent, empty for nowhere.
    location: &'a [u8],
}

impl<'a> Words<'a> {
    /// Sends the client there.
    pub(super) fn at(location: &'a [u8]) -> Self {
        Self { page: None, location }
    }
}

/// The code of a request that passes.
const ALLOWED: i32 = 200;
