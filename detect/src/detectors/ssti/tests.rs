//! The pre-filters of SSTI, SSI and prototype pollution against their full paths.

use crate::budget::Steps;
use crate::detectors::{Detector, prototype, ssi};
use crate::features::Words;
use crate::signal::Location;
use crate::value::{Field, Part, Value, Wire};

/// Pieces that values are glued from.
const PIECES: &[&str] = &[
    "{",
    "}",
    "{{",
    "}}",
    "${",
    "#{",
    "{%",
    "%}",
    "<%",
    "%>",
    "<%=",
    "<#",
    ">",
    "[#",
    "]",
    "[=",
    "[[",
    "]]",
    "@(",
    ")",
    "#set",
    "(",
    "$x=",
    "7*7",
    "1+1",
    " ",
    "self",
    "config",
    "__class__",
    "constructor",
    "[",
    ".",
    "prototype",
    "\"",
    "'",
    "a",
    "system",
    "popen",
    "|",
    "attr",
    "filter",
    "?new()",
    "<!--",
    "#",
    "echo",
    "exec",
    "-->",
    "<esi:",
    "include",
    "<!--esi",
    "__proto__",
    ":",
    "=",
    "$class.inspect",
    "freemarker",
    "`id`",
    "{php}",
    "$smarty.",
    "T(java.",
    "/",
];

#[test]
fn never_rules_out_what_inspection_finds() {
    let detectors = [super::DETECTOR, ssi::DETECTOR, prototype::DETECTOR];
    let words = Words::new(&detectors);
    let mut found = [0; 3];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(limit).unwrap()).unwrap()
    };
    for round in 0..100_000 {
        let value: String = (0..1 + below(8)).map(|_| PIECES[below(PIECES.len())]).collect();
        let part = if round % 2 == 0 { Part::Value } else { Part::Name };
        for (index, detector) in detectors.iter().enumerate() {
            found[index] += usize::from(finds(detector, index, value.as_bytes(), part, &words));
        }
    }
    assert!(found.iter().all(|&found| found > 100), "the pieces no longer exercise a detector: {found:?}");
}

#[test]
fn stays_linear_on_openers_without_end() {
    let words = Words::new(&[super::DETECTOR]);
    for unit in ["{", "${", "{{", "{%", "<%", "[[", "@(", "{{a}}", "${{}", "#set(", "{{'", "}"] {
        let value = unit.repeat(100_000 / unit.len());
        let features = words.features(value.as_bytes());
        let field = field(value.as_bytes(), Part::Value);
        let mut steps = Steps::new(20_000_000);
        let _ = super::inspect(
            &Value { field: &field, bytes: value.as_bytes(), features, word: true },
            &mut steps,
        );
        assert!(!steps.exhausted(), "{unit:?} takes more than 200 steps a byte");
    }
}

fn finds(detector: &Detector, index: usize, bytes: &[u8], part: Part, words: &Words) -> bool {
    let features = words.features(bytes);
    let field = field(bytes, part);
    let found =
        (detector.inspect)(&Value { field: &field, bytes, features, word: true }, &mut Steps::new(1_000_000));
    let possible = (detector.possible)(features, features.word(index));
    assert!(found.is_none() || possible, "{} ruled out {:?}", detector.name, String::from_utf8_lossy(bytes));
    found.is_some()
}

fn field(raw: &[u8], part: Part) -> Field<'_> {
    Field { location: Location::QueryString, part, name: b"x", raw, wire: Wire::Plain }
}
