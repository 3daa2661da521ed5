//! The words of all detectors, found in one pass over a value.
//!
//! An Aho-Corasick automaton in one dense table. It reports which detectors have a word in the value and nothing
//! else, so a long value can be read in four lanes at once: the table look-ups of one byte wait for those of the byte
//! before it, and lanes do not wait for each other.

use std::collections::VecDeque;

use crate::detectors::Detector;

/// The automaton.
#[derive(Debug)]
pub(crate) struct Automaton {
    /// The input class of each byte; letters of both cases share one.
    classes: [u8; 256],
    /// The classes of a state's row, as a power of two.
    shift: u32,
    /// The next state by state and class; states from [`Self::first_hit`] on end a word.
    next: Vec<u16>,
    first_hit: u16,
    /// For each of those, the owners of the words that end there, a bit each.
    owners: Vec<u64>,
    /// How many bytes of the next lane can belong to a word of this one.
    overlap: usize,
}

impl Automaton {
    /// Builds the automaton for the words of `detectors`; done once an engine. None if the words need more states
    /// than the table numbers.
    pub(crate) fn new(detectors: &[Detector]) -> Option<Self> {
        let mut words: Vec<(Vec<u8>, u64)> = Vec::new();
        for (index, detector) in detectors.iter().enumerate() {
            words.extend(
                detector.words.iter().map(|word| (word.to_ascii_lowercase().into_bytes(), 1 << index)),
            );
        }
        let (classes, shift) = classes(&words);
        let (next, owners) = trie(&words, &classes, shift)?;
        let overlap = words.iter().map(|(word, _)| word.len().saturating_sub(1)).max().unwrap_or(0);
        let mut words = Self { classes, shift, next, first_hit: 0, owners, overlap };
        words.complete();
        words.hits_last();
        Some(words)
    }

    /// The owners of the words in `bytes`, a bit each.
    pub(crate) fn find(&self, bytes: &[u8]) -> u64 {
        let mut found = 0;
        if bytes.len() < SHORTEST_LANES.max(2 * self.overlap) {
            self.run(0, bytes, &mut found);
            return found;
        }
        // Each lane reads as far into the next as a word can reach, so that all four are of one length.
        let start = (bytes.len() - self.overlap) / 4;
        let lane = |n: usize| bytes.get(n * start..(n + 1) * start + self.overlap).unwrap_or_default();
        let mut states = [0; 4];
        for (((&a, &b), &c), &d) in lane(0).iter().zip(lane(1)).zip(lane(2)).zip(lane(3)) {
            states = [
                self.step(states[0], a, &mut found),
                self.step(states[1], b, &mut found),
                self.step(states[2], c, &mut found),
                self.step(states[3], d, &mut found),
            ];
        }
        self.run(states[3], bytes.get(4 * start + self.overlap..).unwrap_or_default(), &mut found);
        found
    }

    fn run(&self, mut state: u16, bytes: &[u8], found: &mut u64) {
        for &byte in bytes {
            state = self.step(state, byte, found);
        }
    }

    #[inline(always)]
    fn step(&self, state: u16, byte: u8, found: &mut u64) -> u16 {
        let class = self.classes[usize::from(byte)];
        let next = self.next.get(usize::from(state) << self.shift | usize::from(class)).copied().unwrap_or(0);
        if next >= self.first_hit {
            *found |= self.owners.get(usize::from(next - self.first_hit)).copied().unwrap_or(u64::MAX);
        }
        next
    }

    /// Fills in the transitions that fall back to a shorter word's state, level by level.
    fn complete(&mut self) {
        let row = 1_usize << self.shift;
        let mut fallback = vec![0_u16; self.owners.len()];
        let mut queue = VecDeque::from([0_u16]);
        while let Some(state) = queue.pop_front() {
            let at = usize::from(state) * row;
            let behind = fallback[usize::from(state)];
            self.owners[usize::from(state)] |= self.owners[usize::from(behind)];
            for class in 0..row {
                let shorter = if state == 0 { 0 } else { self.next[usize::from(behind) * row + class] };
                let next = self.next[at + class];
                if next == NONE {
                    self.next[at + class] = shorter;
                } else {
                    fallback[usize::from(next)] = shorter;
                    queue.push_back(next);
                }
            }
        }
    }

