//! All that hostcalls can reach.

use std::collections::BTreeMap;

use crate::exchange::Exchange;
use crate::script::{Did, Reply, Settings};

/// The proxy, and what the filter has done to it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) nanos: u64,
    /// Which callback is running, of which context.
    pub(crate) phase: Phase,
    pub(crate) context: u32,
    pub(crate) streams: BTreeMap<u32, Exchange>,
    /// Calls that have no reply yet.
    pub(crate) calls: BTreeMap<u32, Call>,
    pub(crate) tokens: u32,
    /// The reply whose callback is running.
    pub(crate) reply: Option<Reply>,
    /// What the next calls get in place of a token.
    pub(crate) refusal: Option<u32>,
    /// What all workers share.
    pub(crate) shared: BTreeMap<String, (Vec<u8>, u32)>,
    pub(crate) did: Vec<Did>,
    pub(crate) log: Vec<String>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) ticks: Option<u32>,
}

/// A callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    None,
    Configure,
    Tick,
    Headers,
    Body,
    Trailers,
    Reply,
    ResponseHeaders,
    Log,
}

/// A call to the agent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The context that made it.
    pub(crate) context: u32,
    pub(crate) body: Vec<u8>,
}

/// A metric that the filter has defined.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) kind: u32,
    /// What has been added and not yet been asked for; of a histogram, the number of observations.
    pub(crate) change: i64,
}

impl World {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.clone(),
            nanos: 1_800_000_000_000_000_000,
            phase: Phase::None,
            context: 0,
            streams: BTreeMap::new(),
            calls: BTreeMap::new(),
            tokens: 0,
            reply: None,
            refusal: None,
            shared: BTreeMap::new(),
            did: Vec::new(),
            log: Vec::new(),
            metrics: Vec::new(),
            ticks: None,
        }
    }

    /// The stream that hostcalls act on.
    pub(crate) fn stream(&mut self) -> Option<&mut Exchange> {
        self.streams.get_mut(&self.context)
    }
}
