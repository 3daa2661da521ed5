//! A lenient JSON walker: keys and strings as they stream by, no tree.
//!
//! It reads what real parsers accept and strict ones refuse (comments, single quotes, bare keys, trailing commas,
//! several documents in a row), because the application behind may be such a parser. What it cannot read it reports
//! with the place, so that the caller can hand on the rest as text.

use std::borrow::Cow;

use memchr::memchr;

use crate::scan::{Cursor, find_either, hex_digit};
use crate::value::Part;

/// A key or a string of the document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    /// [`Part::Name`] for keys, [`Part::Value`] for strings.
    pub(crate) part: Part,
    /// The key that the string stands under; the nearest one for elements of arrays.
    pub(crate) name: &'t [u8],
    /// The text without its escapes.
    pub(crate) text: &'t [u8],
}

/// How reading a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was read and is JSON by the letter.
    Strict,
    /// Everything was read, some of it only by lenience.
    Sloppy,
    /// The input ended inside the document.
    Cut,
    /// What stands at this offset is not JSON.
    Broken(usize),
    /// The nesting went deeper than the budget at this offset.
    Spent(usize),
}

/// Reads `bytes` and hands each key and string to `visit`.
pub(crate) fn walk<'a>(bytes: &'a [u8], depth: usize, visit: &mut dyn FnMut(Token<'_>)) -> End {
    let mut cursor = Cursor::new(bytes);
    cursor.eat(b"\xef\xbb\xbf");
    Walker { cursor, depth, stack: Vec::new(), sloppy: false }.run(visit)
}

/// Whether `bytes` is a whole JSON object or array by the letter.
pub(crate) fn is_document(bytes: &[u8], depth: usize) -> bool {
    opens_document(bytes) && walk(bytes, depth, &mut |_| {}) == End::Strict
}

/// Whether `bytes` starts and ends the way an object or array does.
pub(crate) fn opens_document(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    matches!((bytes.first(), bytes.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// A value; in an array also its end.
    Value,
    /// A key or the object's end.
    Key,
    Colon,
    /// A comma or the end of the container.
    Next,
}

struct Frame<'a> {
    is_object: bool,
    /// The key read last in this container; an array, and an object before its first key, have the one around them.
    key: Option<Cow<'a, [u8]>>,
}

struct Walker<'a> {
    cursor: Cursor<'a>,
    depth: usize,
    stack: Vec<Frame<'a>>,
    sloppy: bool,
}

