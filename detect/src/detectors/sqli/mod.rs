//! SQL injection, found by reading a value the way a database would.
//!
//! **Catches** values that would alter the query they land in: conditions appended with `or`, `and` and their kin,
//! `union select`, stacked statements, quotes closed and the rest commented out, clauses (`order by 3`, `into
//! outfile`, `procedure analyse()`), functions that delay, read, write or run, sub-selects, whole statements, access
//! to catalogues, and comparisons that need no word (`'='`). Dialects: MySQL, PostgreSQL, SQL Server, Oracle, SQLite.
//!
//! **How**: [`lex`] makes tokens, [`grammar`] reads them where a number would stand and behind each closed quote, and
//! [`verdict`] judges the [`facts`] it noted. Words alone never fire: they must stand where the grammar has them.
//!
//! **Deliberately missed**: a comparison in a parameter that takes conditions (`where=1=1`), arithmetic of numbers, strings joined by `or` as search
//! queries write it (`"red" or "blue"`), and statements that any sentence could be (`select items from list`).
//!
//! **Risks of false alarms**: posts that hold SQL, filter languages that spell conditions on constants.
//!
//! Vectors: `vectors/sqli`. Tricks and answers: `docs/bypasses/sqli.md`.

mod clause;
mod continuation;
mod facts;
mod frame;
mod grammar;
mod lex;
mod literal;
mod operator;
mod statement;
mod terms;
mod token;
mod verdict;
mod words;

use std::ops::Range;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::detectors::sqli::frame::Bits;
use crate::detectors::sqli::grammar::State;
use crate::detectors::sqli::lex::{Backslash, Lexer};
use crate::detectors::sqli::token::Kind;
use crate::detectors::sqli::verdict::Prefix;
use crate::features::Features;
use crate::scan;
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "sqli", words: WORDS, possible, inspect };

const WORDS: &[&str] = &[
    "select",
    "then",
    "where",
    // SQLite compares constants with `is`; the blank keeps `this` and `list` out.
    " is",
    "\tis",
    "\nis",
    "\ris",
    "\u{b}is",
    "\u{c}is",
    "\u{a0}is",
    "information_schema",
    "pg_catalog",
    "sqlite_master",
    "sysobjects",
    "msdb",
    "union",
    "insert",
    "update",
    "delete",
    "drop",
    "create",
    "alter",
    "truncate",
    "exec",
    "declare",
    "shutdown",
    "waitfor",
    "having",
    "sleep",
    "benchmark",
    "order",
    "group",
    "like",
    "between",
    "regexp",
    "glob",
    "null",
    "true",
    "false",
    "procedure",
    "outfile",
    "dumpfile",
    "load",
    "xp_",
    "dbms_",
    "utl_",
    "rename",
    "prepare",
    "handler",
    "attach",
    "backup",
    "grant",
    "revoke",
    "show",
    "copy",
    "merge",
    "replace",
    "call",
    "begin",
    "collate",
    "limit",
    "except",
    "intersect",
];

fn possible(features: Features, word: bool) -> bool {
    word || features.any(MARKS)
}

/// The bytes of operators, strings, calls and comments, without which only a keyword could make a value fire.
const MARKS: u32 = Features::QUOTE
    | Features::EQUALS
    | Features::LT
    | Features::GT
    | Features::BANG
    | Features::CARET
    | Features::PAREN
    | Features::DOLLAR
    | Features::AT
    | Features::NUL
    | Features::CONTROL
    | Features::HASH
    | Features::SLASH
    | Features::HYPHEN;

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let plain = value.features.only(NAMES) && are_plain_names(value.bytes);
    if plain || is_version_range(value.bytes) { None } else { read(value, steps) }
}

/// Reads a value in each way that a database might.
fn read(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let quotes: &[u8] = if value.features.any(Features::QUOTE) { b"'\"`" } else { b"" };
    for backslash in [Backslash::Escapes, Backslash::Itself] {
        let mut differs = false;
        if let Some(found) = bare(bytes, backslash, steps, &mut differs) {
            return Some(found);
        }
        for &quote in quotes {
            if let Some(found) = quoted(bytes, quote, backslash, steps, &mut differs) {
                return Some(found);
            }
        }
        if !differs {
            break;
        }
    }
    let found = embedded(bytes, steps).or_else(|| split(bytes, steps)).or_else(|| commented(bytes, steps));
    found.or_else(|| {
        let (detector, span) = continuation::find(value.field, bytes)?;
        Some(finding(detector, span))
    })
}

