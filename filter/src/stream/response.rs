//! The response on its way out: edits of its headers, and a second question where the agent wants one.

use std::time::Duration;

use portcullis_protocol::{RpcMsgIn2, http};

use super::act::Words;
use super::tell::Told;
use super::{Flow, State, Stream};
use crate::breaker::Gate;
use crate::config::OnFailure;
use crate::failure::Failure;
use crate::follow_up::Wanted;
use crate::headers::Headers;
use crate::host::{Host, Token};
use crate::metrics::Counter;
use crate::reports;
use crate::verdict::{Decision, Edit, ReplyShape, Response, Verdict};

/// What is to be done when the response's headers come.
#[derive(Debug, Default)]
pub(super) struct Plan {
    edits: Vec<Edit>,
    ask: Response,
    waiting: Option<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    token: Token,
    since: Duration,
}

impl Plan {
    /// Takes what a verdict says about the response.
    pub(super) fn take(&mut self, verdict: &mut Verdict) {
        self.edits.append(&mut verdict.edits);
        if verdict.response == Response::Asked {
            self.ask = Response::Asked;
        }
    }

    pub(super) fn pending(&self) -> Option<Token> {
        self.waiting.map(|waiting| waiting.token)
    }
}

impl Stream {
    /// The response's headers have come; whether they may go out.
    pub fn on_response_headers(&mut self, host: &impl Host) -> Flow {
        // The ordinary response, and everything that the proxy or this filter has answered itself.
        let plain = self.response.edits.is_empty() && self.response.ask == Response::Free;
        if plain || self.state != State::Passed {
            return Flow::Continue;
        }
        match std::mem::take(&mut self.response.ask) {
            Response::Free => self.edit(host),
            Response::Asked => self.ask_about_response(host),
        }
    }

    fn ask_about_response(&mut self, host: &impl Host) -> Flow {
        if self.plugin.gate() == Gate::Spare {
            return self.response_unanswered(host, Failure::Paused);
        }
        let headers = host.response_headers().unwrap_or_default();
        let code = headers.first(":status").and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let all = ["*".to_owned()];
        let message = RpcMsgIn2 {
            request_id: self.ids.first().map(|id| id.as_slice().into()).unwrap_or_default(),
            response_code: code.unwrap_or(-1),
            headers_out: Wanted { headers: &headers, names: &all }.pairs(),
            ..RpcMsgIn2::default()
        };
        let timeout = self.profile.timeout;
        match reports::call(host, &self.plugin.config, timeout, http::RESPONSE, &message.encode()) {
            Ok(token) => {
                self.plugin.metrics.enter();
                self.response.waiting = Some(Waiting { token, since: host.now() });
                Flow::Hold
            }
            Err(error) => self.response_unanswered(host, Failure::from(error)),
        }
    }

    /// The reply to the question about the response.
    pub(super) fn on_response_reply(&mut self, host: &impl Host, token: Token, shape: ReplyShape) {
        let Some(waiting) = self.response.waiting.take_if(|waiting| waiting.token == token) else { return };
        self.plugin.metrics.leave();
        self.plugin.metrics.callout(host, host.now().saturating_sub(waiting.since));
        let flow = match Verdict::read(host, shape) {
            Ok(verdict) => {
                self.plugin.answered();
                self.obey_about_response(host, verdict)
            }
            Err(failure) => {
                self.plugin.unanswered(host, failure);
                self.response_unanswered(host, failure)
            }
        };
        if flow == Flow::Continue && host.resume_response().is_err() {
            self.count(Counter::HostErrors);
        }
    }

    /// The stream has ended while a response waited.
    pub(super) fn abandon_response(&mut self) {
        if self.response.waiting.take().is_some() {
            self.plugin.metrics.leave();
        }
    }

    fn obey_about_response(&mut self, host: &impl Host, mut verdict: Verdict) -> Flow {
        match verdict.decision {
            Decision::Allow => {
                self.response.edits.append(&mut verdict.edits);
                self.edit(host)
            }
            Decision::Block(status) => {
                self.refuse_response(host, verdict.code, status, Words::default());
                Flow::Hold
            }
            Decision::Redirect(status, ref location) => {
                self.refuse_response(host, verdict.code, status, Words::at(location));
                Flow::Hold
            }
        }
    }

    fn refuse_response(&mut self, host: &impl Host, code: i32, status: u16, words: Words<'_>) {
        self.code = code;
        self.count(Counter::ResponsesBlocked);
        self.answer(host, status, words, "portcullis_response_blocked");
        self.tell(host, Told { verdict: "response-block", ..Told::default() });
    }

    /// The request has had its verdict; the failure policy is applied to its response.
    fn response_unanswered(&mut self, host: &impl Host, failure: Failure) -> Flow {
        self.count(Counter::ResponsesUnasked);
        self.plugin.complain(host, failure);
        self.tell(host, Told { verdict: "allow", reason: failure.name(), ..Told::default() });
        match self.profile.on_failure {
            OnFailure::Open => self.edit(host),
            OnFailure::Closed(status) => {
                self.answer(host, status, Words::default(), "portcullis_failed_closed");
                Flow::Hold
            }
        }
    }

    fn edit(&mut self, host: &impl Host) -> Flow {
        let edits = std::mem::take(&mut self.response.edits);
        let absent = |name: &[u8], headers: &Headers| !headers.iter().any(|(known, _)| known == name);
        for edit in edits {
            let done = match edit {
                Edit::Add(name, value) => host.add_response_header(&name, &value),
                Edit::Set(name, value) => host.replace_response_header(&name, &value),
                Edit::Delete(name) => host.remove_response_header(&name),
                Edit::Default(name, value) => match host.response_headers() {
                    Ok(headers) if absent(&name, &headers) => host.add_response_header(&name, &value),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                },
            };
            self.check(done);
        }
        Flow::Continue
    }
}
