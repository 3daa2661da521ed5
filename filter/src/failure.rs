//! Why a request was not inspected.

use crate::host::HostError;

/// Why a request has no verdict. The host's shapes of failure are told apart so that each can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The proxy has no such cluster.
    NoCluster,
    /// The cluster has no endpoint, or its circuit breaker is open.
    Unavailable,
    /// The proxy did not take the call for another reason.
    Dispatch,
    /// Nobody listens, or the agent closed before it replied.
    Connect,
    /// The agent's reply is not HTTP.
    Garbled,
    /// No reply in time.
    Timeout,
    /// The reply broke off, or the call was cancelled.
    Reset,
    /// The agent replied with another status than 200.
    Status,
    /// A 200 that is not an agent's.
    Foreign,
    /// The reply is too long or cannot be read.
    Decode,
    /// The agent says it did not inspect the request.
    NotInspected,
    /// The agent is left alone for a while, because it did not answer others.
    Paused,
    /// The proxy did not give the request to the filter.
    Host,
}

impl Failure {
    /// All reasons.
    pub const ALL: &[Failure] = &[
        Failure::NoCluster,
        Failure::Unavailable,
        Failure::Dispatch,
        Failure::Connect,
        Failure::Garbled,
        Failure::Timeout,
        Failure::Reset,
        Failure::Status,
        Failure::Foreign,
        Failure::Decode,
        Failure::NotInspected,
        Failure::Paused,
        Failure::Host,
    ];

    /// The reason as metrics and logs show it.
    pub fn name(self) -> &'static str {
        match self {
            Failure::NoCluster => "no_cluster",
            Failure::Unavailable => "unavailable",
            Failure::Dispatch => "dispatch",
            Failure::Connect => "connect",
            Failure::Garbled => "garbled",
            Failure::Timeout => "timeout",
            Failure::Reset => "reset",
            Failure::Status => "status",
            Failure::Foreign => "foreign",
            Failure::Decode => "decode",
            Failure::NotInspected => "not_inspected",
            Failure::Paused => "paused",
            Failure::Host => "host",
        }
    }
}

impl Failure {
    /// What it says of the agent.
    pub(crate) fn blame(self) -> Blame {
        match self {
            Failure::NotInspected => Blame::Busy,
            Failure::Paused | Failure::Host => Blame::None,
            Failure::NoCluster
            | Failure::Unavailable
            | Failure::Dispatch
            | Failure::Connect
            | Failure::Garbled
            | Failure::Timeout
            | Failure::Reset
            | Failure::Status
            | Failure::Foreign
            | Failure::Decode => Blame::Agent,
        }
    }
}

/// What a failure says of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It did not answer, or not as an agent does.
    Agent,
    /// It is there and said so.
    Busy,
    /// Nothing.
    None,
}

/// A callout that the host did not take.
impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error {
            HostError::BadArgument | HostError::ParseFailure | HostError::NotFound => Failure::NoCluster,
            HostError::InternalFailure => Failure::Unavailable,
            HostError::Other(_) => Failure::Dispatch,
        }
    }
}