/// A sub-select whose surroundings belong to another language or were cut: `x](select 1 from t where 1=1)|[`.
fn embedded(bytes: &[u8], steps: &mut Steps) -> Option<Finding> {
    let (mut from, mut reads) = (0, 0);
    for _ in 0..EMBEDDED {
        let open = from + memchr::memchr(b'(', bytes.get(from..)?)?;
        from = open + 1;
        let lexer = Lexer::new(bytes, from, Backslash::Escapes);
        if lexer.peek().kind != Kind::Name(words::Word::Select) {
            continue;
        }
        reads += 1;
        if reads > READS {
            return None;
        }
        let mut lexer = Lexer::new(bytes, open, Backslash::Escapes);
        let facts = grammar::read(&mut lexer, steps, State::Operand, Bits::NONE);
        if verdict::embedded(&facts) {
            return Some(finding("SQLI-SUBSELECT", open..facts.end.max(from)));
        }
    }
    None
}

/// Parentheses that are tried as the start of a sub-select.
const EMBEDDED: usize = 32;
/// Sub-selects that are read; each may be as long as the value.
const READS: usize = 3;

/// What stands behind the end of a comment that the query has begun: `1*/ and 1=1`.
fn commented(bytes: &[u8], steps: &mut Steps) -> Option<Finding> {
    let at = crate::scan::find(bytes, b"*/").filter(|&at| at > 0)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    let goes_on = rest.get(2).is_some_and(|byte| byte.is_ascii_whitespace() || b");".contains(byte));
    if !goes_on || crate::scan::find(before, b"/*").is_some() || !steps.take(bytes.len() / 8) {
        return None;
    }
    let found = bare(rest.get(2..)?, Backslash::Escapes, steps, &mut false)?;
    let from = at + 2;
    Some(Finding { span: from + found.span.start..from + found.span.end, ..found })
}

/// Words cut by comments, for whoever takes comments out before the database reads: `SEL/**/ECT`.
fn split(bytes: &[u8], steps: &mut Steps) -> Option<Finding> {
    let mut joined = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(open) = bytes.get(at..).and_then(|rest| crate::scan::find(rest, b"/*")) {
        let open = at + open;
        let inside = bytes.get(open + 2..)?;
        let Some(length) = crate::scan::find(inside, b"*/") else { break };
        at = open + length + 4;
        let cuts =
            open.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(u8::is_ascii_alphabetic)
                && bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
        if cuts {
            joined.extend_from_slice(bytes.get(from..open)?);
            from = at;
        }
    }
    if from == 0 || !steps.take(bytes.len() / 8) {
        return None;
    }
    joined.extend_from_slice(bytes.get(from..)?);
    let found = bare(&joined, Backslash::Escapes, steps, &mut false).or_else(|| {
        [b'\'', b'"', b'`']
            .into_iter()
            .find_map(|quote| quoted(&joined, quote, Backslash::Escapes, steps, &mut false))
    })?;
    Some(Finding { span: 0..bytes.len(), ..found })
}

/// Whether the value is a range of versions as package managers write it: `>=16 || 14 >=14.17`.
fn is_version_range(bytes: &[u8]) -> bool {
    let starts = matches!(bytes, [b'>' | b'<' | b'=' | b'~' | b'^', b'=' | b'0'..=b'9', ..]);
    let range = |byte: &u8| byte.is_ascii_digit() || b".<>=~^*xX- |".contains(byte);
    let spaced = |at: usize| bytes.get(at.wrapping_sub(1)) == Some(&b' ') && bytes.get(at + 2) == Some(&b' ');
    starts && bytes.iter().all(range) && scan::find_all(bytes, b"||").all(spaced)
}

/// Whether the value is names and numbers with a hyphen between each two, and none of the names means anything to a
/// database: an article, a date, a telephone number. The grammar would read the difference of nothing in particular.
fn are_plain_names(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'-').all(|part| match part.first() {
        Some(b'0'..=b'9') => part.iter().all(u8::is_ascii_digit),
        Some(_) => words::class(part) == words::Word::Plain,
        // At either end, or two in a row: a comment.
        None => false,
    })
}

