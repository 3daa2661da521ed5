//! What earlier requests left behind: counts, flags and rates, in bounded memory, by client.

mod client;
mod counter;
mod counters;
mod few;
mod flag;
mod flags;
mod journal;
mod rate;
mod secret;
mod shard;
mod snapshot;
mod table;
mod window;

use std::sync::{Mutex, MutexGuard, PoisonError};

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128, SipHasher13 as SipHasher128};

pub use self::client::Client;
pub use self::counter::{Counts, Interval};
pub use self::flag::{Flag, FlagKind};
pub use self::journal::{Change, Journal};
pub use self::secret::Secret;
pub(crate) use self::secret::mac;
pub use self::snapshot::StateError;

use self::counters::Key;
use self::rate::Rate;
use self::shard::Shard;
use self::snapshot::Contents;
use self::table::Entry;

/// How much is remembered. What is beyond makes what is worth least leave; see [`Usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLimits {
    /// Counts of a signal from a client; a client that attacks has one, and one more for each signal with a threshold of
    /// its own. About 45 bytes each; 80 where the signal came at more than two times within the hour.
    pub counters: usize,
    /// Flagged clients. About 70 bytes each.
    pub flags: usize,
    /// Clients that a rate limit counts. About 70 bytes each.
    pub rates: usize,
}

impl Default for StateLimits {
    fn default() -> Self {
        Self { counters: 1_000_000, flags: 100_000, rates: 200_000 }
    }
}

