use super::{Anchors, Seen};
use crate::detectors::{DETECTORS, Detector};
use crate::roles::Roles;

fn detector(words: &'static [&'static str]) -> Detector {
    Detector { name: "test", words, possible: |_, word| word, inspect: |_, _| None }
}

fn find(words: &Anchors, bytes: &[u8]) -> u64 {
    let marks = |byte: &u8| words.marks()[usize::from(*byte)];
    let seen = bytes.iter().fold(0, |seen, byte| seen | marks(byte));
    let adjacent = bytes.windows(2).fold(0, |both, pair| both | marks(&pair[0]) & marks(&pair[1]));
    words.find(bytes, &Seen { classes: u32::MAX, marks: seen, adjacent, alone: true })
}

#[test]
fn finds_words_in_any_case_and_within_each_other() {
    let detectors = [
        detector(&["select", "she", "z"]),
        detector(&["he", "hers"]),
        detector(&["elect"]),
        detector(&["\0\u{e9}"]),
    ];
    let words = Anchors::new(&detectors, &Roles::default()).unwrap();
    for (text, owners) in [
        ("", 0),
        ("nothing here but 'hx' and 'sh'", 2),
        ("SeLeCt", 0b101),
        ("ushers", 0b11),
        ("seshelect", 0b111),
        ("\0\u{e9}", 0b1000),
        ("\0\u{c9}", 0),
        ("Z", 1),
        ("sxe hxrs elec", 0),
    ] {
        assert_eq!(find(&words, text.as_bytes()), owners, "{text}");
    }
}

#[test]
fn finds_every_word_wherever_it_stands() {
    let words = Anchors::new(DETECTORS, &Roles::new()).unwrap();
    for (index, detector) in DETECTORS.iter().enumerate() {
        for word in detector.words {
            for (before, after) in [(0, 0), (1, 0), (0, 1), (2, 3), (4, 1), (5, 5), (13, 2)] {
                let text = format!("{}{}{}", "~".repeat(before), word.to_uppercase(), "~".repeat(after));
                let text = if word.is_ascii() { text } else { text.replace(&word.to_uppercase(), word) };
                assert!(find(&words, text.as_bytes()) & 1 << index != 0, "{text:?}");
            }
        }
    }
}

#[test]
fn finds_nothing_but_words() {
    let words = Anchors::new(DETECTORS, &Roles::new()).unwrap();
    let text = include_bytes!("../detectors/sqli/mod.rs");
    for from in (0..text.len().min(6000)).step_by(7) {
        let part = &text[from..(from + from % 60).min(text.len())];
        let lower = part.to_ascii_lowercase();
        let has = |word: &&str| memchr::memmem::find(&lower, word.to_ascii_lowercase().as_bytes()).is_some();
        let naive = DETECTORS.iter().enumerate().filter(|(_, detector)| detector.words.iter().any(has));
        let naive = naive.fold(0, |bits, (index, _)| bits | 1 << index);
        assert_eq!(find(&words, part), naive, "{:?}", part.escape_ascii().to_string());
    }
}