/// The classes of bytes of such a value.
const NAMES: u32 = Features::ALPHA | Features::DIGIT | Features::HYPHEN;

/// Reads the value where a number, a name or an expression would stand.
fn bare(bytes: &[u8], backslash: Backslash, steps: &mut Steps, differs: &mut bool) -> Option<Finding> {
    // A backslash in front is what is left of an escape.
    let start = match bytes {
        [b'\\', ..] => 1,
        // The value stands in a comment, which it closes.
        [b'*', b'/', ..] => 2,
        _ => 0,
    };
    let mut lexer = Lexer::new(bytes, start, backslash);
    let first = lexer.peek();
    let (state, prefix, bits) = match first.kind {
        Kind::End => return None,
        Kind::Number => (State::Operand, Prefix::Number, Bits::NONE),
        Kind::Text => (State::Operand, Prefix::Text, Bits::NONE),
        Kind::Name(word) if grammar::continues(word) && !called(&lexer) => {
            (State::Operator, Prefix::Absent, Bits::NAME)
        }
        Kind::Name(word) if words::is_constant(word) => (State::Operand, Prefix::Hard, Bits::NONE),
        Kind::Name(_) if called(&lexer) => (State::Operand, Prefix::Hard, Bits::NONE),
        Kind::Name(_) => (State::Operand, Prefix::Name, Bits::NONE),
        Kind::Sign | Kind::Unary => (State::Operand, signed(lexer), Bits::NONE),
        Kind::Open | Kind::Variable | Kind::OpenBrace => (State::Operand, Prefix::Hard, Bits::NONE),
        _ => (State::Operator, Prefix::Absent, Bits::NAME),
    };
    let facts = grammar::read(&mut lexer, steps, state, bits);
    *differs |= lexer.escaped_quote;
    let detector = verdict::bare(bytes, &facts, &lexer, prefix)?;
    Some(finding(detector, first.start..facts.end.max(first.end)))
}

/// Whether the name that comes next is followed by a parenthesis.
fn called(lexer: &Lexer<'_>) -> bool {
    let mut ahead = *lexer;
    ahead.next();
    ahead.byte() == Some(b'(')
}

/// What the operand behind leading signs is.
fn signed(mut lexer: Lexer<'_>) -> Prefix {
    for _ in 0..SIGNS {
        match lexer.next().kind {
            Kind::Sign | Kind::Unary => {}
            Kind::Number => return Prefix::Number,
            Kind::Name(_) if lexer.byte() == Some(b'(') => return Prefix::Hard,
            Kind::Name(_) => return Prefix::Name,
            Kind::Text => return Prefix::Text,
            Kind::End => return Prefix::Absent,
            _ => return Prefix::Hard,
        }
    }
    Prefix::Hard
}

/// Signs before an operand that are looked through.
const SIGNS: usize = 8;

/// Reads the value inside a string, which its first `quote` closes.
fn quoted(
    bytes: &[u8],
    quote: u8,
    backslash: Backslash,
    steps: &mut Steps,
    differs: &mut bool,
) -> Option<Finding> {
    let at = closing(bytes, quote, backslash, differs)?;
    let mut lexer = Lexer::new(bytes, at + 1, backslash);
    let facts = grammar::read(&mut lexer, steps, State::Operator, Bits::TEXT);
    *differs |= lexer.escaped_quote;
    let detector = verdict::quoted(bytes, &facts, &lexer, at)?;
    Some(finding(detector, at..facts.end.max(at + 1)))
}

/// The place of the first quote that ends the string: neither doubled nor, where that counts, escaped.
fn closing(bytes: &[u8], quote: u8, backslash: Backslash, differs: &mut bool) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(quote, bytes.get(at..)?)?;
        let before = bytes.get(..at)?;
        let slashes = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
        if slashes % 2 == 1 {
            *differs = true;
            if backslash == Backslash::Escapes {
                at += 1;
                continue;
            }
        }
        if bytes.get(at + 1) == Some(&quote) {
            at += 2;
            continue;
        }
        return Some(at);
    }
}

fn finding(detector: &'static str, span: Range<usize>) -> Finding {
    Finding { tag: Tag::Sqli, detector, span }
}

#[cfg(test)]
mod tests;
