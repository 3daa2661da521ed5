//! The lexer that C-like languages share: names joined by `.`, `::`, `->` or `\`, and what follows them.

use crate::features::Features;
use crate::scan::{Cursor, find};
use crate::value::Value;

/// Names joined to a chain, as in `java.lang.Runtime`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    /// The whole chain as written.
    pub(crate) text: &'a [u8],
    /// Its last name.
    pub(crate) last: &'a [u8],
    /// Where it starts.
    pub(crate) start: usize,
    /// Behind it.
    pub(crate) end: usize,
    /// What stands before it.
    pub(crate) before: Before,
    /// Whether it is called, and with what.
    pub(crate) call: Option<Argument>,
    /// Whether white space, and no comment, stands before the parenthesis.
    pub(crate) apart: bool,
    /// Whether `[` follows.
    pub(crate) indexed: bool,
}

/// What stands before a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// The value's start, or only punctuation.
    Start,
    /// Punctuation of code.
    Mark,
    /// A word: prose, or a keyword.
    Word,
}

/// The first argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// None: `f()`.
    Nothing,
    /// A string, a variable, a back-tick, a number or a further call.
    Code,
    /// Anything else.
    Other,
}

/// Walks the chains of a value that are more than words: joined, called, indexed or with an underscore.
#[derive(Debug)]
pub(crate) struct Chains<'a> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
    /// Whether a letter or digit has been seen.
    started: bool,
    /// The last byte that is no white space.
    last: u8,
}

impl<'a> Chains<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, cursor: Cursor::new(bytes), started: false, last: 0 }
    }
}

impl<'a> Iterator for Chains<'a> {
    type Item = Chain<'a>;

    fn next(&mut self) -> Option<Chain<'a>> {
        loop {
            self.skip_words();
            let start = self.cursor.at();
            self.cursor.peek()?;
            // A name does not begin within a number or a word of another script.
            let glued =
                self.cursor.before().is_some_and(|byte| CLASSES[usize::from(byte)] & (NAME | HIGH) != 0);
            let last = self.names();
            let end = self.cursor.at();
            let before = match self.last {
                _ if !self.started => Before::Start,
                byte if byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'_' => Before::Word,
                _ => Before::Mark,
            };
            self.started = true;
            self.last = b'a';
            if glued {
                continue;
            }
            let text = self.cursor.since(start);
            let (call, apart) = self.call();
            let indexed = self.cursor.peek() == Some(b'[');
            return Some(Chain { text, last, start, end, before, call, apart, indexed });
        }
    }
}

impl<'a> Chains<'a> {
    /// Takes what stands before the next name that may be more than a word, which most names are not.
    fn skip_words(&mut self) {
        let class = |byte: u8| CLASSES[usize::from(byte)];
        let mut rest = self.cursor.rest();
        loop {
            while let [byte, tail @ ..] = rest
                && class(*byte) & START == 0
            {
                if class(*byte) & BLANK == 0 {
                    self.last = *byte;
                }
                self.started |= class(*byte) & NAME != 0;
                rest = tail;
            }
            let name = rest;
            let mut classes = 0;
            while let [byte, tail @ ..] = rest
                && class(*byte) & NAME != 0
            {
                classes |= class(*byte);
                rest = tail;
            }
            let plain = match rest {
                [] => true,
                [b' ', next, ..] if class(*next) & NAME != 0 => true,
                [next, ..] => class(*next) & AFTER == 0,
            };
            if name.is_empty() || !plain || classes & UNDERSCORE != 0 {
                let here = self.cursor.at() + self.cursor.rest().len() - name.len();
                self.cursor.seek(here);
                return;
            }
            (self.started, self.last) = (true, b'a');
        }
    }

    /// Takes names as long as an operator joins them; returns the last.
    fn names(&mut self) -> &'a [u8] {
        loop {
            let name = self.cursor.take_while(is_name);
            let joint = match self.cursor.rest() {
                [b'.', next, ..] if is_name_start(*next) => 1,
                [b'?', b'.', next, ..] | [b':', b':', next, ..] | [b'-', b'>', next, ..]
                    if is_name_start(*next) =>
                {
                    2
                }
                [b'\\', next, ..] if is_name_start(*next) && name.len() > 1 => 1,
                _ => return name,
            };
            self.cursor.skip(joint);
        }
    }

    /// Reads the parenthesis of a call, white space and comments before it allowed; does not move.
    fn call(&self) -> (Option<Argument>, bool) {
        let open = skip_blank(self.bytes, self.cursor.at());
        let blank = self.bytes.get(self.cursor.at()..open).unwrap_or_default();
        let apart = !blank.is_empty() && blank.iter().all(u8::is_ascii_whitespace);
        if self.bytes.get(open) != Some(&b'(') {
            return (None, false);
        }
        let first = skip_blank(self.bytes, open + 1);
        let rest = self.bytes.get(first..).unwrap_or_default();
        let argument = match rest.first() {
            None => Argument::Other,
            Some(b')') => Argument::Nothing,
            Some(b'"' | b'\'' | b'$' | b'`' | b'@' | b'[' | b'(' | b'0'..=b'9') => Argument::Code,
            Some(_) => {
                let name = rest.iter().take_while(|byte| is_name(**byte) || **byte == b'.').count();
                match rest.get(name) {
                    Some(b'(' | b'[' | b'{') if name > 0 => Argument::Code,
                    _ => Argument::Other,
                }
            }
        };
        (Some(argument), apart)
    }
}

