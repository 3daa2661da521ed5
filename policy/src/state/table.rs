//! A table: entries found by hash, and the one that is worth least of a few.
//!
//! Entries stand where their hash says, or as few places later as may be: of two that want a place the one that is further
//! from its own gets it. How far each is, and a piece of its hash, stand apart as a mark of two bytes: the marks of a million
//! clients stay in the processor's caches, so that memory is waited for once, for the entry itself.

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
    /// Of each place: how far its entry is from its own place, plus one, and a piece of its hash; or [`FREE`].
    marks: Vec<u16>,
    /// Of each place its entry, or anything where there is none.
    entries: Vec<E>,
    length: usize,
    /// Says which place is an entry's own; odd.
    seed: u64,
    /// Where the search for an entry that may leave goes on.
    hand: usize,
}

impl<E> Default for Table<E> {
    fn default() -> Self {
        Self { marks: Vec::new(), entries: Vec::new(), length: 0, seed: SEED, hand: 0 }
    }
}

impl<E: Entry> Table<E> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        self.marks.iter().zip(&self.entries).filter(|(mark, _)| **mark != FREE).map(|(_, entry)| entry)
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.marks.capacity() * size_of::<u16>() + self.entries.capacity() * size_of::<E>()
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

    /// Adds an entry whose key is not there yet. None where there is no place for it: more have its hash than may.
    pub(crate) fn insert(&mut self, hash: u64, entry: E, rehash: impl Fn(E::Key) -> u64) -> Option<&mut E> {
        let places = self.marks.len();
        if self.length >= room(places) {
            // The larger an entry, the fewer places wait for one: a quarter as many as there are, an eighth at 64 bytes.
            let more = (places * GROWTH / size_of::<E>().max(4 * GROWTH)).max(LEAST);
            *self = self.rebuilt((places + more, self.seed), entry, |_| true, &rehash)?;
        }
        let at = match self.place(hash, entry) {
            Some(at) => at,
            None => {
                let (places, seed) = (self.marks.len(), next_seed(self.seed));
                *self = self.rebuilt((places, seed), entry, |_| true, rehash)?;
                self.place(hash, entry)?
            }
        };
        self.entries.get_mut(at)
    }

    /// Takes the entry under `key` away.
    pub(crate) fn remove(&mut self, hash: u64, key: E::Key, rehash: impl Fn(E::Key) -> u64) -> Option<E> {
        let mut hole = self.find(hash, key)?;
        let gone = *self.entries.get(hole)?;
        loop {
            let next = self.after(hole);
            let (mark, moved) = (*self.marks.get(next)?, *self.entries.get(next)?);
            // What is free or where it belongs stays there.
            let nearer = if mark < 2 * STEP { FREE } else { mark - STEP };
            *self.marks.get_mut(hole)? = nearer;
            if nearer == FREE {
                break;
            }
            *self.entries.get_mut(hole)? = moved;
            hole = next;
        }
        self.length -= 1;
        if is_roomy(self.length, self.marks.len())
            && let Some(smaller) = self.rebuilt((fit(self.length), self.seed), gone, |_| true, rehash)
        {
            *self = smaller;
        }
        Some(gone)
    }

    /// The entry that is worth least at `now` of the next few, and how much that is.
    pub(crate) fn least(&mut self, now: u32) -> Option<(u64, E::Key)> {
        let places = self.marks.len();
        let (mut tried, mut least) = (0, None);
        for _ in 0..places {
            self.hand = self.after(self.hand);
            let Some(entry) = self.held(self.hand) else { continue };
            let worth = entry.worth(now);
            if least.is_none_or(|(other, _)| worth < other) {
                least = Some((worth, entry.key()));
            }
            tried += 1;
            if tried == TRIED {
                break;
            }
        }
        least
    }

    /// Keeps what `keep` says.
    pub(crate) fn retain(&mut self, keep: impl Fn(&E) -> bool, rehash: impl Fn(E::Key) -> u64) {
        let kept = self.iter().filter(|entry| keep(entry)).count();
        if kept == self.length {
            return;
        }
        let places = if is_roomy(kept, self.marks.len()) { fit(kept) } else { self.marks.len() };
        let rebuilt = match self.entries.first() {
            Some(filler) if kept > 0 => self.rebuilt((places, self.seed), *filler, keep, rehash),
            _ => Some(Self::default()),
        };
        if let Some(rebuilt) = rebuilt {
            *self = rebuilt;
        }
    }

    /// The same with so many places and that seed, without what `keep` does not say; with more places and another seed where
    /// some would be too far from their own. None where that does not help.
    fn rebuilt(
        &self,
        (mut places, mut seed): (usize, u64),
        filler: E,
        keep: impl Fn(&E) -> bool,
        rehash: impl Fn(E::Key) -> u64,
    ) -> Option<Self> {
        // Beyond that most are free, and entries that are far away have the same hash.
        while places <= 4 * fit(self.length) {
            let (marks, entries) = (vec![FREE; places], vec![filler; places]);
            let mut table = Self { marks, entries, length: 0, seed, hand: self.hand };
            // With the same seed they come in their order, so that none has to make way.
            let mut kept = self.iter().filter(|entry| keep(entry));
            if kept.all(|entry| table.place(rehash(entry.key()), *entry).is_some()) {
                return Some(table);
            }
            places += places / 2;
            seed = next_seed(seed);
        }
        None
    }

    /// Puts an entry where it belongs. None where it, or another for it, would be too far away: then nothing is changed.
    fn place(&mut self, hash: u64, entry: E) -> Option<usize> {
        let (mut at, mut mark) = (self.home(hash), mark(hash));
        while *self.marks.get(at)? >= mark & !PIECE {
            mark = mark.checked_add(STEP)?;
            at = self.after(at);
        }
        let mut end = at;
        loop {
            match *self.marks.get(end)? {
                FREE => break,
                far => far.checked_add(STEP)?,
            };
            end = self.after(end);
        }
        // Those from there on move by one.
        let (mut to, mut moved) = (at, entry);
        while mark != FREE {
            std::mem::swap(self.marks.get_mut(to)?, &mut mark);
            std::mem::swap(self.entries.get_mut(to)?, &mut moved);
            if mark != FREE {
                mark += STEP;
            }
            to = self.after(to);
        }
        self.length += 1;
        Some(at)
    }

    fn find(&self, hash: u64, key: E::Key) -> Option<usize> {
        let (mut at, mut mark) = (self.home(hash), mark(hash));
        loop {
            let found = *self.marks.get(at)?;
            if found == mark && self.entries.get(at)?.key() == key {
                return Some(at);
            }
            // It would have had this place.
            if found < mark & !PIECE {
                return None;
            }
            mark = mark.checked_add(STEP)?;
            at = self.after(at);
        }
    }

    /// The own place of a hash.
    fn home(&self, hash: u64) -> usize {
        let (mixed, places) = (hash.wrapping_mul(self.seed) >> 32, self.marks.len() as u64);
        usize::try_from((mixed * places) >> 32).unwrap_or_default()
    }

    fn held(&self, at: usize) -> Option<&E> {
        if *self.marks.get(at)? == FREE { None } else { self.entries.get(at) }
    }

    /// The next place; the first comes after the last.
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.marks.len() { at + 1 } else { 0 }
    }
}

