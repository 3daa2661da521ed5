//! The counts of many clients, bounded in number: those of whom little is known take half the room of the others.

use super::client::Client;
use super::counter::{Counter, Counts};
use super::few::{Few, Many};
use super::table::{Entry, Table};

/// Client and signal.
pub(crate) type Key = ([u64; 2], u32);

/// Counts by client and signal, each in one of two tables.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    few: Table<Few>,
    many: Table<Counter>,
    most: usize,
    /// How many had to leave.
    pub(crate) evicted: u64,
}

impl Counters {
    /// Makes an empty table that will hold `most` counts.
    pub(crate) fn new(most: usize) -> Self {
        Self { few: Table::default(), many: Table::default(), most: most.max(1), evicted: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.few.bytes() + self.many.bytes()
    }

    pub(crate) fn few(&self) -> impl Iterator<Item = &Few> {
        self.few.iter()
    }

    pub(crate) fn many(&self) -> impl Iterator<Item = &Counter> {
        self.many.iter()
    }

    /// The counts under `key` at `now`.
    pub(crate) fn counts(&self, hash: u64, key: Key, now: u32) -> Counts {
        match self.few.get(hash, key) {
            Some(few) => few.counts(now),
            None => self.many.get(hash, key).map(|counter| counter.counts(now)).unwrap_or_default(),
        }
    }

    /// Counts `more` of `signal` from `client` at `now`, and says how many there are.
    pub(crate) fn count(
        &mut self,
        hash: u64,
        (client, signal): (Client, u32),
        (now, more): (u32, u16),
        rehash: impl Fn(Key) -> u64,
    ) -> Counts {
        let key = (client.halves(), signal);
        if let Some(few) = self.few.get_mut(hash, key) {
            if let Ok(counts) = few.add(now, more) {
                return counts;
            }
            let mut counter = few.counter();
            let counts = counter.add(now, more);
            self.few.remove(hash, key, &rehash);
            self.many.insert(hash, counter, rehash);
            return counts;
        }
        if let Some(counter) = self.many.get_mut(hash, key) {
            return counter.add(now, more);
        }
        let mut few = Few::new(client, signal, now);
        match few.add(now, more) {
            Ok(counts) => {
                self.make_room(now, &rehash);
                self.few.insert(hash, few, rehash);
                counts
            }
            // One that is new has room for a slot.
            Err(Many) => Counts::default(),
        }
    }

    /// Adds what was counted before, where there is nothing under its key; whether there is something now.
    pub(crate) fn put_few(&mut self, hash: u64, now: u32, few: Few, rehash: impl Fn(Key) -> u64) -> bool {
        if self.has(hash, few.key()) {
            return true;
        }
        self.make_room(now, &rehash);
        self.few.insert(hash, few, rehash).is_some()
    }

    /// The same for one of whom more is known.
    pub(crate) fn put_many(
        &mut self,
        hash: u64,
        now: u32,
        many: Counter,
        rehash: impl Fn(Key) -> u64,
    ) -> bool {
        if self.has(hash, many.key()) {
            return true;
        }
        self.make_room(now, &rehash);
        self.many.insert(hash, many, rehash).is_some()
    }

    /// Forgets those whose last count was at `old` or before.
    pub(crate) fn forget(&mut self, old: u32, rehash: impl Fn(Key) -> u64) {
        self.few.retain(|few| few.last > old, &rehash);
        self.many.retain(|counter| counter.last > old, rehash);
    }

    /// Forgets all of a client.
    pub(crate) fn forget_client(&mut self, client: Client, rehash: impl Fn(Key) -> u64) {
        let halves = client.halves();
        self.few.retain(|few| few.key().0 != halves, &rehash);
        self.many.retain(|counter| counter.key().0 != halves, rehash);
    }

    fn has(&self, hash: u64, key: Key) -> bool {
        self.few.get(hash, key).is_some() || self.many.get(hash, key).is_some()
    }

    /// Lets what is worth least leave where there are as many as may be.
    fn make_room(&mut self, now: u32, rehash: impl Fn(Key) -> u64) {
        if self.len() < self.most {
            return;
        }
        let (few, many) = (self.few.least(now), self.many.least(now));
        let gone = match (few, many) {
            (Some((worth, key)), Some((other, _))) if worth <= other => self.leave_few(key, rehash),
            (_, Some((_, key))) => self.many.remove(rehash(key), key, &rehash).is_some(),
            (Some((_, key)), None) => self.leave_few(key, rehash),
            (None, None) => false,
        };
        self.evicted += u64::from(gone);
    }

    fn leave_few(&mut self, key: Key, rehash: impl Fn(Key) -> u64) -> bool {
        self.few.remove(rehash(key), key, &rehash).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: u32 = 7;

    fn client(number: u32) -> Client {
        Client::new(std::net::Ipv4Addr::from_bits(number).into(), 64)
    }

    fn hash((client, signal): Key) -> u64 {
        (client[0] ^ client[1] ^ u64::from(signal)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn count(counters: &mut Counters, number: u32, now: u32) -> Counts {
        let key = (client(number).halves(), SIGNAL);
        counters.count(hash(key), (client(number), SIGNAL), (now, 1), hash)
    }

    fn counts(counters: &Counters, number: u32, now: u32) -> Counts {
        let key = (client(number).halves(), SIGNAL);
        counters.counts(hash(key), key, now)
    }

    #[test]
    fn counts_on_when_little_becomes_much() {
        let mut counters = Counters::new(100);
        for (step, now) in (1000..1700).step_by(100).enumerate() {
            let said = count(&mut counters, 1, now);
            assert_eq!((said.minute, said.hour as usize), (1, step + 1));
            assert_eq!((said, counters.len()), (counts(&counters, 1, now), 1));
        }
        assert_eq!((counters.few.len(), counters.many.len()), (0, 1));
    }

    #[test]
    fn who_is_worth_least_leaves_from_either_table() {
        let mut counters = Counters::new(8);
        for number in 0..8 {
            // The first four attack again and again.
            for now in (1000..1500).step_by(if number < 4 { 50 } else { 1000 }) {
                count(&mut counters, number, now);
            }
        }
        assert_eq!((counters.few.len(), counters.many.len()), (4, 4));
        for number in 100..104 {
            count(&mut counters, number, 1500);
        }
        assert_eq!((counters.len(), counters.evicted), (8, 4));
        assert!((0..4).all(|number| counts(&counters, number, 1500).hour == 10));
        assert!((4..8).all(|number| counts(&counters, number, 1500).hour == 0));
        // Where only such are left, one of them leaves.
        for number in 0..20 {
            for now in (2000..2500).step_by(50) {
                count(&mut counters, number, now);
            }
        }
        assert_eq!(counters.len(), 8);
    }

    #[test]
    fn never_grows_beyond_its_bound() {
        let mut counters = Counters::new(64);
        for number in 0..10_000 {
            count(&mut counters, number, 1000 + number);
            assert!(counters.len() <= 64);
        }
        assert_eq!(counters.evicted, 10_000 - 64);
        assert_eq!(counts(&counters, 9_999, 10_999).minute, 1);
    }
}
