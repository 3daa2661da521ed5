//! What went wrong on the way to an answer, who was at fault, and what the client is told.

use http::StatusCode;
use hyper_util::client::legacy::Error as ClientError;

use crate::connect::ConnectError;
use crate::hold::HoldError;
use crate::upstream::connect_error;

/// Why a request has no answer from an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// All upstreams are gone.
    #[error("no upstream is left to try")]
    NoUpstream,
    /// The target cannot be sent to an upstream.
    #[error("the request's target can not be forwarded")]
    Target,
    /// No connection could be made.
    #[error("cannot connect to {upstream}")]
    Connect {
        /// The upstream.
        upstream: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// A connection took too long.
    #[error("connecting to {upstream} took too long")]
    SlowConnect {
        /// The upstream.
        upstream: String,
    },
    /// The upstream broke off, or answered what is no response.
    #[error("{upstream} broke off")]
    Upstream {
        /// The upstream.
        upstream: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// The response's header took too long.
    #[error("{upstream} took too long to answer")]
    SlowUpstream {
        /// The upstream.
        upstream: String,
    },
    /// The whole exchange took too long.
    #[error("the exchange took too long")]
    SlowExchange,
    /// The client's body could not be read.
    #[error(transparent)]
    Client(#[from] HoldError),
    /// The request was not inspected, and the listener fails closed.
    #[error("the request could not be inspected")]
    NotInspected,
}

/// Who has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client.
    Downstream,
    /// The application.
    Upstream,
    /// This proxy.
    Internal,
}

impl Fault {
    /// The name used in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

impl Failed {
    /// Sorts an error of the client that spoke to `upstream`.
    pub(crate) fn upstream(upstream: String, source: ClientError) -> Self {
        match connect_error(&source) {
            Some(ConnectError::Slow) => Self::SlowConnect { upstream },
            Some(_) => Self::Connect { upstream, source },
            None if source.is_connect() => Self::Connect { upstream, source },
            None => Self::Upstream { upstream, source },
        }
    }

    /// Whether the upstream took no connection, so that nothing of the request reached it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::SlowConnect { .. })
    }

    /// What the client is told.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Target => StatusCode::BAD_REQUEST,
            Self::Client(HoldError::Broken(_)) => StatusCode::BAD_REQUEST,
            Self::Client(HoldError::Slow) => StatusCode::REQUEST_TIMEOUT,
            Self::Connect { .. } | Self::Upstream { .. } => StatusCode::BAD_GATEWAY,
            Self::NoUpstream | Self::NotInspected => StatusCode::SERVICE_UNAVAILABLE,
            Self::SlowConnect { .. } | Self::SlowUpstream { .. } | Self::SlowExchange => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// Who was at fault.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Target | Self::Client(_) => Fault::Downstream,
            Self::NoUpstream
            | Self::Connect { .. }
            | Self::SlowConnect { .. }
            | Self::Upstream { .. }
            | Self::SlowUpstream { .. }
            | Self::SlowExchange => Fault::Upstream,
            Self::NotInspected => Fault::Internal,
        }
    }
}
