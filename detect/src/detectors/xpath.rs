//! XPATH: expressions that walk a document where a value belongs.
//!
//! Catches functions over a path (`count(/child::node())`, `string-length(name(/*[1]))`), explicit axes
//! (`parent::*`, `ancestor-or-self::node()`), break-outs that go on with a path (`']|//*|//*['`), and quoted
//! conditions that call XPath's own functions (`' or position()=1 or 'a'='b`).
//!
//! Deliberately misses: `' or '1'='1`, which is SQLI; plain paths (`//*[@id="list"]/div[1]`), which page analytics and
//! test tools send all day.
//!
//! False-positive risk: configuration of scrapers that count elements. Vectors: `vectors/xpath`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::{self, Cursor};
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "xpath",
    words: &[
        "::",
        "|",
        "count(",
        "name(",
        "uri(",
        "string(",
        "length(",
        "substring(",
        "before(",
        "after(",
        "with(",
        "contains(",
        "space(",
        "concat(",
        "sum(",
        "boolean(",
        "not(",
        "position()",
        "last()",
        "text()",
    ],
    possible: |features, word| word && features.any(Features::SLASH | Features::PAREN | Features::COLON),
    inspect,
};

/// Functions of the core library that take a node set.
const FUNCTIONS: [&[u8]; 16] = [
    b"count",
    b"name",
    b"local-name",
    b"namespace-uri",
    b"string",
    b"string-length",
    b"substring",
    b"substring-before",
    b"substring-after",
    b"starts-with",
    b"contains",
    b"normalize-space",
    b"concat",
    b"sum",
    b"boolean",
    b"not",
];
const AXES: [&[u8]; 13] = [
    b"ancestor",
    b"ancestor-or-self",
    b"attribute",
    b"child",
    b"descendant",
    b"descendant-or-self",
    b"following",
    b"following-sibling",
    b"namespace",
    b"parent",
    b"preceding",
    b"preceding-sibling",
    b"self",
];
/// Tests that only XPath writes.
const TESTS: [&[u8]; 5] = [b"node()", b"text()", b"comment()", b"processing-instruction(", b"*"];

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    if !steps.take(1 + bytes.len() / 16) {
        return None;
    }
    let (detector, start, end) = axis(bytes, steps)
        .or_else(|| call(bytes, steps))
        .or_else(|| union(bytes))
        .or_else(|| condition(bytes))?;
    Some(Finding { tag: Tag::Xpath, detector, span: start..end })
}

/// The idea that fired, and the evidence.
type Place = (&'static str, usize, usize);

/// `axis::test`, where the test or what stands before it is XPath's alone.
fn axis(bytes: &[u8], steps: &mut Steps) -> Option<Place> {
    for at in scan::find_all(bytes, b"::") {
        if !steps.take(1) {
            return None;
        }
        let before = bytes.get(..at)?;
        let length = before.iter().rev().take(24).take_while(|byte| is_name(**byte)).count();
        let start = at - length;
        let test = bytes.get(at + 2..)?;
        let known = AXES.iter().any(|axis| before.get(start..) == Some(axis));
        if known && TESTS.iter().any(|word| test.starts_with(word)) {
            return Some(("XPATH-AXIS", start, at + 3));
        }
    }
    None
}

/// A function of the core library over a path.
fn call(bytes: &[u8], steps: &mut Steps) -> Option<Place> {
    let mut cursor = Cursor::new(bytes);
    while let Some(ahead) = memchr::memchr(b'(', cursor.rest()) {
        if !steps.take(1) {
            return None;
        }
        cursor.skip(ahead + 1);
        let open = cursor.at() - 1;
        let before = bytes.get(..open)?;
        let length = before.iter().rev().take(24).take_while(|byte| is_name(**byte)).count();
        let start = open - length;
        // A method of another language: `text.count(/x/)`.
        let method =
            matches!(start.checked_sub(1).and_then(|at| bytes.get(at)), Some(b'.' | b'$' | b'>' | b'_'));
        if method || !FUNCTIONS.iter().any(|name| before.get(start..) == Some(name)) {
            continue;
        }
        let mut argument = cursor;
        argument.take_while(|byte| byte.is_ascii_whitespace());
        if is_path(argument.rest()) {
            return Some(("XPATH-FUNCTION", start, argument.at() + 1));
        }
    }
    None
}

/// Whether `rest` begins with a location path, and not with a regular expression or a comment.
fn is_path(rest: &[u8]) -> bool {
    let step = |rest: &[u8]| {
        rest.first().is_some_and(|&byte| byte == b'*' || byte == b'@')
            || AXES
                .iter()
                .any(|axis| rest.starts_with(axis) && rest.get(axis.len()..axis.len() + 2) == Some(b"::"))
    };
    let ends = |rest: &[u8]| {
        let name = rest.iter().take_while(|byte| is_name(**byte)).count();
        name > 0
            && matches!(rest.get(name), Some(b'/' | b'[' | b')'))
            && !rest.get(name..).is_some_and(|rest| rest.starts_with(b"/)") || rest.starts_with(b"/,"))
    };
    match rest {
        [b'/', b'/', tail @ ..] => step(tail) || ends(tail),
        [b'/', b'*', b'*' | b' ' | b'!', ..] => false,
        [b'/', tail @ ..] => step(tail) || tail.starts_with(b")") || ends(tail),
        [b'.', b'.', b'/' | b')', ..] => true,
        [b'@', b'*', ..] => true,
        _ => AXES
            .iter()
            .any(|axis| rest.starts_with(axis) && rest.get(axis.len()..axis.len() + 2) == Some(b"::")),
    }
}

/// `']|//*|//*['`: what is broken out of goes on as a union with a path.
fn union(bytes: &[u8]) -> Option<Place> {
    let bar = bytes.iter().take(128).position(|&byte| byte == b'|')?;
    let before = bytes.get(..bar)?.trim_ascii_end();
    let after = bytes.get(bar + 1..)?.trim_ascii_start();
    let closes = matches!(before.last(), Some(b']' | b')' | b'\'' | b'"'))
        && before.iter().any(|&byte| byte == b'\'' || byte == b'"');
    (closes && (after.starts_with(b"//") || after.starts_with(b"/*"))).then_some((
        "XPATH-UNION",
        bar,
        bar + 3,
    ))
}

/// A quote, `and` or `or`, and a function that only XPath calls without arguments.
fn condition(bytes: &[u8]) -> Option<Place> {
    const CALLS: [&[u8]; 7] =
        [b"position()", b"last()", b"name()", b"local-name()", b"text()", b"string-length(name(", b"name(."];
    let quote = bytes.iter().take(64).position(|&byte| byte == b'\'' || byte == b'"')?;
    let mut cursor = Cursor::new(bytes);
    cursor.seek(quote + 1);
    cursor.take_while(|byte| byte.is_ascii_whitespace() || byte == b']' || byte == b')');
    if !cursor.eat(b"or ") && !cursor.eat(b"and ") {
        return None;
    }
    cursor.take_while(|byte| byte.is_ascii_whitespace() || byte == b'(');
    let calls = CALLS.iter().any(|call| cursor.eat(call));
    calls.then(|| ("XPATH-CONDITION", quote, cursor.at()))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'-' || byte.is_ascii_digit()
}
