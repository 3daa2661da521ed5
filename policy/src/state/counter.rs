//! How often a signal came from a client.

use super::client::Client;
use super::table::Entry;
use super::window::Window;

/// A length over which signals are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interval {
    /// A minute.
    Minute,
    /// Ten.
    TenMinutes,
    /// Sixty.
    Hour,
}

impl Interval {
    /// Its length.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::TenMinutes => 600,
            Self::Hour => 3600,
        }
    }
}

/// The counts of one signal from one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    client: [u64; 2],
    /// The signal, as [`super::signal_id`] numbers it.
    pub(crate) signal: u32,
    /// Second of the last count.
    pub(crate) last: u32,
    minute: Window<MINUTE_SLOTS>,
    ten: Window<TEN_SLOTS>,
    hour: Window<HOUR_SLOTS>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Within the last minute.
    pub minute: u32,
    /// Within the last ten.
    pub ten_minutes: u32,
    /// Within the last sixty.
    pub hour: u32,
}

impl Counts {
    /// The count over `interval`.
    pub const fn over(&self, interval: Interval) -> u32 {
        match interval {
            Interval::Minute => self.minute,
            Interval::TenMinutes => self.ten_minutes,
            Interval::Hour => self.hour,
        }
    }
}

impl Counter {
    /// Bytes of its stored form.
    pub(crate) const BYTES: usize = Client::BYTES + 4 + 4 + 2 * (MINUTE_SLOTS + TEN_SLOTS + HOUR_SLOTS);

    /// Nothing yet, as of `now`.
    pub(crate) fn of((client, signal): <Self as Entry>::Key, now: u32) -> Self {
        Self {
            client,
            signal,
            last: now,
            minute: Window::default(),
            ten: Window::default(),
            hour: Window::default(),
        }
    }

    /// Counts `more` at `now` and says how many there are.
    pub(crate) fn add(&mut self, now: u32, more: u16) -> Counts {
        self.advance(now);
        self.minute.add(self.last, MINUTE_WIDTH, more);
        self.ten.add(self.last, TEN_WIDTH, more);
        self.hour.add(self.last, HOUR_WIDTH, more);
        Counts { minute: self.minute.sum(), ten_minutes: self.ten.sum(), hour: self.hour.sum() }
    }

    /// The counts at `now`.
    pub(crate) fn counts(mut self, now: u32) -> Counts {
        self.add(now, 0)
    }

    fn advance(&mut self, now: u32) {
        if is_set_back(self.last, now) {
            *self = Self::of(self.key(), now);
        }
        let now = now.max(self.last);
        self.minute.advance(self.last, now, MINUTE_WIDTH);
        self.ten.advance(self.last, now, TEN_WIDTH);
        self.hour.advance(self.last, now, HOUR_WIDTH);
        self.last = now;
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for half in self.client {
            out.extend(half.to_le_bytes());
        }
        out.extend(self.signal.to_le_bytes());
        out.extend(self.last.to_le_bytes());
        let slots = self.minute.slots().iter().chain(self.ten.slots()).chain(self.hour.slots());
        out.extend(slots.flat_map(|slot| slot.to_le_bytes()));
    }

    pub(crate) fn read(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |from: usize| -> u64 {
            let mut out = [0; 8];
            out.copy_from_slice(bytes.get(from..from + 8).unwrap_or(&[0; 8]));
            u64::from_le_bytes(out)
        };
        let word = |from: usize| -> u32 {
            let mut out = [0; 4];
            out.copy_from_slice(bytes.get(from..from + 4).unwrap_or(&[0; 4]));
            u32::from_le_bytes(out)
        };
        let mut slots = bytes.get(24..).unwrap_or_default().chunks_exact(2).map(|slot| match slot {
            [low, high] => u16::from_le_bytes([*low, *high]),
            _ => 0,
        });
        let mut next = || slots.next().unwrap_or_default();
        Self {
            client: [number(0), number(8)],
            signal: word(16),
            last: word(20),
            minute: Window::from_slots(std::array::from_fn(|_| next())),
            ten: Window::from_slots(std::array::from_fn(|_| next())),
            hour: Window::from_slots(std::array::from_fn(|_| next())),
        }
    }
}

impl Entry for Counter {
    type Key = ([u64; 2], u32);

    fn key(&self) -> Self::Key {
        (self.client, self.signal)
    }

    fn worth(&self, now: u32) -> u64 {
        worth(self.counts(now.max(self.last)), self.last)
    }
}

/// How much `counts` are worth: an old or a lone signal leaves first.
pub(crate) fn worth(counts: Counts, last: u32) -> u64 {
    (u64::from(counts.hour.min(0xffff)) << 32) | u64::from(last)
}

/// Whether the clock was set back so far that counts of `last` are not to be believed: they must neither come back to life
/// nor be frozen for long.
pub(crate) fn is_set_back(last: u32, now: u32) -> bool {
    now.saturating_add(Interval::Hour.seconds()) < last
}

/// Whether what was counted at `then` has left every window at `now`.
pub(crate) fn is_forgotten(then: u32, now: u32) -> bool {
    (now / HOUR_WIDTH).saturating_sub(then / HOUR_WIDTH) as usize >= HOUR_SLOTS
}

pub(crate) const MINUTE_SLOTS: usize = 7;
/// Seconds of the shortest slot. The others are many of it, so that times within one are never told apart.
pub(crate) const MINUTE_WIDTH: u32 = 10;
pub(crate) const TEN_SLOTS: usize = 7;
pub(crate) const TEN_WIDTH: u32 = 100;
pub(crate) const HOUR_SLOTS: usize = 6;
pub(crate) const HOUR_WIDTH: u32 = 720;

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> Counter {
        Counter::of((Client::new([192, 0, 2, 1].into(), 64).halves(), 7), 1000)
    }

    #[test]
    fn is_one_cache_line() {
        assert_eq!(size_of::<Counter>(), 64);
        assert_eq!(Counter::BYTES, 64);
    }

    #[test]
    fn forgets_each_interval_in_its_time() {
        let mut counter = counter();
        for at in 1000..1010 {
            counter.add(at, 1);
        }
        assert_eq!(counter.counts(1060), Counts { minute: 10, ten_minutes: 10, hour: 10 });
        assert_eq!(counter.counts(1080), Counts { minute: 0, ten_minutes: 10, hour: 10 });
        assert_eq!(counter.counts(1800), Counts { minute: 0, ten_minutes: 0, hour: 10 });
        assert_eq!(counter.counts(1010 + 3600), Counts { minute: 0, ten_minutes: 0, hour: 10 });
        assert_eq!(counter.counts(1010 + 4320), Counts::default());
    }

    #[test]
    fn is_the_same_after_writing_and_reading() {
        let mut counter = counter();
        for at in [1000, 1500, 2000, 4000] {
            counter.add(at, 3);
        }
        let mut bytes = Vec::new();
        counter.write(&mut bytes);
        assert_eq!(Counter::read(&bytes.try_into().unwrap()), counter);
    }

    #[test]
    fn a_clock_set_back_neither_loses_nor_keeps_for_ever() {
        let mut counter = counter();
        counter.add(10_000, 5);
        assert_eq!(counter.add(9_000, 1).minute, 6);
        assert_eq!(counter.add(100, 1), Counts { minute: 1, ten_minutes: 1, hour: 1 });
    }
}
