//! One of the parts of the state.

use super::counters::Counters;
use super::flags::Flags;
use super::rate::Rates;
use super::snapshot::Contents;
use super::{StateLimits, Usage};

/// What is remembered of some of the clients.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) counters: Counters,
    pub(crate) rates: Rates,
    pub(crate) flags: Flags,
}

impl Shard {
    /// Makes one of so many parts that will hold its share of `limits`.
    pub(crate) fn new(limits: StateLimits, parts: usize) -> Self {
        // Clients do not spread evenly: a part takes a few more than its share.
        let share = |most: usize| most / parts + most / parts / 16;
        Self {
            counters: Counters::new(share(limits.counters)),
            rates: Rates::new(share(limits.rates)),
            flags: Flags::new(share(limits.flags)),
        }
    }

    /// Adds what is remembered at `now` to a snapshot.
    pub(crate) fn write(&self, contents: &mut Contents, now: u64) {
        contents.flags.extend(self.flags.live(now));
        contents.few.extend(self.counters.few());
        contents.many.extend(self.counters.many());
        contents.rates.extend(self.rates.iter());
    }

    /// Adds how much is remembered to `usage`.
    pub(crate) fn add_to(&self, usage: &mut Usage) {
        usage.counters += self.counters.len();
        usage.counters_evicted += self.counters.evicted;
        usage.flags += self.flags.len();
        usage.flags_evicted += self.flags.evicted;
        usage.rates += self.rates.len();
        usage.rates_evicted += self.rates.evicted;
        usage.bytes += self.counters.bytes() + self.rates.bytes() + self.flags.bytes();
    }
}