impl<'a> Walker<'a> {
    fn run(mut self, visit: &mut dyn FnMut(Token<'_>)) -> End {
        let mut expect = Expect::Value;
        let mut documents = 0_usize;
        loop {
            self.blank();
            let at = self.cursor.at();
            let Some(byte) = self.cursor.peek() else {
                return match (self.stack.is_empty() && documents > 0, self.sloppy) {
                    (false, _) => End::Cut,
                    (true, false) => End::Strict,
                    (true, true) => End::Sloppy,
                };
            };
            if self.stack.is_empty() && expect == Expect::Next {
                // Another document in the same body: newline-delimited JSON.
                expect = Expect::Value;
            }
            match (expect, byte) {
                (Expect::Value | Expect::Key, b'"' | b'\'') => {
                    let (text, closed) = self.string(byte);
                    expect = self.text(expect, text, visit);
                    if !closed {
                        return End::Cut;
                    }
                    expect = self.mark(expect);
                }
                (Expect::Value, b'{' | b'[') => {
                    if self.stack.len() >= self.depth {
                        return End::Spent(at);
                    }
                    self.cursor.skip(1);
                    self.stack.push(Frame { is_object: byte == b'{', key: None });
                    expect = if byte == b'{' { Expect::Key } else { Expect::Value };
                }
                (Expect::Next | Expect::Key, b'}') | (Expect::Next | Expect::Value, b']') => {
                    if self.stack.pop().is_none_or(|frame| frame.is_object != (byte == b'}')) {
                        return End::Broken(at);
                    }
                    self.cursor.skip(1);
                    expect = self.mark(Expect::Next);
                }
                (Expect::Next, b',') | (Expect::Colon, b':') => expect = self.mark(expect),
                (Expect::Value, _) => {
                    if !self.literal() {
                        return End::Broken(at);
                    }
                    expect = self.mark(Expect::Next);
                }
                (Expect::Key, _) => {
                    let text = self.cursor.take_while(is_bare);
                    if text.is_empty() {
                        return End::Broken(at);
                    }
                    self.sloppy = true;
                    expect = self.text(expect, Cow::Borrowed(text), visit);
                }
                _ => return End::Broken(at),
            }
            if expect == Expect::Next && self.stack.is_empty() {
                documents += 1;
            }
        }
    }

    /// Takes the comma or colon that is expected, where it stands here, as it mostly does at once; says what comes next.
    #[inline(always)]
    fn mark(&mut self, expect: Expect) -> Expect {
        match (expect, self.cursor.peek(), self.stack.last()) {
            (Expect::Colon, Some(b':'), _) => {
                self.cursor.skip(1);
                Expect::Value
            }
            (Expect::Next, Some(b','), Some(frame)) => {
                let next = if frame.is_object { Expect::Key } else { Expect::Value };
                self.cursor.skip(1);
                self.blank();
                self.sloppy |= matches!(self.cursor.peek(), Some(b'}' | b']'));
                next
            }
            _ => expect,
        }
    }

    /// Hands on a key or a string, and says what comes after it.
    fn text(&mut self, expect: Expect, text: Cow<'a, [u8]>, visit: &mut dyn FnMut(Token<'_>)) -> Expect {
        if expect == Expect::Key {
            visit(Token { part: Part::Name, name: &text, text: &text });
            // The one path of two keys that reaches what neither key does.
            if &*text == b"prototype" && self.parent() == b"constructor" {
                visit(Token { part: Part::Name, name: &text, text: b"constructor.prototype" });
            }
            if let Some(frame) = self.stack.last_mut() {
                frame.key = Some(text);
            }
            return Expect::Colon;
        }
        let name = key_in_force(&self.stack);
        visit(Token { part: Part::Value, name, text: &text });
        Expect::Next
    }

    /// The key in force around the innermost container.
    fn parent(&self) -> &[u8] {
        key_in_force(self.stack.get(..self.stack.len().saturating_sub(1)).unwrap_or_default())
    }

    /// Takes a quoted string; also says whether its closing quote was there.
    #[inline(always)]
    fn string(&mut self, quote: u8) -> (Cow<'a, [u8]>, bool) {
        self.sloppy |= quote == b'\'';
        self.cursor.skip(1);
        let rest = self.cursor.rest();
        // Most strings have no escape.
        if let Some(end) = find_either(quote, b'\\', rest)
            && rest.get(end) == Some(&quote)
            && let Some(text) = rest.get(..end)
        {
            self.cursor.skip(end + 1);
            return (Cow::Borrowed(text), true);
        }
        self.escaped_string(quote)
    }

    /// The same behind the opening quote.
    #[inline(never)]
    fn escaped_string(&mut self, quote: u8) -> (Cow<'a, [u8]>, bool) {
        let start = self.cursor.at();
        let mut escaped = false;
        loop {
            match find_either(quote, b'\\', self.cursor.rest()) {
                None => {
                    self.cursor.skip(usize::MAX);
                    return (text(self.cursor.since(start), escaped), false);
                }
                Some(n) => self.cursor.skip(n),
            }
            if self.cursor.peek() == Some(b'\\') {
                escaped = true;
                self.cursor.skip(2);
                continue;
            }
            let raw = self.cursor.since(start);
            self.cursor.skip(1);
            return (text(raw, escaped), true);
        }
    }

