//! Which detectors can fire on a value: answered from a table for the plain values that most values are.

use crate::detectors::Detector;
use crate::features::Features;

/// The answers for every mix of plain classes, and what holds for any mix.
///
/// A detector that can fire on a value can fire on one with more classes, and on one with a word: a test holds them to it.
#[derive(Debug)]
pub(crate) struct Possible {
    table: Vec<Answer>,
    /// The detectors that can fire on a value that has none of their words.
    without_word: u64,
    /// Those that a word is enough for.
    word_enough: u64,
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
            Answer { with_word: ask(detectors, classes, true), without: ask(detectors, classes, false) }
        });
        Self {
            table: table.collect(),
            without_word: ask(detectors, u32::MAX, false),
            word_enough: ask(detectors, 0, true),
        }
    }

    /// The detectors of `wanted` that can fire on a value with `features`.
    pub(crate) fn of(&self, features: Features, detectors: &[Detector], wanted: u64) -> u64 {
        if features.only(ALL_PLAIN)
            && let Some(answer) = self.table.get(index(features.classes()))
        {
            return wanted & (answer.with_word & features.words() | answer.without & !features.words());
        }
        let mut able = wanted & features.words() & self.word_enough;
        let mut unsure = wanted & (features.words() | self.without_word) & !able;
        while unsure != 0 {
            let index = unsure.trailing_zeros() as usize;
            let Some(detector) = detectors.get(index) else { break };
            able |= u64::from((detector.possible)(features, features.word(index))) << index;
            unsure &= unsure - 1;
        }
        able
    }
}

fn ask(detectors: &[Detector], classes: u32, word: bool) -> u64 {
    let features = Features::of_classes(classes, word);
    let able = detectors.iter().enumerate().filter(|(_, detector)| (detector.possible)(features, word));
    able.fold(0, |bits, (index, _)| bits | 1 << index)
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

#[cfg(test)]
mod tests {
    use super::{Possible, ask};
    use crate::detectors::DETECTORS;
    use crate::features::Features;

    #[test]
    fn more_classes_and_a_word_rule_nothing_out() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut draw = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            u32::try_from(random >> 32).unwrap()
        };
        for _ in 0..5000 {
            let fewer = draw() & draw();
            let more = fewer | draw() & draw() & draw();
            for word in [false, true] {
                let lost = ask(DETECTORS, fewer, word) & !ask(DETECTORS, more, word);
                assert_eq!(lost, 0, "{fewer:x} {more:x} {word}");
            }
            assert_eq!(ask(DETECTORS, fewer, false) & !ask(DETECTORS, fewer, true), 0, "{fewer:x}");
        }
    }

    #[test]
    fn the_short_way_equals_asking_every_detector() {
        let possible = Possible::new(DETECTORS);
        for shift in 0..32 {
            let classes = 0x8421_4211_u32.rotate_left(shift);
            for word in [false, true] {
                let features = Features::of_classes(classes, word);
                let all = (1 << DETECTORS.len()) - 1;
                assert_eq!(possible.of(features, DETECTORS, all), ask(DETECTORS, classes, word));
            }
        }
    }
}
