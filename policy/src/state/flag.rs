//! Clients that were flagged, and for how long.

use std::sync::Arc;

use super::client::Client;

/// What being flagged means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlagKind {
    /// Requests with an attack in them are blocked.
    Block,
    /// They are marked.
    Log,
}

impl FlagKind {
    /// The name used in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "flagged",
            Self::Log => "info",
        }
    }
}

/// A flagged client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Who.
    pub client: Client,
    /// What it means.
    pub kind: FlagKind,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Until when.
    pub until: u64,
    /// The signal whose threshold was reached, or who set it.
    pub cause: Arc<str>,
}

impl Flag {
    /// Bytes that a cause may have.
    pub const MAX_CAUSE: usize = 128;

    /// Whether it holds at `now`.
    pub fn is_live(&self, now: u64) -> bool {
        now < self.until
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.client.to_bytes());
        out.push(match self.kind {
            FlagKind::Block => 0,
            FlagKind::Log => 1,
        });
        out.extend(self.since.to_le_bytes());
        out.extend(self.until.to_le_bytes());
        let cause = self.cause.as_bytes();
        let cause = cause.get(..Self::MAX_CAUSE).unwrap_or(cause);
        out.push(u8::try_from(cause.len()).unwrap_or_default());
        out.extend(cause);
    }

    /// Reads one from the start of `bytes`, and says how long it is.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (client, rest) = bytes.split_first_chunk::<{ Client::BYTES }>()?;
        let (kind, rest) = rest.split_first()?;
        let (since, rest) = rest.split_first_chunk::<8>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first()?;
        let cause = rest.get(..usize::from(*length)).filter(|cause| cause.len() <= Self::MAX_CAUSE)?;
        let flag = Self {
            client: Client::from_bytes(*client),
            kind: match kind {
                0 => FlagKind::Block,
                1 => FlagKind::Log,
                _ => return None,
            },
            since: u64::from_le_bytes(*since),
            until: u64::from_le_bytes(*until),
            cause: String::from_utf8_lossy(cause).into(),
        };
        Some((flag, bytes.len() - rest.len() + cause.len()))
    }
}
