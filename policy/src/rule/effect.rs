//! What follows where a rule's conditions hold.

use std::sync::Arc;

use crate::decision::HeaderEdit;
use crate::site::BlockAnswer;

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The request is stopped; without an answer of its own with the site's, or a rate limit's.
    Block(Option<BlockAnswer>),
    /// The request passes, whatever else is said about it.
    Allow,
    /// The request gets a signal.
    Add(Arc<str>),
    /// It is written down.
    Log,
    /// The client is told that its login is wrong.
    Deceive,
    /// The client has to solve a challenge first.
    Challenge,
    /// The client must have solved one.
    VerifyToken,
    /// The response's headers are edited.
    Header(HeaderEdit),
}

impl Effect {
    /// Whether it stops requests.
    pub(crate) const fn stops(&self) -> bool {
        matches!(self, Self::Block(_) | Self::Deceive | Self::Challenge | Self::VerifyToken)
    }
}
