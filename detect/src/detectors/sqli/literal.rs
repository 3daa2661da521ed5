//! Numbers, strings and quoted names in the notations of each dialect.

use crate::detectors::sqli::lex::{Backslash, Lexer, continues_name, starts_name, take_name};
use crate::detectors::sqli::token::{Ending, Kind};
use crate::detectors::sqli::words::{self, Word};
use crate::scan;

impl Lexer<'_> {
    /// `12`, `1.5`, `.5`, `1e9`, `0x1F`, `0b01`, and numbers with a keyword right behind them (`1or`, `1.e0union`).
    pub(super) fn number(&mut self) -> Kind {
        if matches!(self.cursor.peek_at(1), Some(b'x' | b'X' | b'b' | b'B'))
            && self.cursor.peek() == Some(b'0')
        {
            let hex = matches!(self.cursor.peek_at(1), Some(b'x' | b'X'));
            let mut ahead = self.cursor;
            ahead.skip(2);
            let digits = ahead
                .take_while(|byte| if hex { byte.is_ascii_hexdigit() } else { matches!(byte, b'0' | b'1') });
            if !digits.is_empty() && !ahead.peek().is_some_and(continues_name) {
                self.cursor = ahead;
                return Kind::Number;
            }
        }
        let start = self.cursor;
        self.cursor.take_while(|byte| byte.is_ascii_digit());
        let point = self.cursor.eat(b".");
        self.cursor.take_while(|byte| byte.is_ascii_digit());
        if matches!(self.cursor.peek(), Some(b'e' | b'E')) {
            let mut ahead = self.cursor;
            ahead.skip(1);
            if matches!(ahead.peek(), Some(b'+' | b'-')) && matches!(ahead.peek_at(1), Some(b'0'..=b'9')) {
                ahead.skip(1);
            }
            let digits = ahead.take_while(|byte| byte.is_ascii_digit());
            if !digits.is_empty() || (point && !ahead.peek().is_some_and(continues_name)) {
                self.cursor = ahead;
            }
        }
        if !self.cursor.peek().is_some_and(continues_name) {
            return Kind::Number;
        }
        let mut ahead = self.cursor;
        if matches!(ahead.peek(), Some(b'f' | b'F' | b'd' | b'D'))
            && ahead.peek_at(1).is_some_and(continues_name)
        {
            // Oracle's float literals: `1f`, `1d`.
            let mut behind = ahead;
            behind.skip(1);
            if ends_number(words::class(take_name(&mut behind))) {
                self.cursor.skip(1);
                return Kind::Number;
            }
        }
        let word = take_name(&mut ahead);
        if word.is_empty() || ends_number(words::class(word)) {
            return Kind::Number;
        }
        self.cursor = start;
        // A point begins a number and no name.
        if self.cursor.eat(b".") {
            return Kind::Dot;
        }
        take_name(&mut self.cursor);
        Kind::Name(Word::Technical)
    }

    /// A string in `quote`, which stands here. Doubled quotes are content.
    pub(super) fn string(&mut self, quote: u8) -> Kind {
        let start = self.cursor.at();
        self.cursor.skip(1);
        loop {
            match memchr::memchr2(quote, b'\\', self.cursor.rest()) {
                None => {
                    self.cursor.skip(usize::MAX);
                    self.ending = Ending::Text(quote);
                    self.ending_at = start;
                    return Kind::Text;
                }
                Some(length) => self.cursor.skip(length),
            }
            match (self.cursor.bump(), self.cursor.peek()) {
                (Some(b'\\'), next) => {
                    self.escaped_quote |= next == Some(quote);
                    if self.backslash == Backslash::Escapes {
                        self.cursor.skip(1);
                    }
                }
                (_, Some(next)) if next == quote => self.cursor.skip(1),
                _ => return Kind::Text,
            }
        }
    }

    /// A name in back-ticks or brackets.
    pub(super) fn quoted_name(&mut self, close: u8) -> Kind {
        let start = self.cursor.at();
        self.cursor.skip(1);
        loop {
            let Some(length) = memchr::memchr(close, self.cursor.rest()) else {
                self.cursor.skip(usize::MAX);
                self.ending = Ending::Text(close);
                self.ending_at = start;
                break;
            };
            self.cursor.skip(length + 1);
            // Doubled, it is part of the name.
            if self.cursor.peek() != Some(close) || length == 0 {
                break;
            }
            self.cursor.skip(1);
        }
        self.dotted(Word::Quoted, start)
    }

    /// Whether `[` opens a name as in SQL Server: `[users]`, `[first name]`.
    pub(super) fn bracketed(&self) -> bool {
        let mut ahead = self.cursor;
        ahead.skip(1);
        let name = ahead.take_while(|byte| continues_name(byte) || byte == b' ');
        name.first().copied().is_some_and(starts_name) && ahead.peek() == Some(b']')
    }

    /// `$$text$$`, `$tag$text$tag$`, `$1`.
    pub(super) fn dollar(&mut self) -> Kind {
        let mut ahead = self.cursor;
        ahead.skip(1);
        let tag = ahead.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if ahead.eat(b"$") {
            let open = ahead.since(self.cursor.at());
            return match scan::find(ahead.rest(), open) {
                Some(length) => {
                    self.cursor = ahead;
                    self.cursor.skip(length + open.len());
                    Kind::Text
                }
                None => {
                    self.cursor.skip(1);
                    Kind::Other
                }
            };
        }
        self.cursor.skip(1);
        if !tag.is_empty() && tag.iter().all(u8::is_ascii_digit) {
            self.cursor.skip(tag.len());
            return Kind::Variable;
        }
        Kind::Other
    }

    /// `n'text'`, `x'1f'`, `_utf8'text'`, `q'[text]'`: a string with a mark before it.
    pub(super) fn prefixed(&mut self, mark: &[u8]) -> Option<Kind> {
        if let [b'_', _, ..] = mark {
            // A space may stand in `_utf8 'text'`.
            let mut ahead = self.cursor;
            ahead.take_while(|byte| byte.is_ascii_whitespace());
            if ahead.peek() == Some(b'\'') {
                self.cursor = ahead;
            }
        }
        let quote = self.cursor.peek().filter(|byte| matches!(byte, b'\'' | b'"'))?;
        match mark {
            [b'n' | b'N' | b'x' | b'X' | b'b' | b'B' | b'e' | b'E'] | [b'_', _, ..] => {
                Some(self.string(quote))
            }
            [b'q' | b'Q'] | [b'n' | b'N', b'q' | b'Q'] if quote == b'\'' => {
                let open = self.cursor.peek_at(1)?;
                let close = match open {
                    b'[' => b']',
                    b'(' => b')',
                    b'{' => b'}',
                    b'<' => b'>',
                    other => other,
                };
                let mut ahead = self.cursor;
                ahead.skip(2);
                let near = ahead.rest();
                let near = near.get(..ORACLE_QUOTE).unwrap_or(near);
                let length = scan::find(near, &[close, b'\''])?;
                ahead.skip(length + 2);
                self.cursor = ahead;
                Some(Kind::Text)
            }
            _ => None,
        }
    }
}

/// The longest `q'[...]'` that is read as one, so that many unfinished ones cost no more than their length.
const ORACLE_QUOTE: usize = 2048;

/// Words before which a number ends without a space in between.
fn ends_number(word: Word) -> bool {
    matches!(
        word,
        Word::Logic
            | Word::Arithmetic
            | Word::Union
            | Word::Like
            | Word::Between
            | Word::In
            | Word::Order
            | Word::Group
            | Word::Having
            | Word::Where
            | Word::Limit
            | Word::From
            | Word::Into
            | Word::Procedure
            | Word::Select
            | Word::WaitFor
    )
}
