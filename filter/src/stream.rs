//! One request, from its headers to its end.
//!
//! The application sees nothing of a request before the verdict, so the one thing that matters in every callback is
//! whether it may say [`Flow::Continue`]: only where the state is `Passed` or `Bypassed`.

mod act;
mod body;
mod response;
mod tell;

use std::rc::Rc;
use std::time::Duration;

use crate::config::{BodyMode, Inspection, Profile, ReportMode, RouteMetadata};
use crate::failure::Failure;
use crate::follow_up::{Acted, Response};
use crate::headers::Headers;
use crate::host::{Host, Token};
use crate::local::Found;
use crate::message::{Body, Extent, Facts};
use crate::metrics::Counter;
use crate::plugin::Plugin;
use crate::verdict::{ReplyShape, Verdict};

use body::{Collected, Unseen};
use response::Plan;

/// The state machine of one request.
#[derive(Debug)]
pub struct Stream {
    plugin: Rc<Plugin>,
    /// How this request is treated.
    profile: Rc<Profile>,
    state: State,
    facts: Facts,
    /// Whether the host still holds the headers back, so that they can be changed.
    headers: HeadersAt,
    body: Collected,
    /// What the filter's own engine found.
    found: Found,
    /// The body that the agent was asked about before the engine has seen it.
    unseen: Option<Unseen>,
    code: i32,
    ids: Vec<Vec<u8>>,
    response: Plan,
}

/// What a callback tells the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop, and show the next part together with what is there. A host answers 413 where that is too much.
    Collect,
    /// Stop, and slow the client down where there is more than fits; the next part is shown alone.
    Hold,
}

/// Whether more of the request comes after this part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// More may come.
    #[default]
    Open,
    /// This was the last part.
    Reached,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come.
    Start,
    /// The body is being collected.
    BodyCollect,
    /// The agent has been asked.
    Deciding { token: Token, since: Duration, about: About },
    /// There is a verdict, and it lets the request go on.
    Passed,
    /// The request has been answered in the application's place.
    Blocked,
    /// There is no verdict and the request goes on.
    Bypassed,
    /// The configuration says not to look at it, or it has been looked at before.
    Unwatched,
    /// The stream has ended.
    Closed,
}

/// What the agent was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The request.
    Whole,
    /// The headers; the body is asked about later.
    Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeadersAt {
    Host,
    Application,
}

impl Stream {
    /// A stream of which nothing has come yet.
    pub fn new(plugin: Rc<Plugin>) -> Self {
        Self {
            profile: Rc::clone(plugin.config.scope.default_profile()),
            plugin,
            state: State::Start,
            facts: Facts::default(),
            headers: HeadersAt::Host,
            body: Collected::default(),
            found: Found::default(),
            unseen: None,
            code: NO_VERDICT,
            ids: Vec::new(),
            response: Plan::default(),
        }
    }

    /// The request's headers have come.
    pub fn on_request_headers(&mut self, host: &impl Host, end: End) -> Flow {
        let headers = host.request_headers();
        if headers.as_ref().is_ok_and(|headers| self.has_been_judged(host, headers)) {
            // It has been counted, and what it carries of the agent's is the agent's.
            self.state = State::Unwatched;
            return Flow::Continue;
        }
        self.count(Counter::Requests);
        let Ok(headers) = headers else { return self.fail(host, Failure::Host) };
        self.strip_forged(host, &headers);
        self.profile = self.choose(host, &headers);
        if self.profile.inspection == Inspection::Off {
            self.count(Counter::Unwatched);
            self.state = State::Unwatched;
            self.tell_unwatched(host);
            return Flow::Continue;
        }
        self.facts = Facts::collect(host, &self.plugin.config, headers, host.now());
        // A body that is not shown is one of which the agent must not think that there is none.
        let unseen = Body { extent: Extent::Truncated, total: self.facts.content_length(), bytes: &[] };
        match (end, self.profile.body) {
            (End::Reached, _) => self.consider(host, About::Whole, Body::default()),
            (End::Open, _) if self.facts.is_stream() || !self.reads_body() => {
                self.count(Counter::Unseen);
                self.consider(host, About::Whole, unseen)
            }
            (End::Open, BodyMode::None) => {
                self.count(Counter::Unseen);
                self.consider(host, About::Whole, unseen)
            }
            (End::Open, BodyMode::After) => self.consider(host, About::Headers, unseen),
            (End::Open, BodyMode::Hold) => {
                self.state = State::BodyCollect;
                Flow::Hold
            }
        }
    }

