//! What earlier requests left behind: counts, flags and rates, in bounded memory, by client.

mod client;
mod counter;
mod flag;
mod journal;
mod rate;
mod secret;
mod snapshot;
mod table;
mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher128};

pub use self::client::Client;
pub use self::counter::{Counts, Interval};
pub use self::flag::{Flag, FlagKind};
pub use self::journal::{Change, Journal};
pub use self::secret::Secret;
pub(crate) use self::secret::mac;
pub use self::snapshot::StateError;

use self::counter::Counter;
use self::rate::Rate;
use self::snapshot::Contents;
use self::table::{Entry, Table};

/// How much is remembered. What is beyond makes what is worth least leave; see [`Usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Counts of a signal from a client; a client that attacks has one, and one more for each signal with a threshold of
    /// its own. 74 bytes each.
    pub counters: usize,
    /// Flagged clients. About 100 bytes each.
    pub flags: usize,
    /// Clients that a rate limit counts. 66 bytes each.
    pub rates: usize,
}

impl Default for StateLimits {
    fn default() -> Self {
        Self { counters: 1_000_000, flags: 100_000, rates: 200_000 }
    }
}

/// What earlier requests left behind. Shared by all threads: each client is in one of many parts, and each part has its
/// own lock, held for less than a microsecond.
pub struct State {
    shards: Box<[Mutex<Shard>]>,
    /// Keys the hashes, so that nobody outside can aim at one part.
    hash: [u64; 2],
    secret_id: u64,
    challenge: [u8; 32],
}

#[derive(Debug)]
struct Shard {
    counters: Table<Counter>,
    rates: Table<Rate>,
    flags: HashMap<(Client, FlagKind), Flag, foldhash::fast::FixedState>,
    most_flags: usize,
    flags_evicted: u64,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Counts of a signal from a client.
    pub counters: usize,
    /// Those that had to leave for others.
    pub counters_evicted: u64,
    /// Flags.
    pub flags: usize,
    /// Those that had to leave for others.
    pub flags_evicted: u64,
    /// Clients that a rate limit counts.
    pub rates: usize,
    /// Those that had to leave for others.
    pub rates_evicted: u64,
}

/// What came of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// When it was taken, in milliseconds since 1970.
    pub taken: u64,
    /// Flags that still hold.
    pub flags: usize,
    /// Counts that still count.
    pub counters: usize,
    /// Clients that a rate limit counts. None where the secret has changed since, as it hides who they are.
    pub rates: usize,
}

/// Whether a request is over a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limited {
    /// It is not.
    No,
    /// It is the first one that is.
    Now,
    /// The client was limited before.
    Still,
}

/// The state at a time.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub(crate) state: &'a State,
    pub(crate) now: u64,
}

