//! One request, from its headers to its end.
//!
//! The application sees nothing of a request before the verdict, so the one thing that matters in every callback is
//! whether it may say [`Flow::Continue`]: only where the state is `Passed` or `Bypassed`.

mod act;
mod body;

use std::rc::Rc;
use std::time::Duration;

use crate::config::{BodyMode, ReportMode};
use crate::failure::Failure;
use crate::follow_up::{Acted, Response};
use crate::host::{Host, Token};
use crate::message::{Body, Extent, Facts};
use crate::metrics::Counter;
use crate::plugin::Plugin;
use crate::verdict::{ReplyShape, Verdict};

use body::Collected;

/// The state machine of one request.
#[derive(Debug)]
pub struct Stream {
    plugin: Rc<Plugin>,
    state: State,
    facts: Facts,
    /// Whether the host still holds the headers back, so that they can be changed.
    headers: HeadersAt,
    body: Collected,
    code: i32,
    ids: Vec<Vec<u8>>,
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
    /// The agent agreed.
    Passed,
    /// The request has been answered in the application's place.
    Blocked,
    /// There is no verdict and the request goes on.
    Bypassed,
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
            plugin,
            state: State::Start,
            facts: Facts::default(),
            headers: HeadersAt::Host,
            body: Collected::default(),
            code: NO_VERDICT,
            ids: Vec::new(),
        }
    }

    /// The request's headers have come.
    pub fn on_request_headers(&mut self, host: &impl Host, end: End) -> Flow {
        self.count(host, Counter::Requests);
        let Ok(headers) = host.request_headers() else { return self.fail(host, Failure::Host) };
        self.strip_forged(host, &headers);
        self.facts = Facts::collect(host, &self.plugin.config, headers);
        // A body that is not shown is one of which the agent must not think that there is none.
        let unseen = Body { extent: Extent::Truncated, total: self.facts.content_length(), bytes: &[] };
        match (end, self.plugin.config.body) {
            (End::Reached, _) => self.ask(host, About::Whole, Body::default()),
            (End::Open, _) if self.facts.is_stream() => self.ask(host, About::Whole, unseen),
            (End::Open, BodyMode::None) => self.ask(host, About::Whole, unseen),
            (End::Open, BodyMode::After) => self.ask(host, About::Headers, unseen),
            (End::Open, BodyMode::Hold) => {
                self.state = State::BodyCollect;
                Flow::Hold
            }
        }
    }

    /// Part of the body has come; `size` is what the host can show of it.
    pub fn on_request_body(&mut self, host: &impl Host, size: usize, end: End) -> Flow {
        match self.state {
            State::Passed | State::Bypassed => Flow::Continue,
            State::Blocked | State::Closed | State::Deciding { about: About::Whole, .. } => Flow::Hold,
            State::Start => self.fail(host, Failure::Host),
            State::BodyCollect | State::Deciding { about: About::Headers, .. } => {
                self.collect(host, size, end)
            }
        }
    }

    /// Trailers have come, so the body is whole; no part of it was marked as the last.
    pub fn on_request_trailers(&mut self, host: &impl Host) -> Flow {
        match self.state {
            State::Passed | State::Bypassed => Flow::Continue,
            State::Blocked | State::Closed | State::Deciding { about: About::Whole, .. } => Flow::Hold,
            State::Start => self.fail(host, Failure::Host),
            State::BodyCollect | State::Deciding { about: About::Headers, .. } => self.collect_end(host),
        }
    }

    /// The reply to a callout has come.
    pub fn on_reply(&mut self, host: &impl Host, token: Token, shape: ReplyShape) {
        let State::Deciding { token: asked, since, about } = self.state else { return };
        if asked != token {
            return;
        }
        self.plugin.metrics.leave(host);
        self.plugin.metrics.callout(host, host.now().saturating_sub(since));
        let flow = match Verdict::read(host, shape) {
            Ok(verdict) => self.obey(host, about, verdict),
            Err(failure) => self.fail(host, failure),
        };
        if flow == Flow::Continue && host.resume_request().is_err() {
            self.count(host, Counter::HostErrors);
        }
    }

    /// The stream has ended, with a response or without one.
    pub fn on_log(&mut self, host: &impl Host) {
        match self.state {
            State::Start | State::Closed => return,
            State::BodyCollect => self.count(host, Counter::Abandoned),
            State::Deciding { .. } => {
                // The host has dropped the call; there will be no reply.
                self.plugin.metrics.leave(host);
                self.count(host, Counter::Abandoned);
            }
            State::Passed | State::Blocked | State::Bypassed => {}
        }
        self.state = State::Closed;
        let limits = self.plugin.config.report;
        if limits.mode == ReportMode::Off {
            return;
        }
        let response = Response::observe(host, self.facts.came);
        for report in response.reports(host, &self.facts, Acted { code: self.code, ids: &self.ids }, &limits)
        {
            self.plugin.report(host, report);
        }
    }

    /// The call whose reply the stream waits for.
    pub fn pending(&self) -> Option<Token> {
        match self.state {
            State::Deciding { token, .. } => Some(token),
            _ => None,
        }
    }
}

/// What modules report where there was no verdict.
const NO_VERDICT: i32 = -2;

#[cfg(test)]
mod tests;
