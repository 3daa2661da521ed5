//! What is decided about one request.

use portcullis_detect::Tag;

use crate::site::{BlockCode, Redirect};

/// What happens to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It reaches the application.
    Allow,
    /// The client is answered with a status.
    Block {
        /// The status.
        code: BlockCode,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// Status and target.
        redirect: Redirect,
    },
}

/// When the caller is to report the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    /// Whatever it is: the request is worth a record.
    Always,
    /// Only if the response is out of the ordinary.
    IfAnomalous,
}

/// What is decided about one request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What happens to the request.
    pub action: Action,
    /// What was found in it, each tag once, sorted.
    pub tags: Vec<Tag>,
    /// When the response is to be reported.
    pub follow_up: FollowUp,
}

impl Verdict {
    /// The verdict on a request that is let pass without being looked at, as the policy says.
    pub const fn unwatched() -> Self {
        Self { action: Action::Allow, tags: Vec::new(), follow_up: FollowUp::IfAnomalous }
    }

    /// The agent response code: 200 lets the request pass, another is the status that the client gets.
    pub fn code(&self) -> u16 {
        match &self.action {
            Action::Allow => 200,
            Action::Block { code } => code.get(),
            Action::Redirect { redirect } => redirect.code(),
        }
    }

    /// Where a redirected client is sent.
    pub fn location(&self) -> Option<&str> {
        match &self.action {
            Action::Allow | Action::Block { .. } => None,
            Action::Redirect { redirect } => Some(redirect.location()),
        }
    }
}
