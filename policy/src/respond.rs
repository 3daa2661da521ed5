//! How a response is judged, with what is remembered of its request.

use portcullis_detect::{Response, Signals};

use crate::decide::Run;
use crate::decision::{Decision, FollowUp};
use crate::policy::Policy;
use crate::site::AgentMode;
use crate::state::{Client, Moment};

/// What is kept of a request for its response: a few words, not the request. It belongs to the policy that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub(crate) client: Option<Client>,
    /// Whether the request was let pass whatever else is said about it.
    pub(crate) is_allowed: bool,
}

impl Remembered {
    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>()
    }
}

impl Policy {
    /// Decides about the response in which `signals` were found. The action is for whoever still holds the response; others
    /// take signals and events only.
    pub fn respond(
        &self,
        remembered: &Remembered,
        _response: &Response<'_>,
        signals: &Signals,
        Moment { state, now }: Moment<'_>,
    ) -> Decision {
        match self.site.mode {
            AgentMode::Off => return Decision::unwatched(),
            AgentMode::Log | AgentMode::Block => {}
        }
        let mut run = Run {
            policy: self,
            signals,
            state,
            now,
            client: remembered.client,
            decision: Decision::pass(Vec::new(), FollowUp::IfAnomalous),
            trail: None,
        };
        run.take_tags();
        if !remembered.is_allowed {
            run.count();
        }
        run.finish()
    }
}
