//! The lexer that C-like languages share: names joined by `.`, `::`, `->` or `\`, and what follows them.

use crate::scan::Cursor;

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

/// Walks the chains of a value.
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
            let gap = self.cursor.take_while(|byte| !is_name_start(byte));
            if let Some(&byte) = gap.iter().rfind(|byte| !byte.is_ascii_whitespace()) {
                self.last = byte;
            }
            self.started |= gap.iter().any(u8::is_ascii_alphanumeric);
            let start = self.cursor.at();
            self.cursor.peek()?;
            // A name does not begin within a number or a word of another script.
            let glued = gap.last().is_some_and(|byte| byte.is_ascii_digit() || *byte >= 0x80);
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
            return (None, apart);
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
    byte.is_ascii_alphanumeric() || byte == b'_'
}

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
        assert_eq!(chains("f x")[0].call, None);
    }

    #[test]
    fn what_stands_before_is_told_apart() {
        assert_eq!(chains("');f(1)")[0].before, Before::Start);
        assert_eq!(chains("x;f(1)")[1].before, Before::Mark);
        assert_eq!(chains("the f(1)")[1].before, Before::Word);
    }
}
