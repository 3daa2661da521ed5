//! How often a signal came from a client of whom little is known: that is most of them, so it takes half the room.

use super::client::Client;
use super::counter::{
    Counter, Counts, HOUR_SLOTS, HOUR_WIDTH, MINUTE_SLOTS, MINUTE_WIDTH, TEN_SLOTS, TEN_WIDTH, is_forgotten,
    is_set_back, worth,
};
use super::table::Entry;
use super::window::stands_for;

/// The counts of one signal from one client that came within at most two of the shortest slots. It says exactly what a
/// [`Counter`] would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Few {
    client: [u64; 2],
    signal: u32,
    /// Second of the last count.
    pub(crate) last: u32,
    /// Counts in the slot of `last`.
    recent: u16,
    /// Counts in a slot before, and by how many slots it is before; 0 where there is none.
    earlier: u16,
    before: u16,
}

/// It is told of a third slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Many;

impl Few {
    /// Bytes of its stored form.
    pub(crate) const BYTES: usize = Client::BYTES + 4 + 4 + 2 * 3;

    pub(crate) fn new(client: Client, signal: u32, now: u32) -> Self {
        Self { client: client.halves(), signal, last: now, recent: 0, earlier: 0, before: 0 }
    }

    /// Counts `more` at `now` and says how many there are.
    ///
    /// # Errors
    ///
    /// When that is more than it can tell apart; then nothing is counted.
    pub(crate) fn add(&mut self, now: u32, more: u16) -> Result<Counts, Many> {
        if is_set_back(self.last, now) {
            *self = Self { last: now, recent: 0, earlier: 0, before: 0, ..*self };
        }
        let now = now.max(self.last);
        let passed = now / MINUTE_WIDTH - self.last / MINUTE_WIDTH;
        if passed > 0 {
            if self.before > 0 && !is_forgotten(self.second_before(), now) {
                return Err(Many);
            }
            let forgotten = self.recent == 0 || is_forgotten(self.last, now);
            // What is not forgotten is less than a few hundred slots ago.
            let before = if forgotten { 0 } else { u16::try_from(passed).unwrap_or(0) };
            *self = Self { recent: 0, earlier: if before > 0 { self.recent } else { 0 }, before, ..*self };
        }
        self.last = now;
        self.recent = self.recent.saturating_add(more);
        Ok(self.counts(now))
    }

    /// The counts at `now`.
    pub(crate) fn counts(&self, now: u32) -> Counts {
        if is_set_back(self.last, now) {
            return Counts::default();
        }
        let now = now.max(self.last);
        Counts {
            minute: self.within::<MINUTE_WIDTH, MINUTE_SLOTS>(now),
            ten_minutes: self.within::<TEN_WIDTH, TEN_SLOTS>(now),
            hour: self.within::<HOUR_WIDTH, HOUR_SLOTS>(now),
        }
    }

    /// The count within a window of `SLOTS` slots of `WIDTH` seconds.
    fn within<const WIDTH: u32, const SLOTS: usize>(&self, now: u32) -> u32 {
        let (last, before) = (self.last / WIDTH, self.second_before() / WIDTH);
        let kept = |slot: u32, count: u16| if ((now / WIDTH - slot) as usize) < SLOTS { count } else { 0 };
        let (recent, earlier) = (kept(last, self.recent), kept(before, self.earlier));
        if last == before {
            return stands_for(recent.saturating_add(earlier));
        }
        stands_for(recent) + stands_for(earlier)
    }

    /// The same as a counter.
    pub(crate) fn counter(&self) -> Counter {
        let first = if self.before > 0 { self.second_before() } else { self.last };
        let mut counter = Counter::of(self.key(), first);
        if self.before > 0 {
            counter.add(first, self.earlier);
        }
        counter.add(self.last, self.recent);
        counter
    }

    /// A second of the slot before.
    fn second_before(&self) -> u32 {
        (self.last / MINUTE_WIDTH).saturating_sub(u32::from(self.before)) * MINUTE_WIDTH
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.client.iter().for_each(|half| out.extend(half.to_le_bytes()));
        [self.signal, self.last].iter().for_each(|word| out.extend(word.to_le_bytes()));
        [self.recent, self.earlier, self.before].iter().for_each(|number| out.extend(number.to_le_bytes()));
    }

    pub(crate) fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let mut numbers = bytes.chunks_exact(2).map(|number| match number {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        });
        let mut next = || numbers.next().unwrap_or_default();
        let mut word = || u32::from(next()) | (u32::from(next()) << 16);
        let mut half = || u64::from(word()) | (u64::from(word()) << 32);
        let client = [half(), half()];
        let (signal, last) = (word(), word());
        Self { client, signal, last, recent: next(), earlier: next(), before: next() }
    }
}

impl Entry for Few {
    type Key = ([u64; 2], u32);

    fn key(&self) -> Self::Key {
        (self.client, self.signal)
    }

    fn worth(&self, now: u32) -> u64 {
        worth(self.counts(now.max(self.last)), self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few(now: u32) -> Few {
        Few::new(Client::new([192, 0, 2, 1].into(), 64), 7, now)
    }

    #[test]
    fn is_half_a_cache_line() {
        assert_eq!(size_of::<Few>(), 32);
    }

    #[test]
    fn is_the_same_after_writing_and_reading() {
        let mut few = few(1000);
        few.add(1000, 3).unwrap();
        few.add(2000, 500).unwrap();
        let mut bytes = Vec::new();
        few.write(&mut bytes);
        assert_eq!(Few::read(&bytes.try_into().unwrap()), few);
    }

    #[test]
    fn says_what_a_counter_says_until_it_cannot() {
        // Xorshift: the same times at every run.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = move |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            u32::try_from(random % limit).unwrap()
        };
        let (mut counted, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let start = 100_000 + below(10_000);
            let (mut few, mut now) = (few(start), start);
            let mut counter = few.counter();
            for _ in 0..12 {
                let more = [1, 1, 2, 40_000][below(4) as usize];
                now = match below(8) {
                    0 => now,
                    1..=3 => now + below(15),
                    4 => now + below(900),
                    5 => now + below(5000),
                    6 => now.saturating_sub(below(3600)),
                    _ => now.saturating_sub(below(9000)),
                };
                let mut full = counter;
                let said = full.add(now, more);
                match few.add(now, more) {
                    Ok(counts) => {
                        counted += 1;
                        counter = full;
                        assert_eq!(counts, said);
                        assert_eq!(few.last, counter.last);
                        for later in [0, 5, 59, 61, 70, 99, 650, 3601, 4319, 4320].map(|later| now + later) {
                            assert_eq!(few.counts(later), counter.counts(later), "{few:?} {later}");
                        }
                        assert_eq!(few.worth(now), counter.worth(now));
                    }
                    // It is as it was, and from here on a counter's.
                    Err(Many) => {
                        refused += 1;
                        assert_eq!(few.counts(now.max(counter.last)), counter.counts(now.max(counter.last)));
                        break;
                    }
                }
            }
        }
        assert!(counted > 20_000 && refused > 10_000, "{counted} {refused}");
    }
}