/// The mark of an entry in its own place.
fn mark(hash: u64) -> u16 {
    STEP | u16::try_from(hash >> (u64::BITS - STEP.trailing_zeros())).unwrap_or_default()
}

/// Another seed, of which nothing is known by the last: the entries of one table put in their order into another, as a
/// snapshot is, want the same few places of it until there are as many.
fn next_seed(seed: u64) -> u64 {
    seed.wrapping_mul(SEED)
}

/// Entries that so many places take: the fuller a table, the further entries are from their places.
fn room(places: usize) -> usize {
    (places - places / 10).saturating_sub(1)
}

/// Places for so many entries and a few more.
fn fit(entries: usize) -> usize {
    entries + entries / 4 + LEAST
}

/// Whether so many places are too many.
fn is_roomy(entries: usize, places: usize) -> bool {
    2 * places > 3 * entries + 4 * LEAST
}

/// The mark of a place without an entry.
const FREE: u16 = 0;
/// The part of a mark that is a piece of a hash.
const PIECE: u16 = STEP - 1;
/// What a mark has more for each place that an entry is away from its own: 126 at most.
const STEP: u16 = 1 << 9;
/// The first seed: any that is odd and has no order in its bits.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bytes by which a table grows for each place.
const GROWTH: usize = 8;
/// The fewest places.
const LEAST: usize = 16;
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
        // Two rounds of eight see all of them.
        let mut table = table(0..16);
        for key in [5, 11] {
            table.get_mut(hash(key), key).unwrap().1 = 0;
        }
        table.get_mut(hash(0), 0).unwrap().1 = 7;
        let rounds: Vec<_> = (0..4).filter_map(|_| table.least(0)).collect();
        assert_eq!(rounds[..2], rounds[2..]);
        assert!(rounds.iter().any(|(worth, key)| *worth == 0 && [5, 11].contains(key)), "{rounds:?}");
        assert!(rounds.iter().all(|(worth, key)| table.get(hash(*key), *key).unwrap().1 == *worth));
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

    #[test]
    fn is_a_map() {
        // Xorshift: the same steps at every run.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = move |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let (mut table, mut map) = (Table::<Number>::default(), std::collections::BTreeMap::new());
        for step in 0..200_000_u64 {
            // It grows to some thousands, and shrinks again.
            let key = below(5000);
            let is_more = below(10) < if step % 50_000 < 25_000 { 7 } else { 2 };
            match (table.get(hash(key), key).copied(), is_more) {
                (Some(found), true) => assert_eq!(map.get(&key), Some(&found.1)),
                (None, true) => {
                    table.insert(hash(key), Number(key, step), hash).unwrap();
                    assert_eq!(map.insert(key, step), None);
                }
                (found, false) => {
                    assert_eq!(table.remove(hash(key), key, hash), found);
                    assert_eq!(map.remove(&key), found.map(|found| found.1));
                }
            }
            assert_eq!(table.len(), map.len());
            if step % 10_000 == 0 {
                let mut all: Vec<_> = table.iter().map(|entry| (entry.0, entry.1)).collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(map.iter().map(|(key, value)| (*key, *value))));
                assert!(table.marks.len() <= (2 * table.len()).max(100));
            }
        }
    }

    #[test]
    fn entries_in_the_order_of_another_table_find_room_as_others_do() {
        let first = table(0..4000);
        for many in [500, 2000, 3999, 4000] {
            let mut second = Table::default();
            for entry in first.iter().take(many) {
                second.insert(hash(entry.0), *entry, hash).unwrap();
            }
            assert!(room(second.marks.len()) < many + many / 4 + 2 * LEAST, "{many}");
        }
    }

    #[test]
    fn entries_of_one_hash_are_refused_and_not_searched_for_long() {
        let mut table = Table::default();
        let one = |_| 7;
        let taken = (0..1000).filter(|key| table.insert(7, Number(*key, 0), one).is_some()).count();
        assert_eq!(taken, 127);
        assert_eq!(table.len(), taken);
        assert!(table.marks.len() < 2000);
        assert!((0..100).all(|key| table.get(7, key).is_some()));
    }
}
