//! The words of all detectors, found in one pass over a value, in any case and anywhere.
//!
//! A word of three bytes or more is known by its anchor: its rarest three bytes in a row, and what follows them. A table
//! says of the bytes at a place whether any word has such an anchor; of most places none has, and only at the others
//! words are compared. No place waits for the one before it, as those of an automaton do, and of most values only the
//! table of 16 KB is touched. Words of one byte and of two are found by marks that each byte has.

use crate::detectors::Detector;
use crate::features::Features;
use crate::roles::Roles;

/// What it takes to find the words.
#[derive(Debug)]
pub(crate) struct Anchors {
    /// By the hash of three bytes, for each [`Group`] a bit for each [kind](fourth) of the byte behind them.
    table: Box<[u16; HASHES]>,
    /// Where the entries of each hash start; those of the next one follow.
    starts: Vec<u16>,
    entries: Vec<Entry>,
    /// The bytes of the words, in lower case.
    text: Vec<u8>,
    /// What each byte is to words of one and of two bytes: [`PAIR`], and a bit for each word that it is itself.
    marks: [u32; 256],
    /// The owners of the words of one byte, by the word's bit.
    singles: Vec<u64>,
    /// The words of two bytes, and their owners.
    pairs: Vec<([u8; 2], u64)>,
    /// The classes that are as good as a word to the detectors of [`Group::Bare`].
    good: u32,
}

/// A word of three bytes or more.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The anchor's three bytes as the table knows them.
    key: u32,
    from: u16,
    length: u8,
    /// Where in the word its anchor stands.
    anchor: u8,
    /// The detectors whose word it is, a bit each.
    owners: u64,
}

const HASH_BITS: u32 = 13;
const HASHES: usize = 1 << HASH_BITS;
/// Mark of a byte that a word of two bytes has.
const PAIR: u32 = 1 << 31;

/// Words that are of use to a detector in some values only.
#[derive(Clone, Copy, Debug)]
enum Group {
    /// In any.
    General,
    /// In those that have something that may separate the segments of a path.
    Path,
    /// In those that have lines, or what may become a line end.
    Line,
    /// In those that have none of the bytes that are as good as a word to the detector.
    Bare,
    /// Where words alone count, or in a place of their own.
    Alone,
}

impl Group {
    /// Where the words of the detector at `index` are of use.
    fn of(detector: &Detector, index: usize, roles: &Roles) -> Self {
        let needs = |classes: u32| !(detector.possible)(Features::of_classes(!classes, true), true);
        match () {
            () if roles.alone >> index & 1 == 1 => Self::Alone,
            () if roles.bare >> index & 1 == 1 => Self::Bare,
            () if needs(Features::SEPARATORS) => Self::Path,
            () if needs(LINES) => Self::Line,
            () => Self::General,
        }
    }

    /// Its bits in the table.
    const fn bits(self) -> u16 {
        0b111 << (3 * self as u32)
    }
}

/// The classes each of which is as good as a word to `detector`.
fn good_as_words(detector: &Detector) -> u32 {
    let alone = |class: &u32| (detector.possible)(Features::of_classes(*class, false), false);
    (0..u32::BITS).map(|bit| 1 << bit).filter(alone).fold(0, |classes, class| classes | class)
}

const LINES: u32 = Features::LINE | Features::HIGH;

impl Anchors {
    /// Makes the tables for the words of `detectors`, done once an engine. None if the tables cannot number the words.
    pub(crate) fn new(detectors: &[Detector], roles: &Roles) -> Option<Self> {
        let mut anchors = Self {
            table: Box::new([0; HASHES]),
            starts: Vec::new(),
            entries: Vec::new(),
            text: Vec::new(),
            marks: [0; 256],
            singles: Vec::new(),
            pairs: Vec::new(),
            good: u32::MAX,
        };
        let mut longer = Chains::default();
        for (index, detector) in detectors.iter().enumerate() {
            let group = Group::of(detector, index, roles);
            if matches!(group, Group::Bare) {
                anchors.good &= good_as_words(detector);
            }
            let (owner, groups) = (1 << index, group.bits());
            for word in detector.words {
                match *word.to_ascii_lowercase().as_bytes() {
                    [] => return None,
                    [byte] => anchors.single(byte, owner)?,
                    [first, second] => anchors.pair([first, second], owner),
                    ref word => anchors.longer(word, owner, groups, &mut longer)?,
                }
            }
        }
        for hash in 0..HASHES {
            anchors.starts.push(u16::try_from(anchors.entries.len()).ok()?);
            anchors.entries.extend(longer.of(hash).map(|link| link.entry));
        }
        anchors.starts.push(u16::try_from(anchors.entries.len()).ok()?);
        Some(anchors)
    }

