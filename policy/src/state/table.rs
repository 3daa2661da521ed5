//! A table: entries found by hash, and the one that is worth least of a few.

use hashbrown::HashTable;

use super::blocks::Blocks;

/// What a table holds.
pub(crate) trait Entry: Copy {
    /// What it is found by.
    type Key: Copy + PartialEq;

    /// What it is found by.
    fn key(&self) -> Self::Key;

    /// How much would be lost with it at `now`: of several entries the one that is worth least leaves.
    fn worth(&self, now: u32) -> u64;
}

/// Entries by key. Whoever has one gives the hash of a key with it, and `rehash`, which gives it again.
#[derive(Clone, Debug)]
pub(crate) struct Table<E> {
    entries: Blocks<E>,
    index: HashTable<u32>,
    /// Where the search for an entry that may leave goes on.
    hand: usize,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self { entries: Blocks::default(), index: HashTable::new(), hand: 0 }
    }
}

impl<E: Entry> Table<E> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.bytes() + self.index.allocation_size()
    }

    /// The entry under `key`.
    pub(crate) fn get(&self, hash: u64, key: E::Key) -> Option<&E> {
        self.entries.get(self.find(hash, key)?)
    }

    /// The entry under `key`, to be changed in all but its key.
    pub(crate) fn get_mut(&mut self, hash: u64, key: E::Key) -> Option<&mut E> {
        let at = self.find(hash, key)?;
        self.entries.get_mut(at)
    }

    /// Adds an entry whose key is not there yet. None where there are more than can be numbered.
    pub(crate) fn insert(&mut self, hash: u64, entry: E, rehash: impl Fn(E::Key) -> u64) -> Option<&mut E> {
        let at = self.entries.len();
        let place = u32::try_from(at).ok()?;
        self.entries.push(entry);
        let entries = &self.entries;
        self.index.insert_unique(hash, place, |at| hash_at(entries, *at, &rehash));
        self.entries.get_mut(at)
    }

    /// Takes the entry under `key` away.
    pub(crate) fn remove(&mut self, hash: u64, key: E::Key, rehash: impl Fn(E::Key) -> u64) -> Option<E> {
        let entries = &self.entries;
        let found = self.index.find_entry(hash, |at| is(entries, *at, key)).ok()?;
        let (hole, _) = found.remove();
        let last = u32::try_from(self.entries.len()).ok()?.checked_sub(1)?;
        let moved = self.entries.pop()?;
        if hole == last {
            return Some(moved);
        }
        // The last one fills the hole.
        if let Some(place) = self.index.find_mut(rehash(moved.key()), |at| *at == last) {
            *place = hole;
        }
        self.entries.get_mut(hole as usize).map(|place| std::mem::replace(place, moved))
    }

    /// The entry that is worth least at `now` of the next few, and how much that is.
    pub(crate) fn least(&mut self, now: u32) -> Option<(u64, E::Key)> {
        let length = self.entries.len().max(1);
        let few = (0..TRIED).filter_map(|step| self.entries.get((self.hand + step) % length));
        let least = few.map(|entry| (entry.worth(now), entry.key())).min_by_key(|(worth, _)| *worth);
        self.hand = (self.hand + TRIED) % length;
        least
    }

    /// Keeps what `keep` says.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&E) -> bool, rehash: impl Fn(E::Key) -> u64) {
        let before = self.entries.len();
        self.entries.retain(keep);
        let roomy = self.index.capacity() > 4 * self.entries.len().max(16);
        if self.entries.len() == before && !roomy {
            return;
        }
        self.index.clear();
        let entries = &self.entries;
        let of = |at: &u32| hash_at(entries, *at, &rehash);
        self.index.shrink_to(entries.len(), of);
        for (at, entry) in entries.iter().enumerate() {
            let Ok(at) = u32::try_from(at) else { break };
            self.index.insert_unique(rehash(entry.key()), at, of);
        }
    }

    fn find(&self, hash: u64, key: E::Key) -> Option<usize> {
        let entries = &self.entries;
        self.index.find(hash, |at| is(entries, *at, key)).map(|at| *at as usize)
    }
}

fn is<E: Entry>(entries: &Blocks<E>, at: u32, key: E::Key) -> bool {
    entries.get(at as usize).is_some_and(|entry| entry.key() == key)
}

fn hash_at<E: Entry>(entries: &Blocks<E>, at: u32, rehash: impl Fn(E::Key) -> u64) -> u64 {
    entries.get(at as usize).map_or(0, |entry| rehash(entry.key()))
}

/// Entries of which one leaves.
const TRIED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    fn table(numbers: std::ops::Range<u64>) -> Table<Number> {
        let mut table = Table::default();
        for key in numbers {
            table.insert(hash(key), Number(key, key), hash).unwrap();
        }
        table
    }

    #[test]
    fn names_the_entry_that_is_worth_least_of_a_few() {
        let mut table = table(0..16);
        table.get_mut(hash(5), 5).unwrap().1 = 0;
        table.get_mut(hash(0), 0).unwrap().1 = 7;
        assert_eq!(table.least(0), Some((0, 5)));
        assert_eq!(table.least(0), Some((8, 8)));
        assert_eq!(table.least(0), Some((0, 5)));
        assert_eq!(Table::<Number>::default().least(0), None);
    }

    #[test]
    fn finds_everything_after_some_left() {
        let mut all = table(0..1000);
        all.retain(|entry| entry.0 % 3 == 0, hash);
        assert_eq!(all.len(), 334);
        for key in 0..1000 {
            assert_eq!(all.get(hash(key), key).is_some(), key % 3 == 0);
        }
    }

    #[test]
    fn finds_everything_after_one_was_taken_from_anywhere() {
        let mut left = table(0..300);
        for (gone, key) in (0..300).map(|step| step * 7 % 300).enumerate() {
            assert_eq!(left.remove(hash(key), key, hash), Some(Number(key, key)));
            assert_eq!(left.remove(hash(key), key, hash), None);
            assert_eq!(left.len(), 299 - gone);
            let found =
                (0..300).filter(|key| left.get(hash(*key), *key).is_some_and(|entry| entry.0 == *key));
            assert_eq!(found.count(), left.len());
        }
    }
}