/// What earlier requests left behind. Shared by all threads: each client is in one of many parts, and each part has its
/// own lock, held for less than a microsecond but for the few times that the part grows.
pub struct State {
    shards: Box<[Mutex<Shard>]>,
    /// Keys the hashes, so that nobody outside can aim at one part.
    hash: [u64; 2],
    secret_id: u64,
    challenge: [u8; 32],
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
    /// Bytes that all of it takes.
    pub bytes: usize,
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
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new(limits, SHARDS))).collect(),
            hash: words("hash"),
            secret_id,
            challenge: secret.key("challenge"),
        }
    }

    /// Flags a client, or prolongs its flag; false where one of the kind holds for longer already.
    pub fn flag(&self, flag: Flag, now: u64) -> bool {
        self.shard(self.hash_client(flag.client)).flags.put(flag, now)
    }

    /// Forgets a client's flags and counts, and returns the flags that held.
    pub fn unflag(&self, client: Client, now: u64) -> Vec<Flag> {
        let mut shard = self.shard(self.hash_client(client));
        let kinds = [FlagKind::Block, FlagKind::Log];
        let gone = kinds.iter().filter_map(|kind| shard.flags.remove(client, *kind, now)).collect();
        shard.counters.forget_client(client, |key| self.hash_counter(key));
        gone
    }

    /// The flag of a client that holds at `now`.
    pub fn flagged(&self, client: Client, kind: FlagKind, now: u64) -> Option<Flag> {
        self.shard(self.hash_client(client)).flags.get(client, kind, now)
    }

    /// Every flag that holds at `now`, by client.
    pub fn flags(&self, now: u64) -> Vec<Flag> {
        let mut flags: Vec<_> =
            self.shards.iter().flat_map(|shard| locked(shard).flags.live(now).collect::<Vec<_>>()).collect();
        flags.sort_unstable_by_key(|flag| (flag.client, flag.kind));
        flags
    }

    /// Forgets what is over at `now`, and returns the flags among it. To be called now and then.
    pub fn sweep(&self, now: u64) -> Vec<Flag> {
        let second = seconds(now);
        let mut over = Vec::new();
        for shard in &self.shards {
            let mut shard = locked(shard);
            over.extend(shard.flags.take_over(now));
            let old = second.saturating_sub(OLDEST);
            shard.counters.forget(old, |key| self.hash_counter(key));
            shard.rates.forget(second);
        }
        over
    }

    /// How much is remembered.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        self.shards.iter().for_each(|shard| locked(shard).add_to(&mut usage));
        usage
    }

    /// All of it as bytes for [`Self::import`]. Each part is locked only while it is copied.
    pub fn export(&self, now: u64) -> Vec<u8> {
        let mut contents = self.contents(now);
        for shard in &self.shards {
            locked(shard).write(&mut contents, now);
        }
        snapshot::write(&contents)
    }

    /// The same in parts, each of which [`Self::import`] takes by itself: all of it at once may be more than there is room for.
    pub fn export_parts(&self, now: u64) -> impl Iterator<Item = Vec<u8>> {
        self.shards.iter().map(move |shard| {
            let mut contents = self.contents(now);
            locked(shard).write(&mut contents, now);
            snapshot::write(&contents)
        })
    }

    fn contents(&self, now: u64) -> Contents {
        Contents {
            taken: now,
            secret_id: self.secret_id,
            flags: Vec::new(),
            few: Vec::new(),
            many: Vec::new(),
            rates: Vec::new(),
        }
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
        let old = second.saturating_sub(OLDEST);
        let rehash = |key: Key| self.hash_counter(key);
        for few in contents.few.into_iter().filter(|few| few.last > old) {
            let (mut shard, hash) = self.place(few.key());
            imported.counters += usize::from(shard.counters.put_few(hash, second, few, rehash));
        }
        for many in contents.many.into_iter().filter(|counter| counter.last > old) {
            let (mut shard, hash) = self.place(many.key());
            imported.counters += usize::from(shard.counters.put_many(hash, second, many, rehash));
        }
        if contents.secret_id == self.secret_id {
            for rate in contents.rates.into_iter().filter(|rate| !rate.is_over(second)) {
                let [hash, _] = rate.key();
                imported.rates += usize::from(self.shard(hash).rates.entry(second, rate).is_some());
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
        let (mut shard, hash) = self.place((client.halves(), signal));
        shard.counters.count(hash, (client, signal), (seconds(now), more), |key| self.hash_counter(key))
    }

    /// Counts a signal from `address` once, outside any decision.
    pub fn tally(&self, address: std::net::IpAddr, signal: &str, now: u64) -> Counts {
        self.count(Client::new(address, 64), signal_id(signal), 1, now)
    }

    /// The counts of a signal from `client`.
    pub fn counts(&self, client: Client, signal: &str, now: u64) -> Counts {
        let key = (client.halves(), signal_id(signal));
        let (shard, hash) = self.place(key);
        shard.counters.counts(hash, key, seconds(now))
    }

    /// Counts a request for a rate limit.
    pub(crate) fn rate(&self, key: [u64; 2], rule: RateOf, now: u64) -> Limited {
        let (second, [hash, _]) = (seconds(now), key);
        let mut shard = self.shard(hash);
        let new = Rate::new(key, rule.interval, second);
        let Some(rate) = shard.rates.entry(second, new) else { return Limited::No };
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
        self.shard(hash).rates.get(key).is_some_and(|rate| rate.is_limited(seconds(now)))
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
        // Not the bits that tell the entries of a table apart.
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

    fn hash_counter(&self, (client, signal): Key) -> u64 {
        with_signal(hash_of_client(client, self.hash), signal)
    }

    /// The part that a count is in, and its hash there.
    fn place(&self, (client, signal): Key) -> (MutexGuard<'_, Shard>, u64) {
        let hash = hash_of_client(client, self.hash);
        (self.shard(hash), with_signal(hash, signal))
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
    let mut upper = [0; 64];
    let hash = match upper.get_mut(..name.len()) {
        // This is done for every count: a name of a common length needs no memory.
        Some(upper) => {
            upper.copy_from_slice(name.as_bytes());
            upper.make_ascii_uppercase();
            journal::checksum(upper)
        }
        None => journal::checksum(name.to_ascii_uppercase().as_bytes()),
    };
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

fn with_signal(hash: u64, signal: u32) -> u64 {
    hash ^ u64::from(signal).wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
