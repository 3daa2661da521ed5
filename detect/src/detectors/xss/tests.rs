//! The pre-filter against the full path, and the full path against its budget.

use super::{DETECTOR, inspect, possible};
use crate::budget::Steps;
use crate::features::Words;
use crate::signal::Location;
use crate::value::{Field, Finding, Part, Value, Wire};

/// Pieces that values are glued from: what the lexers look for, and what stands around it.
const PIECES: &[&str] = &[
    "<",
    ">",
    "</",
    "<!--",
    "-->",
    "/",
    "=",
    " ",
    "\t",
    "\n",
    "\0",
    "\"",
    "'",
    "`",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "${",
    ";",
    ":",
    ",",
    ".",
    "+",
    "-",
    "!",
    "&",
    "#",
    "\\",
    "//",
    "/*",
    "*/",
    "x",
    "1",
    "script",
    "svg",
    "img",
    "style",
    "src",
    "href",
    "onerror",
    "onload",
    "onclick",
    "java",
    "javascript:",
    "data:text/html,",
    "vbscript",
    "expression",
    "alert",
    "eval",
    "top[",
    "](",
    "self[",
    "prompt",
    "window",
    "self",
    "top",
    "document",
    "cookie",
    "location",
    "constructor",
    "al",
    "ert",
    "\\u0061lert",
    "&#106;",
    "&colon;",
    "&lpar;",
    "import",
    "@",
    "behavior",
    "throw",
    "iframe",
    "a",
    "b",
    "the",
    "\u{bc}",
    "\u{17f}",
    "+ADw-",
    "if",
    "new",
    "fetch",
    "&#0060",
    "innerHTML",
    "src",
];

#[test]
fn never_rules_out_what_inspection_finds() {
    let words = Words::new(&[DETECTOR]);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut found = 0;
    for _ in 0..150_000 {
        let value: String = (0..1 + random.below(9)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        let features = words.features(value.as_bytes());
        if inspect_value(value.as_bytes(), &words).is_some() {
            found += 1;
            assert!(possible(features, features.word(0)), "ruled out: {value:?}");
        }
    }
    assert!(found > 4_000, "only {found} values were found: the pieces no longer exercise the detector");
}

#[test]
fn stays_linear_on_tags_nested_in_quotes() {
    for unit in [
        "<a b=\"",
        "<a\" b=\"",
        "<a b='<a c=\"",
        "<object a=\"",
        "<",
        "<a ",
        "\"",
        "'",
        "${",
        "*/",
        "'(",
        "[](",
        "=x ",
        "&#",
    ] {
        let words = Words::new(&[DETECTOR]);
        let value = unit.repeat(100_000 / unit.len());
        let features = words.features(value.as_bytes());
        let mut steps = Steps::new(2_000_000);
        let field = field(value.as_bytes());
        let _ = inspect(&Value { field: &field, bytes: value.as_bytes(), features, word: true }, &mut steps);
        assert!(!steps.exhausted(), "{unit:?} takes more than 20 steps a byte");
    }
}

#[test]
fn survives_truncation_at_every_byte() {
    let words = Words::new(&[DETECTOR]);
    let value = b"x' \"><svg/onload=\"alert&lpar;1)\" style='x:\\65xpression(1)'><a href=&#x6a;avascript:top['a'+`b`](/x/)>${f(1)}";
    for end in 0..value.len() {
        let _ = inspect_value(&value[..end], &words);
    }
}

fn inspect_value(bytes: &[u8], words: &Words) -> Option<Finding> {
    let field = field(bytes);
    inspect(
        &Value { field: &field, bytes, features: words.features(bytes), word: true },
        &mut Steps::new(2_000_000),
    )
}

fn field(raw: &[u8]) -> Field<'_> {
    Field { location: Location::QueryString, part: Part::Value, name: b"x", raw, wire: Wire::Plain }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}
