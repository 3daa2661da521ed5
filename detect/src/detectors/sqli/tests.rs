//! The pre-filter against the full path, and the full path against its budget and hostile input.

use std::sync::LazyLock;

use super::{DETECTOR, are_plain_names, possible, read};
use crate::budget::Steps;
use crate::detectors::sqli::lex::{Backslash, Lexer};
use crate::detectors::sqli::token::{Ending, Kind};
use crate::detectors::sqli::words::{self, Word};
use crate::features::Words;
use crate::signal::Location;
use crate::value::{Field, Finding, Part, Value, Wire};

/// Pieces that values are glued from: what the lexer looks for, and what stands around it.
const PIECES: &str = "' \" ` ( ) -- # /* */ /*! ; , . = < > != || && + - * / % ^ ~ ! @ @@ :: := { } [ ] ? \\ $$ 0x1f 1 2.5 \
    1e 1.e 'a' n'x' q'[ u&' _utf8 or and xor not like between in is null true union all select from where group order \
    by having limit into outfile procedure case when then else end as on join values top insert update delete drop \
    table create alter exec declare if waitfor delay sleep( user() count(*) version() information_schema.tables a id \
    the password set call begin for collate binary exists any";

const SPACES: &[&str] = &["", " ", "\n", "\0", "\u{a0}"];

#[test]
fn the_pre_filter_lets_through_all_that_fires() {
    let pieces: Vec<&str> = PIECES.split(' ').filter(|piece| !piece.is_empty()).collect();
    let words = Words::new(&[DETECTOR]);
    let mut random = Random(7);
    let mut fired = 0;
    for _ in 0..60_000 {
        let mut text = String::new();
        for _ in 0..2 + random.below(9) {
            text.push_str(pieces[random.below(pieces.len())]);
            // Mostly a space, or words would seldom stand apart.
            let space = if random.below(4) == 0 { random.below(SPACES.len()) } else { 1 };
            text.push_str(SPACES[space]);
        }
        let features = words.features(text.as_bytes());
        if run(text.as_bytes(), &mut Steps::new(10_000)).is_some() {
            fired += 1;
            assert!(possible(features, features.word(0)), "{text:?} fires and is ruled out");
        }
    }
    assert!(fired > 1_000, "only {fired} of the values fired");
}

#[test]
fn every_prefix_of_a_value_is_read_without_harm() {
    let value = b"x\\' union/**/all select q'[a]',$t$b$t$,`c``d`,[e],{d '1'},@'f',0x1f,1.e,U&'g' from a.b..c where 1 \
                  between 2 and 3 group by 4 having 5<=>6 limit 7,8 into outfile '/h'; if(9=9) waitfor delay '0:0:1'-- ";
    for end in 0..=value.len() {
        let mut steps = Steps::new(10_000);
        if let Some(found) = run(&value[..end], &mut steps) {
            assert!(found.span.start <= found.span.end && found.span.end <= end);
        }
        assert!(!steps.exhausted());
    }
}

#[test]
fn steps_grow_with_the_input_only() {
    let filling = [
        "(",
        "1+",
        "'a' ",
        "/**/",
        ";if ",
        "#\n",
        "@",
        "a.",
        "\\'",
        "((select ",
        "case when ",
        "q'[",
        "$a$ ",
        "f(",
    ];
    for part in filling {
        let value = part.repeat(60_000 / part.len());
        let mut steps = Steps::new(8 * value.len());
        run(value.as_bytes(), &mut steps);
        assert!(!steps.exhausted(), "{part:?} costs more than eight steps a byte");
    }
}

#[test]
fn each_token_takes_bytes() {
    let mut random = Random(11);
    for _ in 0..40_000 {
        let value: Vec<u8> = (0..8).map(|_| ALPHABET[random.below(ALPHABET.len())]).collect();
        let mut lexer = Lexer::new(&value, 0, Backslash::Itself);
        loop {
            let token = lexer.next();
            if token.kind == Kind::End {
                break;
            }
            assert!(token.end > token.start, "{value:?}");
        }
    }
}

const ALPHABET: &[u8] = b"0.1ex_aq'\"`[]{$@#/*!-;:&|<=\\ \xa0\xc2\0,u~^?()";

#[test]
fn a_spent_budget_stops_the_reading() {
    let mut steps = Steps::new(3);
    run(b"1 + 2 + 3 + 4 or 5 = 5", &mut steps);
    assert!(steps.exhausted());
}

