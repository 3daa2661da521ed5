//! How often a client did what a rate limit counts.

use super::table::{Entry, Table};

/// The counts of rate limits, bounded in number. Their keys are hashes already.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    table: Table<Rate>,
    most: usize,
    /// How many had to leave.
    pub(crate) evicted: u64,
}

impl Rates {
    /// Makes an empty table that will hold `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { table: Table::default(), most: most.max(1), evicted: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.table.bytes()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rate> {
        self.table.iter()
    }

    pub(crate) fn get(&self, key: [u64; 2]) -> Option<&Rate> {
        self.table.get(hash(key), key)
    }

    /// What is counted under the key of `new`, which is taken where there is nothing yet. None where it can not be.
    pub(crate) fn entry(&mut self, now: u32, new: Rate) -> Option<&mut Rate> {
        let key = new.key();
        if self.table.get(hash(key), key).is_none() {
            if self.table.len() >= self.most
                && let Some((_, gone)) = self.table.least(now)
            {
                self.evicted += u64::from(self.table.remove(hash(gone), gone, hash).is_some());
            }
            return self.table.insert(hash(key), new, hash);
        }
        self.table.get_mut(hash(key), key)
    }

    /// Forgets what says nothing any more at `now`.
    pub(crate) fn forget(&mut self, now: u32) {
        self.table.retain(|rate| !rate.is_over(now), hash);
    }
}

fn hash([low, _]: [u64; 2]) -> u64 {
    low
}

/// The requests of one client that one rate limit counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    key: [u64; 2],
    /// Second until which the client is limited; 0 where it is not.
    pub(crate) until: u32,
    /// Second of the last count.
    pub(crate) last: u32,
    /// Seconds of the interval.
    interval: u32,
    slots: [u32; SLOTS],
}

impl Rate {
    /// Bytes of its stored form.
    pub(crate) const BYTES: usize = 16 + 4 * (3 + SLOTS);

    pub(crate) fn new(key: [u64; 2], interval: u32, now: u32) -> Self {
        Self { key, until: 0, last: now, interval: interval.max(SLOTS_WITHIN), slots: [0; SLOTS] }
    }

    /// Counts one request at `now`; true where the count is over `threshold`, which limits the client for `duration`.
    pub(crate) fn add(&mut self, now: u32, interval: u32, threshold: u32, duration: u32) -> bool {
        self.advance(now, interval);
        let width = self.width();
        if let Some(slot) = self.slots.get_mut((self.last / width) as usize % SLOTS) {
            *slot = slot.saturating_add(1);
        }
        let count = self.slots.iter().fold(0_u32, |sum, slot| sum.saturating_add(*slot));
        if count > threshold && !self.is_limited(now) {
            self.until = now.saturating_add(duration);
            // Once the time is over the client starts anew.
            self.slots = [0; SLOTS];
            return true;
        }
        false
    }

    /// Whether the client is limited at `now`. Where the clock was set back so far that the limit would be longer than any,
    /// it is over.
    pub(crate) fn is_limited(&self, now: u32) -> bool {
        self.until.checked_sub(now).is_some_and(|left| (1..=MOST_DURATION).contains(&left))
    }

    fn width(&self) -> u32 {
        (self.interval / SLOTS_WITHIN).max(1)
    }

    fn advance(&mut self, now: u32, interval: u32) {
        let interval = interval.max(SLOTS_WITHIN);
        let far = now.saturating_add(MOST_DURATION) < self.last;
        if interval != self.interval || far {
            let until = if far { 0 } else { self.until };
            *self = Self { until, ..Self::new(self.key, interval, now) };
        }
        let now = now.max(self.last);
        let (from, to) = (self.last / self.width(), now / self.width());
        if (to - from) as usize >= SLOTS {
            self.slots = [0; SLOTS];
        } else {
            for slot in from + 1..=to {
                if let Some(count) = self.slots.get_mut(slot as usize % SLOTS) {
                    *count = 0;
                }
            }
        }
        self.last = now;
    }

    /// Whether it says nothing any more at `now`.
    pub(crate) fn is_over(&self, now: u32) -> bool {
        !self.is_limited(now) && self.last.saturating_add(self.interval + self.width()) < now
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for half in self.key {
            out.extend(half.to_le_bytes());
        }
        for word in [self.until, self.last, self.interval].iter().chain(&self.slots) {
            out.extend(word.to_le_bytes());
        }
    }

    pub(crate) fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let mut words = bytes.chunks_exact(4).map(|word| match word {
            [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
            _ => 0,
        });
        let mut next = || words.next().unwrap_or_default();
        let mut half = || u64::from(next()) | (u64::from(next()) << 32);
        let key = [half(), half()];
        let (until, last, interval) = (next(), next(), next().max(SLOTS_WITHIN));
        Self { key, until, last, interval, slots: std::array::from_fn(|_| next()) }
    }
}

impl Entry for Rate {
    type Key = [u64; 2];

    fn key(&self) -> [u64; 2] {
        self.key
    }

    /// Who is limited stays; of the others the one that was not heard of for longest leaves.
    fn worth(&self, now: u32) -> u64 {
        (u64::from(self.is_limited(now)) << 32) | u64::from(self.last)
    }
}

/// Slots that make up an interval, and those there are: one more, as the first is never whole.
const SLOTS_WITHIN: u32 = 6;
const SLOTS: usize = 7;
/// Seconds that a client can be limited for.
const MOST_DURATION: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_from_the_first_request_over_the_threshold() {
        let mut rate = Rate::new([1, 2], 60, 1000);
        let over: Vec<bool> = (0..7).map(|step| rate.add(1000 + step, 60, 5, 300)).collect();
        assert_eq!(over, [false, false, false, false, false, true, false]);
        assert!(rate.is_limited(1005) && rate.is_limited(1304) && !rate.is_limited(1305));
    }

    #[test]
    fn starts_anew_once_the_time_is_over() {
        let mut rate = Rate::new([1, 2], 60, 1000);
        for step in 0..6 {
            rate.add(1000 + step, 60, 5, 300);
        }
        assert!(!rate.add(1305, 60, 5, 300) && !rate.is_limited(1305));
        assert!(rate.is_over(1400));
    }

    #[test]
    fn a_clock_set_back_limits_nobody_for_longer_than_any_limit_is() {
        let mut rate = Rate::new([1, 2], 60, 100_000_000);
        for _ in 0..6 {
            rate.add(100_000_000, 60, 5, 300);
        }
        assert!(rate.is_limited(100_000_299) && rate.is_limited(99_999_000));
        assert!(!rate.is_limited(1_000_000));
        assert!(!rate.add(1_000_000, 60, 5, 300) && !rate.is_limited(1_000_000));
    }

    #[test]
    fn is_the_same_after_writing_and_reading() {
        let mut rate = Rate::new([u64::MAX, 2], 600, 1000);
        for step in 0..9 {
            rate.add(1000 + 90 * step, 600, 5, 300);
        }
        let mut bytes = Vec::new();
        rate.write(&mut bytes);
        assert_eq!(Rate::read(&bytes.try_into().unwrap()), rate);
    }
}
