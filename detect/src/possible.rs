//! Which detectors can fire on a value: answered from a table for the plain values that most values are.

use crate::detectors::Detector;
use crate::features::Features;

/// The answers for every mix of plain classes.
#[derive(Debug)]
pub(crate) struct Possible {
    table: Vec<Answer>,
}

/// The detectors that can fire, a bit each.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// With one of their words in the value.
    with_word: u64,
    /// Without.
    without: u64,
}

impl Possible {
    /// Asks every detector about every mix; done once an engine.
    pub(crate) fn new(detectors: &[Detector]) -> Self {
        let table = (0..1_usize << PLAIN.len()).map(|index| {
            let chosen = PLAIN.iter().enumerate().filter(|(bit, _)| index >> bit & 1 == 1);
            let classes = chosen.fold(0, |classes, (_, class)| classes | class);
            let ask = |word| {
                let features = Features::of_classes(classes, word);
                let able =
                    detectors.iter().enumerate().filter(|(_, detector)| (detector.possible)(features, word));
                able.fold(0, |bits, (index, _)| bits | 1 << index)
            };
            Answer { with_word: ask(true), without: ask(false) }
        });
        Self { table: table.collect() }
    }

    /// The detectors that can fire on a value with `features`.
    pub(crate) fn of(&self, features: Features, detectors: &[Detector]) -> u64 {
        if features.only(ALL_PLAIN)
            && let Some(answer) = self.table.get(index(features.classes()))
        {
            return answer.with_word & features.words() | answer.without & !features.words();
        }
        let able = detectors.iter().enumerate();
        let able = able.filter(|(index, detector)| (detector.possible)(features, features.word(*index)));
        able.fold(0, |bits, (index, _)| bits | 1 << index)
    }
}

fn index(classes: u32) -> usize {
    PLAIN.iter().enumerate().fold(0, |index, (bit, class)| index | usize::from(classes & class != 0) << bit)
}

/// The classes of names, numbers, words and dates.
const PLAIN: [u32; 9] = [
    Features::ALPHA,
    Features::DIGIT,
    Features::SPACE,
    Features::SLASH,
    Features::DOT,
    Features::COLON,
    Features::HYPHEN,
    Features::COMMA,
    Features::UNDERSCORE,
];

const ALL_PLAIN: u32 = {
    let mut all = 0;
    let mut at = 0;
    while at < PLAIN.len() {
        all |= PLAIN[at];
        at += 1;
    }
    all
};