    fn single(&mut self, byte: u8, owner: u64) -> Option<()> {
        let known = self.marks[usize::from(byte)] & !PAIR;
        if known != 0 {
            *self.singles.get_mut(known.trailing_zeros() as usize)? |= owner;
            return Some(());
        }
        let bit = u32::try_from(self.singles.len()).ok().filter(|&bit| 1 << bit < PAIR)?;
        for byte in [byte, byte.to_ascii_uppercase()] {
            self.marks[usize::from(byte)] |= 1 << bit;
        }
        self.singles.push(owner);
        Some(())
    }

    fn pair(&mut self, pair: [u8; 2], owner: u64) {
        if let Some((_, owners)) = self.pairs.iter_mut().find(|(known, _)| *known == pair) {
            *owners |= owner;
            return;
        }
        for byte in pair {
            self.marks[usize::from(byte)] |= PAIR;
            self.marks[usize::from(byte.to_ascii_uppercase())] |= PAIR;
        }
        self.pairs.push((pair, owner));
    }

    fn longer(&mut self, word: &[u8], owner: u64, groups: u16, chains: &mut Chains) -> Option<()> {
        let anchor = anchor(word);
        let bytes = word.get(anchor..)?;
        let window =
            bytes.iter().take(4).rev().fold(0, |window, &byte| window << 8 | u64::from(byte)) | CASES;
        let hash = hash(window);
        self.table[hash] |= groups & if bytes.len() > 3 { fourth(window) } else { u16::MAX };
        let is_it = |entry: &Entry| self.word(entry) == Some(word);
        if let Some(known) = chains.find(hash, is_it) {
            known.owners |= owner;
            return Some(());
        }
        let from = u16::try_from(self.text.len()).ok()?;
        self.text.extend_from_slice(word);
        let (length, anchor) = (u8::try_from(word.len()).ok()?, u8::try_from(anchor).ok()?);
        chains.push(hash, Entry { key: key(window), from, length, anchor, owners: owner })
    }

    /// An entry's word, in lower case.
    fn word(&self, entry: &Entry) -> Option<&[u8]> {
        self.text.get(usize::from(entry.from)..)?.get(..usize::from(entry.length))
    }

    /// What each byte is to words of one and of two bytes.
    pub(crate) fn marks(&self) -> &[u32; 256] {
        &self.marks
    }

    /// The owners of the words in `bytes`, a bit each, as far as they are of use there.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], seen: &Seen) -> u64 {
        let mut found = 0;
        let mut singles = seen.marks & !PAIR;
        while singles != 0 {
            found |= self.singles.get(singles.trailing_zeros() as usize).copied().unwrap_or(u64::MAX);
            singles &= singles - 1;
        }
        if seen.adjacent & PAIR != 0 {
            self.find_pairs(bytes, &mut found);
        }
        self.find_longer(bytes, self.active(seen), &mut found);
        found
    }

    /// The bits of all groups that are of use in a value.
    fn active(&self, seen: &Seen) -> u16 {
        if seen.alone {
            return u16::MAX;
        }
        let when = |active: bool, group: Group| if active { group.bits() } else { 0 };
        Group::General.bits()
            | when(seen.classes & Features::SEPARATORS != 0, Group::Path)
            | when(seen.classes & LINES != 0, Group::Line)
            | when(seen.classes & self.good == 0, Group::Bare)
    }

    fn find_pairs(&self, bytes: &[u8], found: &mut u64) {
        let mark = |byte: u8| self.marks[usize::from(byte)] & PAIR != 0;
        for window in bytes.windows(2) {
            if let &[first, second] = window
                && mark(first)
                && mark(second)
            {
                let pair = [first.to_ascii_lowercase(), second.to_ascii_lowercase()];
                for (word, owners) in &self.pairs {
                    *found |= if *word == pair { *owners } else { 0 };
                }
            }
        }
    }

    fn find_longer(&self, bytes: &[u8], active: u16, found: &mut u64) {
        let (mut rest, mut at) = (bytes, 0);
        while let Some(eight) = rest.first_chunk::<8>() {
            let window = u64::from_le_bytes(*eight) | CASES;
            if self.look(window) & active != 0 {
                *found |= self.compare(bytes, at, window, active);
            }
            rest = rest.get(PLACES..).unwrap_or_default();
            at += PLACES;
        }
        if rest.len() < 3 {
            return;
        }
        // What is left is shifted down from the end of the value, if that has eight bytes.
        let window = match bytes.last_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight) >> (64 - 8 * rest.len()),
            None => rest.iter().rev().fold(0, |window, &byte| window << 8 | u64::from(byte)),
        };
        let window = window | CASES;
        if self.look(window) & active != 0 {
            *found |= self.compare(bytes, at, window, active);
        }
    }

    /// The bits of the table for all places of a window.
    #[inline(always)]
    fn look(&self, window: u64) -> u16 {
        let place = |n: usize| {
            let window = window >> (8 * n);
            self.table[hash(window)] & fourth(window)
        };
        place(0) | place(1) | place(2) | place(3) | place(4)
    }

    /// Compares words at those places of the window at `at` that have an anchor; returns their owners.
    #[inline(never)]
    fn compare(&self, bytes: &[u8], at: usize, window: u64, active: u16) -> u64 {
        let mut found = 0;
        for place in 0..PLACES {
            let window = window >> (8 * place);
            let hash = hash(window);
            if self.table[hash] & fourth(window) & active == 0 {
                continue;
            }
            let Some(&[from, to]) = self.starts.get(hash..hash + 2) else { continue };
            let key = key(window);
            for entry in self.entries.get(usize::from(from)..usize::from(to)).unwrap_or_default() {
                if entry.key != key || entry.owners & !found == 0 {
                    continue;
                }
                let start = (at + place).checked_sub(usize::from(entry.anchor));
                let here = start.and_then(|start| bytes.get(start..)?.get(..usize::from(entry.length)));
                if let (Some(here), Some(word)) = (here, self.word(entry))
                    && here.eq_ignore_ascii_case(word)
                {
                    found |= entry.owners;
                }
            }
        }
        found
    }
}