impl State {
    /// The state at `now`, in milliseconds since 1970.
    pub const fn at(&self, now: u64) -> Moment<'_> {
        Moment { state: self, now }
    }

    /// Makes an empty state. `secret` signs challenges and hides whom rate limits count.
    pub fn new(limits: StateLimits, secret: &Secret) -> Self {
        // Clients do not spread evenly: a part takes a few more than its share.
        let share = |most: usize| (most / SHARDS + most / SHARDS / 16).max(1);
        let shard = || {
            Mutex::new(Shard {
                counters: Table::new(share(limits.counters)),
                rates: Table::new(share(limits.rates)),
                flags: HashMap::default(),
                most_flags: share(limits.flags),
                flags_evicted: 0,
            })
        };
        let words = |purpose: &str| {
            let key = secret.key(purpose);
            let mut halves = key.chunks_exact(8).map(|half| {
                let mut out = [0; 8];
                out.copy_from_slice(half);
                u64::from_le_bytes(out)
            });
            [halves.next().unwrap_or_default(), halves.next().unwrap_or_default()]
        };
        let [secret_id, _] = words("id");
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hash: words("hash"),
            secret_id,
            challenge: secret.key("challenge"),
        }
    }

    /// Flags a client, or prolongs its flag; false where one of the kind holds for longer already.
    pub fn flag(&self, flag: Flag, now: u64) -> bool {
        let mut shard = self.shard(self.hash_client(flag.client));
        let key = (flag.client, flag.kind);
        if shard.flags.get(&key).is_some_and(|held| held.is_live(now) && held.until >= flag.until) {
            return false;
        }
        if shard.flags.len() >= shard.most_flags && !shard.flags.contains_key(&key) {
            shard.make_room(now);
        }
        shard.flags.insert(key, flag);
        true
    }

    /// Forgets a client's flags and counts, and returns the flags that held.
    pub fn unflag(&self, client: Client, now: u64) -> Vec<Flag> {
        let mut shard = self.shard(self.hash_client(client));
        let kinds = [FlagKind::Block, FlagKind::Log];
        let gone = kinds.iter().filter_map(|kind| shard.flags.remove(&(client, *kind)));
        let gone = gone.filter(|flag| flag.is_live(now)).collect();
        let halves = client.halves();
        shard.counters.retain(|counter| counter.key().0 != halves, |key| self.hash_counter(key));
        gone
    }

    /// The flag of a client that holds at `now`.
    pub fn flagged(&self, client: Client, kind: FlagKind, now: u64) -> Option<Flag> {
        let shard = self.shard(self.hash_client(client));
        shard.flags.get(&(client, kind)).filter(|flag| flag.is_live(now)).cloned()
    }

    /// Every flag that holds at `now`, by client.
    pub fn flags(&self, now: u64) -> Vec<Flag> {
        let mut flags: Vec<_> = self
            .shards
            .iter()
            .flat_map(|shard| locked(shard).flags.values().cloned().collect::<Vec<_>>())
            .filter(|flag| flag.is_live(now))
            .collect();
        flags.sort_unstable_by_key(|flag| (flag.client, flag.kind));
        flags
    }

    /// Forgets what is over at `now`, and returns the flags among it. To be called now and then.
    pub fn sweep(&self, now: u64) -> Vec<Flag> {
        let second = seconds(now);
        let mut over = Vec::new();
        for shard in &self.shards {
            let mut shard = locked(shard);
            over.extend(shard.flags.extract_if(|_, flag| !flag.is_live(now)).map(|(_, flag)| flag));
            let old = second.saturating_sub(OLDEST);
            shard.counters.retain(|counter| counter.last > old, |key| self.hash_counter(key));
            shard.rates.retain(|rate| !rate.is_over(second), |[low, _]| low);
        }
        over
    }

    /// How much is remembered.
    pub fn usage(&self) -> Usage {
        self.shards.iter().fold(Usage::default(), |sum, shard| {
            let shard = locked(shard);
            Usage {
                counters: sum.counters + shard.counters.len(),
                counters_evicted: sum.counters_evicted + shard.counters.evicted,
                flags: sum.flags + shard.flags.len(),
                flags_evicted: sum.flags_evicted + shard.flags_evicted,
                rates: sum.rates + shard.rates.len(),
                rates_evicted: sum.rates_evicted + shard.rates.evicted,
            }
        })
    }

    /// All of it as bytes for [`Self::import`]. Each part is locked only while it is copied.
    pub fn export(&self, now: u64) -> Vec<u8> {
        let (mut counters, mut rates) = (Vec::new(), Vec::new());
        for shard in &self.shards {
            let shard = locked(shard);
            counters.extend(shard.counters.iter().copied());
            rates.extend(shard.rates.iter().copied());
        }
        let flags = self.flags(now);
        snapshot::write(&Contents { taken: now, secret_id: self.secret_id, flags, counters, rates })
    }

    /// The same in parts, each of which [`Self::import`] takes by itself: all of it at once may be more than there is room for.
    pub fn export_parts(&self, now: u64) -> impl Iterator<Item = Vec<u8>> {
        self.shards.iter().map(move |shard| {
            let contents = {
                let shard = locked(shard);
                Contents {
                    taken: now,
                    secret_id: self.secret_id,
                    flags: shard.flags.values().filter(|flag| flag.is_live(now)).cloned().collect(),
                    counters: shard.counters.iter().copied().collect(),
                    rates: shard.rates.iter().copied().collect(),
                }
            };
            snapshot::write(&contents)
        })
    }

    /// Adds what [`Self::export`] gave, as far as it still counts at `now`.
    ///
    /// # Errors
    ///
    /// When `bytes` are not what was exported, all of it; then nothing is added.
    pub fn import(&self, bytes: &[u8], now: u64) -> Result<Imported, StateError> {
        let contents = snapshot::read(bytes)?;
        let second = seconds(now);
        let mut imported = Imported { taken: contents.taken, flags: 0, counters: 0, rates: 0 };
        for flag in contents.flags.into_iter().filter(|flag| flag.is_live(now)) {
            imported.flags += usize::from(self.flag(flag, now));
        }
        for counter in
            contents.counters.into_iter().filter(|counter| counter.last > second.saturating_sub(OLDEST))
        {
            let hash = self.hash_counter(counter.key());
            let mut shard = self.shard(hash_of_client(counter.key().0, self.hash));
            let slot = shard.counters.entry(hash, second, counter, |key| self.hash_counter(key));
            imported.counters += usize::from(slot.is_some());
        }
        if contents.secret_id == self.secret_id {
            for rate in contents.rates.into_iter().filter(|rate| !rate.is_over(second)) {
                let [hash, _] = rate.key();
                let slot = self.shard(hash).rates.entry(hash, second, rate, |[low, _]| low).is_some();
                imported.rates += usize::from(slot);
            }
        }
        Ok(imported)
    }

    /// Does again what a journal says happened to the flags; returns how many of them hold at `now`.
    pub fn replay(&self, journal: &Journal, now: u64) -> usize {
        let mut held = 0;
        for change in &journal.changes {
            match change {
                Change::Set(flag) if flag.is_live(now) => held += usize::from(self.flag(flag.clone(), now)),
                Change::Set(_) => {}
                Change::Cleared(flag) => {
                    self.unflag(flag.client, now);
                }
            }
        }
        held
    }

    /// Counts `more` of a signal from `client`.
    pub(crate) fn count(&self, client: Client, signal: u32, more: u16, now: u64) -> Counts {
        let second = seconds(now);
        let counter = Counter::new(client, signal, second);
        let hash = self.hash_counter(counter.key());
        let mut shard = self.shard(self.hash_client(client));
        let slot = shard.counters.entry(hash, second, counter, |key| self.hash_counter(key));
        slot.map(|counter| counter.add(second, more)).unwrap_or_default()
    }

    /// Counts a signal from `address` once, outside any decision.
    pub fn tally(&self, address: std::net::IpAddr, signal: &str, now: u64) -> Counts {
        self.count(Client::new(address, 64), signal_id(signal), 1, now)
    }

    /// The counts of a signal from `client`.
    pub fn counts(&self, client: Client, signal: &str, now: u64) -> Counts {
        let key = (client.halves(), signal_id(signal));
        let shard = self.shard(self.hash_client(client));
        let found = shard.counters.get(self.hash_counter(key), key).copied();
        found.map(|counter| counter.counts(seconds(now))).unwrap_or_default()
    }

    /// Counts a request for a rate limit.
    pub(crate) fn rate(&self, key: [u64; 2], rule: RateOf, now: u64) -> Limited {
        let (second, [hash, _]) = (seconds(now), key);
        let mut shard = self.shard(hash);
        let new = Rate::new(key, rule.interval, second);
        let Some(rate) = shard.rates.entry(hash, second, new, |[low, _]| low) else { return Limited::No };
        if rate.is_limited(second) {
            return Limited::Still;
        }
        if rate.add(second, rule.interval, rule.threshold, rule.duration) {
            Limited::Now
        } else {
            Limited::No
        }
    }

    /// Whether a client is over a rate limit at `now`.
    pub(crate) fn is_limited(&self, key: [u64; 2], now: u64) -> bool {
        let [hash, _] = key;
        self.shard(hash).rates.get(hash, key).is_some_and(|rate| rate.is_limited(seconds(now)))
    }

    /// The key under which a rate limit counts whoever `parts` identify.
    pub(crate) fn rate_key<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> [u64; 2] {
        use std::hash::Hasher;
        let [a, b] = self.hash;
        let mut hasher = SipHasher128::new_with_keys(a, b);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }

    /// The key that signs challenges.
    pub(crate) fn challenge_key(&self) -> &[u8; 32] {
        &self.challenge
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // Neither the bits that choose a bucket within a table nor those that tell its entries apart.
        let at = (hash >> 40) as usize & (SHARDS - 1);
        match self.shards.get(at) {
            Some(shard) => locked(shard),
            // There are as many as the mask lets through.
            None => locked(&self.shards[0]),
        }
    }

    fn hash_client(&self, client: Client) -> u64 {
        hash_of_client(client.halves(), self.hash)
    }

    fn hash_counter(&self, (client, signal): ([u64; 2], u32)) -> u64 {
        hash_of_client(client, self.hash) ^ u64::from(signal).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Shard {
    /// Lets a flag go: one that is over, or else the one that ends first.
    fn make_room(&mut self, now: u64) {
        let before = self.flags.len();
        self.flags.retain(|_, flag| flag.is_live(now));
        if self.flags.len() < before {
            return;
        }
        if let Some(key) = self.flags.iter().min_by_key(|(_, flag)| flag.until).map(|(key, _)| *key) {
            self.flags.remove(&key);
            self.flags_evicted += 1;
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// What a rate limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateOf {
    pub(crate) threshold: u32,
    pub(crate) interval: u32,
    pub(crate) duration: u32,
}

/// The number under which a signal is counted.
pub(crate) fn signal_id(name: &str) -> u32 {
    let hash = journal::checksum(name.to_ascii_uppercase().as_bytes());
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default()
}

fn hash_of_client(halves: [u64; 2], [a, b]: [u64; 2]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new_with_keys(a, b);
    for half in halves {
        hasher.write_u64(half);
    }
    hasher.finish()
}

fn seconds(millis: u64) -> u32 {
    u32::try_from(millis / 1000).unwrap_or(u32::MAX)
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A thread that failed left entries that are whole: each is changed in one step.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parts with a lock each.
const SHARDS: usize = 256;
/// Seconds after which a count says nothing any more.
const OLDEST: u32 = 4320;

#[cfg(test)]
mod tests;