#[test]
fn depth_hides_nothing() {
    let value = format!("1 or {}5=5{}", "(".repeat(300), ")".repeat(300));
    assert!(run(value.as_bytes(), &mut Steps::new(10_000)).is_some());
}

#[test]
fn dialects_lex_as_their_databases_do() {
    use Kind::{Name, Number, Text};
    let cases: &[(&str, &[Kind])] = &[
        ("1union", &[Number, Name(Word::Union)]),
        (".5st", &[Kind::Dot, Name(Word::Technical)]),
        ("1st", &[Name(Word::Technical)]),
        ("3.e0or", &[Number, Name(Word::Logic)]),
        ("2fUNION", &[Number, Name(Word::Union)]),
        ("/*!50000select*/1", &[Name(Word::Select), Number]),
        ("select.5", &[Name(Word::Select), Number]),
        ("'a''b'", &[Text]),
        ("'a\\'b'", &[Text]),
        ("$x$a'b$x$", &[Text]),
        ("n'a'q'{b'c}'", &[Text, Text]),
        ("`a``b`.c", &[Name(Word::Technical)]),
        ("[a b]", &[Name(Word::Quoted)]),
        ("mysql.user", &[Name(Word::Catalogue)]),
        ("dbms_lock.sleep", &[Name(Word::Danger)]),
        ("@@a.b", &[Kind::Variable]),
        ("b<=>c", &[Name(Word::Plain), Kind::Compare, Name(Word::Plain)]),
    ];
    for (text, kinds) in cases {
        let mut lexer = Lexer::new(text.as_bytes(), 0, Backslash::Escapes);
        let read: Vec<Kind> =
            std::iter::from_fn(|| Some(lexer.next().kind).filter(|kind| *kind != Kind::End)).collect();
        assert_eq!(read, *kinds, "{text}");
    }
}

#[test]
fn the_end_of_a_value_is_told_apart() {
    let cases = [
        ("1", Ending::Plain),
        ("1 -- x", Ending::Comment),
        ("1 /* x", Ending::Comment),
        ("1;\0x", Ending::Comment),
        ("1 'x", Ending::Text(b'\'')),
    ];
    for (text, ending) in cases {
        let mut lexer = Lexer::new(text.as_bytes(), 0, Backslash::Escapes);
        while lexer.next().kind != Kind::End {}
        assert_eq!(lexer.ending, ending, "{text}");
    }
}

#[test]
fn words_are_found_in_any_case() {
    assert_eq!(words::class(b"UnIoN"), Word::Union);
    assert_eq!(words::class(b"INFORMATION_SCHEMA"), Word::Catalogue);
    assert_eq!(words::class(b"unions"), Word::Plain);
    assert_eq!(words::class(b""), Word::Plain);
}

#[test]
fn nothing_is_found_in_plain_names_that_are_not_read() {
    let parts = [
        "a", "CH", "user", "x", "e", "n", "or", "and", "union", "null", "sleep", "0", "0001", "7", "1e5",
        "b2b",
    ];
    let mut plain = 0;
    for [a, b, c] in parts.iter().flat_map(|a| parts.iter().flat_map(move |b| parts.map(|c| [a, b, c]))) {
        for text in
            [a.to_string(), format!("{a}-{b}"), format!("{a}-{b}-{c}"), format!("{a}-{b}-{c}-{a}-{b}")]
        {
            if are_plain_names(text.as_bytes()) {
                plain += 1;
                let found = with_value(text.as_bytes(), |value| read(value, &mut Steps::new(10_000)));
                assert_eq!(found, None, "{text}");
            }
        }
    }
    assert!(plain > 1_000, "only {plain} were plain");
    for text in ["1--", "-1", "a-", "1-true", "a-or-1", "select-1", "1e5-1", ""] {
        assert!(!are_plain_names(text.as_bytes()), "{text}");
    }
}

fn run(bytes: &[u8], steps: &mut Steps) -> Option<Finding> {
    with_value(bytes, |value| (DETECTOR.inspect)(value, steps))
}

fn with_value<R>(bytes: &[u8], ask: impl FnOnce(&Value<'_>) -> R) -> R {
    let field = Field {
        location: Location::QueryString,
        part: Part::Value,
        name: b"q",
        raw: bytes,
        wire: Wire::Plain,
    };
    static NO_WORDS: LazyLock<Words> = LazyLock::new(|| Words::new(&[]));
    let features = NO_WORDS.features(bytes);
    ask(&Value { field: &field, bytes, features, word: true })
}

/// A small generator of numbers, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