/// Entries by their hash while the tables are made. (Sorting them would be simpler, and put more code into the filter than
/// all that finds words.)
#[derive(Default)]
struct Chains {
    /// The last link of each hash; empty until there is one.
    last: Vec<u16>,
    links: Vec<Link>,
}

struct Link {
    entry: Entry,
    /// The link before it of the same hash, [`Chains::NONE`] where it is the first.
    before: u16,
}

impl Chains {
    const NONE: u16 = u16::MAX;

    fn push(&mut self, hash: usize, entry: Entry) -> Option<()> {
        let at = u16::try_from(self.links.len()).ok().filter(|&at| at != Self::NONE)?;
        self.last.resize(HASHES, Self::NONE);
        let before = std::mem::replace(self.last.get_mut(hash)?, at);
        self.links.push(Link { entry, before });
        Some(())
    }

    fn find(&mut self, hash: usize, is_it: impl Fn(&Entry) -> bool) -> Option<&mut Entry> {
        let mut at = self.last.get(hash).copied()?;
        while let Some(link) = self.links.get(usize::from(at)) {
            if is_it(&link.entry) {
                return self.links.get_mut(usize::from(at)).map(|link| &mut link.entry);
            }
            at = link.before;
        }
        None
    }

    fn of(&self, hash: usize) -> impl Iterator<Item = &Link> {
        let link = |at: u16| self.links.get(usize::from(at));
        std::iter::successors(link(self.last.get(hash).copied().unwrap_or(Self::NONE)), move |it| {
            link(it.before)
        })
    }
}

/// What the pass over a value's bytes saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Its classes, as in [`Features`].
    pub(crate) classes: u32,
    /// The [marks](Anchors::marks) of all bytes.
    pub(crate) marks: u32,
    /// Those that two neighbours have in common.
    pub(crate) adjacent: u32,
    /// Whether words of all kinds count, those that are of use [alone](Group::Alone) as well.
    pub(crate) alone: bool,
}

/// Places of a window of eight bytes that have four bytes in it.
const PLACES: usize = 5;
/// The bit that upper and lower case differ in. Other bytes that it makes equal are told apart by the comparison.
const CASES: u64 = 0x2020_2020_2020_2020;

/// The hash of the lowest three bytes of `window`.
#[inline(always)]
fn hash(window: u64) -> usize {
    ((window << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - HASH_BITS)) as usize
}

/// The bits that each group has for the fourth byte of `window`.
#[expect(clippy::cast_possible_truncation, reason = "one byte is wanted")]
#[inline(always)]
fn fourth(window: u64) -> u16 {
    const BITS: [u16; 256] = {
        let mut bits = [0; 256];
        let mut byte = 0;
        while byte < bits.len() {
            // Bytes are of three kinds, about as many letters of each. The space is of another kind than the letters that
            // it would be with: so `the ` is less often taken for the start of `then`.
            let kind = if byte == b' ' as usize { 0 } else { byte % 3 };
            bits[byte] = 0b001_001_001_001_001 << kind;
            byte += 1;
        }
        bits
    };
    BITS[usize::from((window >> 24) as u8)]
}

/// The lowest three bytes of `window`.
#[expect(clippy::cast_possible_truncation, reason = "three bytes are wanted")]
fn key(window: u64) -> u32 {
    window as u32 & 0xff_ffff
}

/// Where in `word` its anchor is best placed: where its bytes are rarest in text.
fn anchor(word: &[u8]) -> usize {
    let score = |&at: &usize| -> usize {
        let rank = |byte: &u8| COMMON.iter().position(|common| common == byte).unwrap_or(COMMON.len());
        word.iter().skip(at).take(4).map(rank).sum()
    };
    // Of equals the first.
    (0..word.len().saturating_sub(2)).rev().max_by_key(score).unwrap_or(0)
}

/// Bytes of texts, the commonest first; all others are rarer.
const COMMON: &[u8; 28] = b" etaoinsrhldcumfpgwybvk.,-01";

#[cfg(test)]
mod tests;
