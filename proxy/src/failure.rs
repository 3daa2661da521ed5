//! What goes wrong on the way to an answer, who is at fault, and what the client is told.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use http::StatusCode;

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
    /// The name used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Internal => "internal",
        }
    }
}

macro_rules! reasons {
    ($($variant:ident $name:literal $fault:ident $status:literal $text:literal)*) => {
        /// Why a request has no whole answer from an upstream.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $text] $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The name used in logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Who is at fault.
            pub const fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)* }
            }

            const fn code(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    Connect "connect" Upstream 502 "no connection to the upstream could be made"
    ConnectTimeout "connect_timeout" Upstream 504 "connecting to the upstream took too long"
    Tls "tls" Upstream 502 "the TLS handshake with the upstream failed"
    BrokeOff "broke_off" Upstream 502 "the upstream broke off before its response"
    BadResponse "bad_response" Upstream 502 "the upstream sent what is no response"
    ResponseTimeout "response_timeout" Upstream 504 "the upstream took too long to answer"
    ResponseCut "response_cut" Upstream 502 "the upstream broke off within its response"
    ExchangeTimeout "exchange_timeout" Upstream 504 "the exchange took too long"
    Switch "unasked_switch" Upstream 502 "the upstream switched protocols unasked"
    NoPlace "no_place" Internal 503 "all connections to the upstream are taken"
    NoSwitch "no_switch" Internal 501 "a switch of protocols cannot be passed on to this upstream"
    NotInspected "not_inspected" Internal 503 "the request could not be inspected"
    NoMemory "no_memory" Internal 503 "requests under way hold too much memory"
    BodyTimeout "body_timeout" Downstream 408 "the request's body came too slowly"
    BodyBroken "body_broken" Downstream 400 "the request's body broke off"
    Gone "client_gone" Downstream 499 "the client went away"
    Target "target" Downstream 400 "the request's target cannot be forwarded"
    NotGrpc "not_grpc" Downstream 415 "only gRPC is served here"
    Connected "connect_method" Downstream 405 "CONNECT is not served here"
}

impl Reason {
    /// What the client is told; where it is gone, what is written down.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.code()).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    /// Where in [`Reason::ALL`] it stands.
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|reason| *reason == self).unwrap_or_default()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A failure, with what is known of it.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Why.
    pub reason: Reason,
    /// The upstream that was asked.
    pub upstream: Option<Arc<str>>,
    /// What was behind it.
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self { reason, upstream: None, cause: None }
    }
}

impl Failed {
    /// A failure of `upstream`.
    pub(crate) fn at(
        reason: Reason,
        upstream: &Arc<str>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { reason, upstream: Some(Arc::clone(upstream)), cause: Some(cause.into()) }
    }

    /// Whether the upstream took no connection, so that nothing of the request reached it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.reason, Reason::Connect | Reason::ConnectTimeout | Reason::Tls)
    }

    /// The causes in one line, outermost first.
    pub(crate) fn causes(&self) -> String {
        let mut text = String::new();
        let mut next = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = next {
            let separator = if text.is_empty() { "" } else { ": " };
            text += &format!("{separator}{error}");
            next = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_status_and_a_name_of_its_own() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.status().as_u16(), reason.code());
            assert_eq!(reason.index(), index);
            let same = Reason::ALL.iter().filter(|other| other.as_str() == reason.as_str());
            assert_eq!(same.count(), 1, "{}", reason.as_str());
        }
    }
}