    /// Part of the body has come; `size` is what the host can show of it.
    pub fn on_request_body(&mut self, host: &impl Host, size: usize, end: End) -> Flow {
        match self.state {
            State::Passed | State::Bypassed | State::Unwatched => Flow::Continue,
            State::Blocked | State::Closed | State::Deciding { about: About::Whole, .. } => Flow::Hold,
            State::Start => self.fail(host, Failure::Host),
            State::BodyCollect | State::Deciding { about: About::Headers, .. } => {
                self.collect(host, size, end)
            }
        }
    }

    /// Trailers have come, so the body is whole; no part of it was marked as the last.
    pub fn on_request_trailers(&mut self, host: &impl Host) -> Flow {
        if matches!(self.state, State::Blocked | State::Closed) {
            return Flow::Hold;
        }
        let trailers = host.request_trailers().map(|trailers| self.admit(host, &trailers));
        match (self.state, trailers) {
            // Behind a body of which it was counted that not all was seen.
            (State::Passed | State::Bypassed | State::Unwatched, _) => Flow::Continue,
            (State::Deciding { about: About::Whole, .. }, _) => Flow::Hold,
            // Trailers that are not shown must not pass for none.
            (_, Err(_)) | (State::Start, _) => {
                if self.pending().is_some() {
                    self.plugin.metrics.leave();
                }
                self.fail(host, Failure::Host)
            }
            (_, Ok(trailers)) => {
                self.facts.trailers = trailers;
                self.collect_end(host)
            }
        }
    }

    /// The reply to a callout has come.
    pub fn on_reply(&mut self, host: &impl Host, token: Token, shape: ReplyShape) {
        let State::Deciding { token: asked, since, about } = self.state else {
            return self.on_response_reply(host, token, shape);
        };
        if asked != token {
            return;
        }
        self.plugin.metrics.leave();
        self.plugin.metrics.callout(host, host.now().saturating_sub(since));
        let flow = match Verdict::read(host, shape) {
            Ok(verdict) => {
                self.plugin.answered();
                self.obey(host, about, verdict)
            }
            Err(failure) => self.unanswered(host, failure),
        };
        if flow == Flow::Continue && host.resume_request().is_err() {
            self.count(Counter::HostErrors);
        }
    }

    /// The stream has ended, with a response or without one.
    pub fn on_log(&mut self, host: &impl Host) {
        match self.state {
            State::Start | State::Closed | State::Unwatched => return,
            State::BodyCollect => self.count(Counter::Abandoned),
            State::Deciding { .. } => {
                // The host has dropped the call; there will be no reply.
                self.plugin.metrics.leave();
                self.count(Counter::Abandoned);
            }
            State::Passed | State::Blocked | State::Bypassed => self.abandon_response(),
        }
        self.state = State::Closed;
        if self.plugin.config.report.mode == ReportMode::Off {
            return;
        }
        let response = Response::observe(host, self.facts.came);
        let acted = Acted { code: self.code, ids: &self.ids };
        for report in response.reports(host, &self.plugin.config, &mut self.facts, acted) {
            self.plugin.report(report);
        }
    }

    /// The call whose reply the stream waits for.
    pub fn pending(&self) -> Option<Token> {
        match self.state {
            State::Deciding { token, .. } => Some(token),
            _ => self.response.pending(),
        }
    }

    /// The profile that the route names, or that host and path have.
    fn choose(&self, host: &impl Host, headers: &Headers) -> Rc<Profile> {
        let scope = &self.plugin.config.scope;
        if self.plugin.config.route_metadata == RouteMetadata::Read {
            let named = host.property(ROUTE_PROFILE).ok().flatten();
            let known = named.and_then(|name| scope.named(std::str::from_utf8(&name).ok()?).cloned());
            if let Some(profile) = known {
                return profile;
            }
        }
        if scope.is_uniform() {
            return Rc::clone(scope.default_profile());
        }
        let value = |name| headers.first(name).unwrap_or_default();
        Rc::clone(scope.of(value(":authority"), value(":path")))
    }

    fn reads_body(&self) -> bool {
        let value = |name| self.facts.headers.first(name).unwrap_or_default();
        self.profile.reads_body(value(":path"), value("content-type"))
    }
}

/// What modules report where there was no verdict.
const NO_VERDICT: i32 = -2;

/// Only values within the metadata can be read, not the whole.
const ROUTE_PROFILE: &[&str] = &["xds", "route_metadata", "filter_metadata", "portcullis", "profile"];

#[cfg(test)]
mod tests;