    /// Renumbers the states so that those that end a word come last, and the shallow ones lie close together.
    fn hits_last(&mut self) {
        let row = 1_usize << self.shift;
        let mut order = vec![0_u16];
        let mut seen = vec![false; self.owners.len()];
        seen[0] = true;
        let mut at = 0;
        while let Some(&state) = order.get(at) {
            at += 1;
            for &next in &self.next[usize::from(state) * row..][..row] {
                if !std::mem::replace(&mut seen[usize::from(next)], true) {
                    order.push(next);
                }
            }
        }
        let (quiet, hits): (Vec<u16>, Vec<u16>) =
            order.into_iter().partition(|&state| state == 0 || self.owners[usize::from(state)] == 0);
        let mut number = vec![0_u16; self.owners.len()];
        let order = quiet.iter().chain(&hits);
        for (new, &old) in (0..).zip(order.clone()) {
            number[usize::from(old)] = new;
        }
        let next = order
            .flat_map(|&old| &self.next[usize::from(old) * row..][..row])
            .map(|&next| number[usize::from(next)])
            .collect();
        let owners = hits.iter().map(|&state| self.owners[usize::from(state)]).collect();
        self.first_hit = u16::try_from(quiet.len()).unwrap_or(u16::MAX);
        (self.next, self.owners) = (next, owners);
    }
}

/// Gives every byte that occurs in `words` a class of its own, and all others class 0.
fn classes(words: &[(Vec<u8>, u64)]) -> ([u8; 256], u32) {
    let mut classes = [0; 256];
    let mut count = 1_u8;
    for &byte in words.iter().flat_map(|(word, _)| word) {
        if classes[usize::from(byte)] == 0 {
            classes[usize::from(byte)] = count;
            classes[usize::from(byte.to_ascii_uppercase())] = count;
            count = count.saturating_add(1);
        }
    }
    (classes, u32::from(count).next_power_of_two().trailing_zeros())
}

/// The words as a tree: next states, [`NONE`] where no word goes on, and the owners of what ends at each state.
fn trie(words: &[(Vec<u8>, u64)], classes: &[u8; 256], shift: u32) -> Option<(Vec<u16>, Vec<u64>)> {
    let row = 1_usize << shift;
    let (mut next, mut owners) = (vec![NONE; row], vec![0_u64]);
    for (word, owner) in words {
        let mut state = 0_u16;
        for &byte in word {
            let at = usize::from(state) * row + usize::from(classes[usize::from(byte)]);
            if next[at] == NONE {
                next[at] = u16::try_from(owners.len()).ok().filter(|state| *state < NONE)?;
                next.resize(next.len() + row, NONE);
                owners.push(0);
            }
            state = next[at];
        }
        owners[usize::from(state)] |= owner;
    }
    Some((next, owners))
}

const NONE: u16 = u16::MAX;
/// Shorter values are read in one lane.
const SHORTEST_LANES: usize = 64;

#[cfg(test)]
mod tests {
    use super::Automaton;
    use crate::detectors::{DETECTORS, Detector};

    fn detector(words: &'static [&'static str]) -> Detector {
        Detector { name: "test", words, possible: |_, word| word, inspect: |_, _| None }
    }

    #[test]
    fn finds_words_in_any_case_and_within_each_other() {
        let detectors = [
            detector(&["select", "she"]),
            detector(&["he", "hers"]),
            detector(&["elect"]),
            detector(&["\0\u{e9}"]),
        ];
        let words = Automaton::new(&detectors).unwrap();
        for (text, owners) in [
            ("", 0),
            ("nothing here but 'hx' and 'sh'", 2),
            ("SeLeCt", 0b101),
            ("ushers", 0b11),
            ("seshelect", 0b111),
            ("\0\u{e9}", 0b1000),
            ("\0\u{c9}", 0),
        ] {
            assert_eq!(words.find(text.as_bytes()), owners, "{text}");
        }
    }

    #[test]
    fn finds_words_wherever_lanes_meet() {
        let words = Automaton::new(DETECTORS).unwrap();
        let mut text = vec![b' '; 400];
        for (index, detector) in DETECTORS.iter().enumerate() {
            let longest = detector.words.iter().max_by_key(|word| word.len());
            if let Some(word) = longest {
                for at in 0..text.len() - word.len() {
                    text.fill(b' ');
                    text[at..at + word.len()].copy_from_slice(word.as_bytes());
                    assert!(words.find(&text) & 1 << index != 0, "{word} at {at}");
                }
            }
        }
    }
}