    /// Takes a number or one of the words; false if neither stands here.
    fn literal(&mut self) -> bool {
        let word = self.cursor.take_while(is_bare);
        match word {
            b"true" | b"false" | b"null" => true,
            b"NaN" | b"Infinity" | b"-Infinity" | b"undefined" | b"True" | b"False" | b"None" => {
                self.sloppy = true;
                true
            }
            // Most numbers are this plain.
            _ if word.first().is_some_and(u8::is_ascii_digit)
                && word.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.') =>
            {
                true
            }
            _ => {
                let digits = word.iter().any(u8::is_ascii_digit);
                let number = word
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'));
                let hex = word.strip_prefix(b"0x").is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
                self.sloppy |= hex;
                digits && (number || hex)
            }
        }
    }

    /// Skips white space and comments.
    #[inline(always)]
    fn blank(&mut self) {
        // Mostly there is none.
        if self.cursor.peek().is_some_and(|byte| byte <= b' ' || byte == b'/' || byte == b'#') {
            self.skip_blank();
        }
    }

    fn skip_blank(&mut self) {
        loop {
            if matches!(self.cursor.peek(), Some(byte) if byte <= b' ') {
                self.cursor
                    .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | 0x1e));
                if self.cursor.peek().is_some_and(|byte| byte < b' ') {
                    return;
                }
            }
            let rest = self.cursor.rest();
            let length = match rest {
                [b'/', b'/', ..] | [b'#', ..] => memchr(b'\n', rest),
                [b'/', b'*', tail @ ..] => crate::scan::find(tail, b"*/").map(|n| n + 4),
                _ => return,
            };
            self.sloppy = true;
            self.cursor.skip(length.unwrap_or(rest.len()));
        }
    }
}

/// The nearest key within the innermost of these containers; as deep as they are nested at most.
fn key_in_force<'s>(stack: &'s [Frame<'_>]) -> &'s [u8] {
    stack.iter().rev().find_map(|frame| frame.key.as_deref()).unwrap_or_default()
}

fn is_bare(byte: u8) -> bool {
    BARE[usize::from(byte)]
}

/// Bytes of names, numbers and words without quotes.
const BARE: [bool; 256] = {
    let mut bare = [true; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        bare[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-' | b'+' | b'.' | b'@');
        byte += 1;
    }
    bare
};

fn text(raw: &[u8], escaped: bool) -> Cow<'_, [u8]> {
    if escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
}

/// Undoes the escapes of a JSON string; a backslash that starts none is dropped, as lenient parsers do.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut cursor = Cursor::new(raw);
    while let Some(n) = memchr(b'\\', cursor.rest()) {
        let from = cursor.at();
        cursor.skip(n);
        out.extend_from_slice(cursor.since(from));
        cursor.skip(1);
        match cursor.bump() {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'u') => match code_unit(&mut cursor) {
                Some(unit) => push_char(&mut out, pair(unit, &mut cursor)),
                None => out.extend_from_slice(b"\\u"),
            },
            Some(other) => out.push(other),
            None => {}
        }
    }
    out.extend_from_slice(cursor.rest());
    out
}

fn code_unit(cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut unit = 0;
    for n in 0..4 {
        unit = unit << 4 | u32::from(hex_digit(cursor.peek_at(n)?)?);
    }
    cursor.skip(4);
    Some(unit)
}

/// Joins a high surrogate with the low one that follows it.
fn pair(high: u32, cursor: &mut Cursor<'_>) -> u32 {
    if !(0xd800..0xdc00).contains(&high) {
        return high;
    }
    let mut ahead = *cursor;
    if ahead.eat(b"\\u")
        && let Some(low) = code_unit(&mut ahead).filter(|low| (0xdc00..0xe000).contains(low))
    {
        *cursor = ahead;
        return 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
    }
    high
}

fn push_char(out: &mut Vec<u8>, code: u32) {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