/// Whether the value has anything without which no chain of it can fire; in a post that is more.
pub(crate) fn may_fire(value: &Value<'_>, post: bool) -> bool {
    let bytes = value.bytes;
    let (call, underscore) = (value.features.any(Features::PAREN), value.features.any(Features::UNDERSCORE));
    let marked = if post {
        underscore && find(bytes, b"__").is_some() || call && may_require(bytes)
    } else {
        underscore || call
    };
    marked || may_join(bytes)
}

/// Whether an operator that joins names stands before a name anywhere.
fn may_join(bytes: &[u8]) -> bool {
    let joins = |at: usize| match bytes.get(at..) {
        Some([b'.' | b'\\', next, ..]) => is_name_start(*next),
        Some([b':', b':', next, ..]) => is_name_start(*next),
        _ => false,
    };
    let arrow = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        before == Some(&b'-') && bytes.get(at + 1).is_some_and(|&next| is_name_start(next))
    };
    memchr::memchr3_iter(b'.', b':', b'\\', bytes).any(joins) || memchr::memchr_iter(b'>', bytes).any(arrow)
}

/// Whether a function that loads a module is called with a string.
fn may_require(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'(', bytes).any(|at| {
        let head = bytes.get(..at).unwrap_or_default();
        [&b"require"[..], b"import", b"getBuiltinModule"].iter().any(|name| head.ends_with(name))
    })
}

/// Skips white space and comments, at most a line of each.
pub(crate) fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..16 {
        let rest = bytes.get(at..).unwrap_or_default();
        let rest = rest.get(..256).unwrap_or(rest);
        let step = match rest {
            [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] => {
                rest.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count()
            }
            [b'/', b'*', tail @ ..] => tail.windows(2).position(|pair| pair == b"*/").map_or(0, |at| at + 4),
            [b'/', b'/', ..] | [b'#', ..] => {
                rest.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1)
            }
            _ => 0,
        };
        if step == 0 {
            break;
        }
        at += step;
    }
    at
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & NAME != 0
}

/// What a byte is to the lexer, a bit each.
const START: u8 = 1;
const NAME: u8 = 2;
const UNDERSCORE: u8 = 4;
const BLANK: u8 = 8;
/// Behind a name, what may join it, call it or index it.
const AFTER: u8 = 16;
const HIGH: u8 = 32;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => START | NAME,
            b'_' => START | NAME | UNDERSCORE,
            b'0'..=b'9' => NAME,
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => BLANK | AFTER,
            0x0b | b'.' | b'?' | b':' | b'-' | b'\\' | b'(' | b'[' | b'/' | b'#' => AFTER,
            0x80..=u8::MAX => HIGH,
            _ => 0,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(text: &str) -> Vec<Chain<'_>> {
        Chains::new(text.as_bytes()).collect()
    }

    #[test]
    fn joined_names_are_one_chain() {
        for text in ["a.b.c", "a::b", "a->b_2", "Foo\\bar", "a?.b"] {
            let found = chains(text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].text, text.as_bytes());
        }
    }

    #[test]
    fn calls_are_seen_behind_blanks_and_comments() {
        for text in ["f('x')", "f  (\"x\")", "f /* c */ ($x)", "f # c\n (`x`)", "f(g(1))"] {
            assert_eq!(chains(text)[0].call, Some(Argument::Code), "{text}");
        }
        assert_eq!(chains("f()")[0].call, Some(Argument::Nothing));
        assert_eq!(chains("f (see below)")[0].call, Some(Argument::Other));
        assert_eq!(chains("f_1 x")[0].call, None);
        assert!(chains("f x, (y) z").is_empty());
    }

    #[test]
    fn what_stands_before_is_told_apart() {
        assert_eq!(chains("');f(1)")[0].before, Before::Start);
        assert_eq!(chains("x;f(1)")[0].before, Before::Mark);
        assert_eq!(chains("the f(1)")[0].before, Before::Word);
    }
}
