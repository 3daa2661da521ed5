//! NOSQL: query operators and JavaScript where a value belongs.
//!
//! Catches operators in bracketed parameter names (`user[$ne]=`), as JSON keys, in values that are written as an
//! object (`{"$gt": ""}`), and after a break out of one (`, $where: '1'`); break-outs of a JavaScript string that
//! compare, return, sleep or loop; calls on `db.collection`.
//!
//! Deliberately misses: update operators (`$set`, `$inc`), which analytics send; comparisons under names by which
//! query APIs take filters (`filter[...]`, `where[...]`), except operators that run code.
//!
//! False-positive risk: an API that takes MongoDB filters as they are; exclude the parameter there.
//! Vectors: `vectors/nosql`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::Cursor;
use crate::signal::Tag;
use crate::value::{Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "nosql",
    words: &["$", "||", "&&", "db.", ";"],
    possible: |features, word| {
        word && features
            .any(Features::DOLLAR | Features::PIPE | Features::AMP | Features::QUOTE | Features::PAREN)
    },
    inspect,
};

/// Operators that run code; nobody sends them in earnest.
const CODE: [&[u8]; 4] = [b"$where", b"$function", b"$accumulator", b"$expr"];
/// Operators that make a comparison true for every value.
const COMPARE: [&[u8]; 18] = [
    b"$ne",
    b"$eq",
    b"$gt",
    b"$gte",
    b"$lt",
    b"$lte",
    b"$in",
    b"$nin",
    b"$not",
    b"$nor",
    b"$or",
    b"$and",
    b"$regex",
    b"$exists",
    b"$elemmatch",
    b"$mod",
    b"$all",
    b"$jsonschema",
];
/// Roots of names under which query APIs take filters.
const FILTERS: [&[u8]; 7] =
    [b"filter", b"filters", b"where", b"query", b"populate", b"conditions", b"selector"];

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    if !steps.take(1 + bytes.len() / 16) {
        return None;
    }
    if value.field.part == Part::Name {
        return name(bytes).map(|detector| found(detector, 0, bytes.len()));
    }
    object(bytes).or_else(|| script(bytes))
}

fn found(detector: &'static str, start: usize, end: usize) -> Finding {
    Finding { tag: Tag::Nosql, detector, span: start..end }
}

/// What kind of operator `word` is.
fn operator(word: &[u8]) -> Option<Operator> {
    let is = |known: &&[u8]| known.eq_ignore_ascii_case(word);
    if CODE.iter().any(is) {
        Some(Operator::Code)
    } else if COMPARE.iter().any(is) {
        Some(Operator::Compare)
    } else {
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Code,
    Compare,
}

/// An operator as a parameter's name (`user[$ne]`) or as a JSON key (`$ne`).
fn name(bytes: &[u8]) -> Option<&'static str> {
    if let Some(kind) = operator(bytes) {
        // `$eq` and `$in` alone are what query builders write most.
        let usual =
            [&b"$eq"[..], b"$in", b"$and", b"$or"].iter().any(|word| bytes.eq_ignore_ascii_case(word));
        return (kind == Operator::Code || !usual).then_some("NOSQL-KEY");
    }
    let root = bytes.iter().position(|&byte| byte == b'[').unwrap_or(bytes.len());
    let root = bytes.get(..root).unwrap_or_default();
    let filter = FILTERS.iter().any(|known| root.eq_ignore_ascii_case(known));
    let mut rest = bytes;
    while let Some(at) = crate::scan::find(rest, b"[$") {
        let inner = rest.get(at + 1..).unwrap_or_default();
        let end = inner.iter().position(|&byte| byte == b']').unwrap_or(inner.len());
        match operator(inner.get(..end).unwrap_or_default()) {
            Some(Operator::Code) => return Some("NOSQL-NAME"),
            Some(Operator::Compare) if !filter => return Some("NOSQL-NAME"),
            _ => rest = inner,
        }
    }
    None
}

fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// An operator used as a key: after `{`, `,` or at the start of a break-out, before a colon.
fn object(bytes: &[u8]) -> Option<Finding> {
    let mut from = 0;
    while let Some(ahead) = memchr::memchr(b'$', bytes.get(from..)?) {
        let at = from + ahead;
        let mut cursor = Cursor::new(bytes);
        cursor.seek(at + 1);
        cursor.take_while(|byte| byte.is_ascii_alphabetic());
        let kind = operator(cursor.since(at));
        let end = cursor.at();
        let quoted = cursor.peek().is_some_and(is_quote);
        if quoted {
            cursor.skip(1);
        }
        cursor.take_while(|byte| byte.is_ascii_whitespace());
        let before = bytes.get(..at).unwrap_or_default();
        let before = if quoted { before.split_last().map_or(before, |(_, head)| head) } else { before };
        let before = before.trim_ascii_end();
        let key = cursor.peek() == Some(b':') && matches!(before.last(), Some(b'{' | b',') | None);
        let written = before.trim_ascii_start().starts_with(b"{") || before.len() < 64;
        let bracket = before.ends_with(b"[")
            && cursor.peek() == Some(b']')
            && match cursor.peek_at(1) {
                Some(b'=') => true,
                // A parameter's name that another parser takes from a value: `user[$ne]`.
                None => before.split_last().is_some_and(|(_, name)| is_name(name)),
                Some(_) => false,
            };
        match kind {
            Some(Operator::Code) if key => return Some(found("NOSQL-OBJECT", at, end)),
            Some(Operator::Compare) if key && written || bracket => {
                return Some(found("NOSQL-OBJECT", at, end));
            }
            _ => from = at + 1,
        }
    }
    None
}

