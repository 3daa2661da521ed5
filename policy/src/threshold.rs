//! Thresholds: how many signals of a client within which time flag it.

use std::sync::Arc;

use crate::state::{FlagKind, Interval, signal_id};

/// A threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    /// Its name, for events.
    pub(crate) name: Arc<str>,
    /// What is counted.
    pub(crate) counted: Counted,
    pub(crate) interval: Interval,
    pub(crate) threshold: u32,
    /// What a client that reaches it is.
    pub(crate) kind: FlagKind,
    /// For how long.
    pub(crate) seconds: u32,
}

/// What a threshold counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Attacks of any kind.
    Attacks,
    /// One signal.
    Signal(Arc<str>),
}

impl Counted {
    /// The name under which it is counted.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Attacks => ATTACKS,
            Self::Signal(name) => name,
        }
    }

    /// The number under which it is counted.
    pub(crate) fn id(&self) -> u32 {
        signal_id(self.name())
    }
}

/// Sorts thresholds so that of several that are reached the first one counts: the shortest interval, then the lowest
/// threshold.
pub(crate) fn sort(thresholds: &mut [Threshold]) {
    thresholds.sort_by_key(|threshold| (threshold.kind, threshold.interval, threshold.threshold));
}

/// The name under which attacks of any kind are counted; no signal is called so.
pub(crate) const ATTACKS: &str = "attacks";
