//! A bounded table: entries in one block, found by hash, and one that is worth least leaves for a new one.

use hashbrown::HashTable;

/// What a table holds.
pub(crate) trait Entry: Clone {
    /// What it is found by.
    type Key: Copy + PartialEq;

    /// What it is found by.
    fn key(&self) -> Self::Key;

    /// How much would be lost with it at `now`: of several entries the one that is worth least leaves.
    fn worth(&self, now: u32) -> u64;
}

/// Entries by key.
#[derive(Clone, Debug)]
pub(crate) struct Table<E> {
    entries: Vec<E>,
    index: HashTable<u32>,
    most: usize,
    /// Where the search for an entry that may leave goes on.
    hand: usize,
    /// How many had to leave.
    pub(crate) evicted: u64,
}

impl<E: Entry> Table<E> {
    /// Makes an empty table that will hold `most` entries.
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: Vec::new(), index: HashTable::new(), most: most.max(1), hand: 0, evicted: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, E> {
        self.entries.iter()
    }

    /// The entry under `key`.
    pub(crate) fn get(&self, hash: u64, key: E::Key) -> Option<&E> {
        let entries = &self.entries;
        let found = self.index.find(hash, |at| is(entries, *at, key))?;
        entries.get(*found as usize)
    }

    /// The entry under `key`, which `make` makes where there is none. `rehash` gives a key's hash again.
    pub(crate) fn entry(
        &mut self,
        hash: u64,
        now: u32,
        entry: E,
        rehash: impl Fn(E::Key) -> u64,
    ) -> Option<&mut E> {
        let key = entry.key();
        let entries = &self.entries;
        let found = self.index.find(hash, |at| is(entries, *at, key)).copied();
        let at = match found {
            Some(at) => at as usize,
            None if self.entries.len() < self.most => self.push(hash, entry, rehash)?,
            None => self.replace(hash, now, entry, rehash)?,
        };
        self.entries.get_mut(at)
    }

    /// Keeps what `keep` says.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&E) -> bool, rehash: impl Fn(E::Key) -> u64) {
        let before = self.entries.len();
        self.entries.retain(|entry| keep(entry));
        if self.entries.len() == before {
            return;
        }
        self.index.clear();
        let entries = &self.entries;
        for (at, entry) in entries.iter().enumerate() {
            let Ok(at) = u32::try_from(at) else { break };
            let hash = |at: &u32| entries.get(*at as usize).map_or(0, |entry| rehash(entry.key()));
            self.index.insert_unique(rehash(entry.key()), at, hash);
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    fn push(&mut self, hash: u64, entry: E, rehash: impl Fn(E::Key) -> u64) -> Option<usize> {
        let at = self.entries.len();
        let place = u32::try_from(at).ok()?;
        if at == self.entries.capacity() {
            // By a quarter and not to the double: the table is there to be small.
            self.entries.reserve_exact((at / 4).max(16).min(self.most - at));
        }
        self.entries.push(entry);
        let entries = &self.entries;
        let of = |at: &u32| entries.get(*at as usize).map_or(0, |entry| rehash(entry.key()));
        self.index.insert_unique(hash, place, of);
        Some(at)
    }

    /// Puts `entry` where the least worth of a few stood.
    fn replace(&mut self, hash: u64, now: u32, entry: E, rehash: impl Fn(E::Key) -> u64) -> Option<usize> {
        let few = (0..TRIED).map(|step| (self.hand + step) % self.entries.len());
        let at = few.min_by_key(|at| self.entries.get(*at).map_or(u64::MAX, |entry| entry.worth(now)))?;
        self.hand = (self.hand + TRIED) % self.entries.len();
        let place = u32::try_from(at).ok()?;
        let old = rehash(self.entries.get(at)?.key());
        if let Ok(found) = self.index.find_entry(old, |kept| *kept == place) {
            found.remove();
        }
        *self.entries.get_mut(at)? = entry;
        let entries = &self.entries;
        let of = |at: &u32| entries.get(*at as usize).map_or(0, |entry| rehash(entry.key()));
        self.index.insert_unique(hash, place, of);
        self.evicted += 1;
        Some(at)
    }
}

fn is<E: Entry>(entries: &[E], at: u32, key: E::Key) -> bool {
    entries.get(at as usize).is_some_and(|entry| entry.key() == key)
}

/// Entries of which one leaves.
const TRIED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Number(u64, u64);

    impl Entry for Number {
        type Key = u64;

        fn key(&self) -> u64 {
            self.0
        }

        fn worth(&self, _now: u32) -> u64 {
            self.1
        }
    }

    fn hash(key: u64) -> u64 {
        key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn the_entry_that_is_worth_least_leaves() {
        let mut table = Table::new(8);
        for key in 0..8 {
            table.entry(hash(key), 0, Number(key, if key == 5 { 1 } else { 9 }), hash).unwrap();
        }
        table.entry(hash(100), 0, Number(100, 9), hash).unwrap();
        assert_eq!((table.len(), table.evicted), (8, 1));
        assert!(table.get(hash(5), 5).is_none());
        for key in [0, 1, 2, 3, 4, 6, 7, 100] {
            assert!(table.get(hash(key), key).is_some(), "{key}");
        }
    }

    #[test]
    fn finds_everything_after_some_left() {
        let mut table = Table::new(1000);
        for key in 0..1000 {
            table.entry(hash(key), 0, Number(key, 0), hash).unwrap();
        }
        table.retain(|entry| entry.0 % 3 == 0, hash);
        assert_eq!(table.len(), 334);
        for key in 0..1000 {
            assert_eq!(table.get(hash(key), key).is_some(), key % 3 == 0);
        }
    }

    #[test]
    fn never_grows_beyond_its_bound() {
        let mut table = Table::new(64);
        for key in 0..10_000 {
            table.entry(hash(key), 0, Number(key, key), hash).unwrap();
            assert!(table.len() <= 64);
        }
        assert_eq!(table.evicted, 10_000 - 64);
        assert!(table.get(hash(9_999), 9_999).is_some());
    }
}