/// A break out of a JavaScript string, or a call on the database.
fn script(bytes: &[u8]) -> Option<Finding> {
    if let Some(at) = database_call(bytes) {
        return Some(found("NOSQL-CALL", at, bytes.len()));
    }
    // A break-out stands near the start: after the quote that closes the value, or after the value itself.
    let quote = bytes.iter().take(64).position(|&byte| is_quote(byte));
    let start = quote.map_or(0, |at| at + 1);
    let mut cursor = Cursor::new(bytes);
    cursor.seek(start);
    if quote.is_none() {
        // The value stands where a number belongs.
        cursor.take_while(|byte| byte.is_ascii_digit());
    }
    cursor.take_while(|byte| byte.is_ascii_whitespace() || byte == b')' || byte == b'}');
    if cursor.eat(b"||") || cursor.eat(b"&&") {
        let at = start.saturating_sub(1);
        return compares(&mut cursor).then(|| found("NOSQL-SCRIPT", at, cursor.at()));
    }
    if quote.is_some() && cursor.eat(b";") {
        cursor.take_while(|byte| byte.is_ascii_whitespace());
        let returns = cursor.eat(b"return") && cursor.peek().is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let runs = [&b"sleep("[..], b"while(", b"while (", b"for(", b"do{", b"var "];
        let mut ahead = cursor;
        let timed =
            !ahead.take_while(|byte| byte.is_ascii_alphanumeric()).is_empty() && ahead.eat(b"=new Date(");
        if returns || timed || runs.iter().any(|word| cursor.eat(word)) {
            return Some(found("NOSQL-SCRIPT", start.saturating_sub(1), cursor.at()));
        }
    }
    None
}

/// `this.x`, or a comparison that only JavaScript writes: `'a'=='a`, `1===1`, `true//`.
fn compares(cursor: &mut Cursor<'_>) -> bool {
    cursor.take_while(|byte| byte.is_ascii_whitespace() || byte == b'(' || byte == b'!');
    if cursor.eat(b"this.") || cursor.eat(b"this[") {
        return true;
    }
    if !operand(cursor) {
        return false;
    }
    cursor.take_while(|byte| byte.is_ascii_whitespace());
    let equal = cursor.eat(b"===") || cursor.eat(b"==") || cursor.eat(b"!==");
    cursor.take_while(|byte| byte.is_ascii_whitespace());
    equal && operand(cursor)
}

/// A string, number or word; a string may be left open by the query that it will stand in.
fn operand(cursor: &mut Cursor<'_>) -> bool {
    match cursor.peek() {
        Some(quote) if is_quote(quote) => {
            cursor.skip(1);
            cursor.take_while(|byte| byte != quote);
            cursor.skip(1);
            true
        }
        _ => {
            !cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.').is_empty()
        }
    }
}

/// `db.users.find(` and its kin.
fn database_call(bytes: &[u8]) -> Option<usize> {
    const METHODS: [&[u8]; 16] = [
        b"find",
        b"findone",
        b"insert",
        b"insertone",
        b"insertmany",
        b"update",
        b"updateone",
        b"updatemany",
        b"remove",
        b"deleteone",
        b"deletemany",
        b"drop",
        b"mapreduce",
        b"aggregate",
        b"getcollectionnames",
        b"dropdatabase",
    ];
    let mut from = 0;
    while let Some(ahead) = crate::scan::find(bytes.get(from..)?, b"db.") {
        let at = from + ahead;
        from = at + 3;
        let joined = at.checked_sub(1).and_then(|before| bytes.get(before));
        if joined.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_.-/".contains(byte)) {
            continue;
        }
        let mut cursor = Cursor::new(bytes);
        cursor.seek(from);
        let path = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
        let method = path.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
        let known = METHODS.iter().any(|known| known.eq_ignore_ascii_case(method));
        if known && cursor.peek() == Some(b'(') {
            return Some(at);
        }
    }
    None
}

fn is_quote(byte: u8) -> bool {
    byte == b'\'' || byte == b'"'
}
