//! Rate limits: whom they count, and what is limited then.

use std::sync::Arc;

use super::test::Known;
use crate::facts::{Facts, Parameter};
use crate::state::{Client, RateOf, State};

/// A rate limit.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    /// Counted requests carry it.
    pub(crate) signal: Arc<str>,
    pub(crate) of: RateOf,
    /// Whom it counts; one or two.
    pub(crate) identifiers: Vec<Identifier>,
    pub(crate) scope: Scope,
}

/// What of a client says who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identifier {
    Ip,
    RequestHeader(String),
    RequestCookie(String),
    PostParameter(String),
    /// The value in which a signal was found.
    SignalPayload(String),
}

/// Which requests of a client over the limit it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those for which the rule's conditions hold.
    Counted,
    /// Those that carry a signal.
    Signal(Arc<str>),
    /// All.
    All,
}

impl RateLimit {
    /// The key under which the client is counted; none where nothing says who it is.
    pub(crate) fn key(
        &self,
        id: &str,
        facts: &Facts<'_>,
        signals: &[Known<'_>],
        (client, state): (Option<Client>, &State),
    ) -> Option<[u64; 2]> {
        let address = client.map(Client::to_bytes);
        let address = address.as_ref().map(|bytes| &bytes[..]);
        let mut parts: [Option<&[u8]>; 2] = [None, None];
        for (part, identifier) in parts.iter_mut().zip(&self.identifiers) {
            *part = identifier.of(facts, signals, address);
        }
        // Of two, one is enough; nobody in particular is not counted.
        parts.iter().any(Option::is_some).then(|| {
            let [first, second] = parts.map(Option::unwrap_or_default);
            state.rate_key([id.as_bytes(), first, second])
        })
    }
}

impl Identifier {
    fn of<'f>(
        &self,
        facts: &'f Facts<'_>,
        signals: &'f [Known<'_>],
        address: Option<&'f [u8]>,
    ) -> Option<&'f [u8]> {
        let named = |parameters: &'f [Parameter], name: &str| {
            let found = parameters.iter().find(|parameter| parameter.name == name.as_bytes());
            found.map(|parameter| &parameter.value[..])
        };
        let found = match self {
            Self::Ip => address,
            Self::RequestHeader(name) => {
                let mut headers = facts.request.headers.iter();
                let found = headers.find(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
                found.map(|header| header.value)
            }
            Self::RequestCookie(name) => named(facts.cookies(), name),
            Self::PostParameter(name) => named(facts.post(), name),
            Self::SignalPayload(name) => {
                let found = signals.iter().find(|signal| signal.name.eq_ignore_ascii_case(name));
                found.and_then(|signal| signal.finding).map(|finding| &finding.value[..])
            }
        };
        found.filter(|value| !value.is_empty())
    }
}
