//! The lexer: MySQL, PostgreSQL, SQL Server, Oracle and SQLite at once.
//!
//! Where dialects differ the reading that lets an attack work is taken: `#` and `--` start a comment wherever they
//! stand, `/*!` does not, control bytes and a lone `0xA0` are white space, a number ends where a keyword begins.

use crate::detectors::sqli::token::{Ending, Kind, Token};
use crate::detectors::sqli::words::{self, Word};
use crate::scan::Cursor;

/// How a backslash in a string is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backslash {
    /// It escapes what follows: MySQL.
    Escapes,
    /// It is a backslash: the standard.
    Itself,
}

/// A lexer over one value; copying it is how the grammar looks ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    cursor: Cursor<'a>,
    backslash: Backslash,
    /// How the stream ended, once [`Kind::End`] was handed out.
    pub(super) ending: Ending,
    /// Where the comment or open string at the end begins.
    pub(super) ending_at: usize,
    /// A comment stood between tokens.
    pub(super) comments: bool,
    /// A comment that MySQL runs (`/*!50000 ... */`) was entered.
    pub(super) version_comment: bool,
    /// A quote behind a backslash was met in a string, so the other reading of it differs.
    pub(super) escaped_quote: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize, backslash: Backslash) -> Self {
        let mut cursor = Cursor::new(bytes);
        cursor.seek(at);
        Self {
            cursor,
            backslash,
            ending: Ending::Plain,
            ending_at: bytes.len(),
            comments: false,
            version_comment: false,
            escaped_quote: false,
        }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        if !self.skip_blank() {
            return Token { kind: Kind::End, start: self.cursor.at(), end: self.cursor.at() };
        }
        let start = self.cursor.at();
        let mut kind = self.token();
        if self.cursor.at() == start {
            // Whatever a dialect makes of it, reading goes on.
            self.cursor.skip(1);
            kind = Kind::Other;
        }
        Token { kind, start, end: self.cursor.at() }
    }

    /// The next token, which stays.
    pub(super) fn peek(&self) -> Token {
        let mut ahead = *self;
        ahead.next()
    }

    /// The next byte, white space included.
    pub(super) fn byte(&self) -> Option<u8> {
        self.cursor.peek()
    }

    /// The bytes of `token`.
    pub(super) fn text(&self, token: Token) -> &'a [u8] {
        let mut cursor = self.cursor;
        cursor.seek(token.end);
        cursor.since(token.start)
    }

    /// Skips white space and comments; false at the end.
    fn skip_blank(&mut self) -> bool {
        while let Some(byte) = self.cursor.peek() {
            match (byte, self.cursor.peek_at(1)) {
                (0..=b' ', _) => self.cursor.skip(1),
                (0xa0, _) if self.cursor.before().is_none_or(|b| b < 0x80 || b == 0xa0) => {
                    self.cursor.skip(1);
                }
                (0xc2, Some(0xa0)) => self.cursor.skip(2),
                (b'-', Some(b'-')) => self.line_comment(2),
                (b'#', Some(b'>' | b'=')) => return true,
                (b'#', _) => self.line_comment(1),
                (b'/', Some(b'*')) => self.block_comment(),
                (b'*', Some(b'/')) if self.version_comment => self.cursor.skip(2),
                _ => return true,
            }
        }
        false
    }

    fn line_comment(&mut self, mark: usize) {
        let start = self.cursor.at();
        self.cursor.skip(mark);
        self.cursor.take_while(|byte| byte != b'\n' && byte != b'\r');
        if self.cursor.is_empty() {
            self.ending = Ending::Comment;
            self.ending_at = start;
        } else {
            self.comments = true;
        }
    }

    fn block_comment(&mut self) {
        let start = self.cursor.at();
        self.cursor.skip(2);
        if matches!(self.cursor.peek(), Some(b'!')) {
            self.cursor.skip(1);
            self.cursor.take_while(|byte| byte.is_ascii_digit());
            self.version_comment = true;
            return;
        }
        self.comments = true;
        match memchr::memmem::find(self.cursor.rest(), b"*/") {
            Some(length) => self.cursor.skip(length + 2),
            None => {
                self.cursor.skip(usize::MAX);
                self.ending = Ending::Comment;
                self.ending_at = start;
            }
        }
    }

    fn token(&mut self) -> Kind {
        let Some(byte) = self.cursor.peek() else { return Kind::End };
        match byte {
            b'0'..=b'9' => self.number(),
            b'.' if matches!(self.cursor.peek_at(1), Some(b'0'..=b'9')) => self.number(),
            b'\'' | b'"' => self.string(byte),
            b'`' => self.quoted_name(b'`'),
            b'[' if self.bracketed() => self.quoted_name(b']'),
            b'$' => self.dollar(),
            b'@' => self.variable(),
            b'?' => {
                self.cursor.skip(1);
                self.cursor.take_while(|byte| matches!(byte, b'|' | b'&'));
                Kind::Variable
            }
            byte if starts_name(byte) => self.name(),
            _ => self.operator(byte),
        }
    }

    fn operator(&mut self, byte: u8) -> Kind {
        self.cursor.skip(1);
        let mut then = |bytes: &[u8]| {
            let next = self.cursor.peek().filter(|next| bytes.contains(next));
            self.cursor.skip(usize::from(next.is_some()));
            next
        };
        match byte {
            b'(' => Kind::Open,
            b')' => Kind::Close,
            b'{' => Kind::OpenBrace,
            b'}' => Kind::CloseBrace,
            b'[' => Kind::OpenBracket,
            b']' => Kind::CloseBracket,
            b',' => Kind::Comma,
            b';' => {
                if self.cursor.peek() == Some(0) {
                    // Jet and others stop reading at a NUL.
                    self.ending = Ending::Comment;
                    self.ending_at = self.cursor.at();
                    self.cursor.skip(usize::MAX);
                }
                Kind::Semicolon
            }
            b'.' => Kind::Dot,
            b'*' => Kind::Star,
            b'+' => Kind::Sign,
            b'-' => match then(b">") {
                Some(_) => {
                    then(b">");
                    Kind::Arithmetic
                }
                None => Kind::Sign,
            },
            b'=' => {
                then(b"=");
                Kind::Compare
            }
            b'<' => match then(b"=><@") {
                Some(b'<') => Kind::Arithmetic,
                Some(b'=') => {
                    then(b">");
                    Kind::Compare
                }
                _ => Kind::Compare,
            },
            b'>' => match then(b"=>") {
                Some(b'>') => Kind::Arithmetic,
                _ => Kind::Compare,
            },
            b'!' => match then(b"=<>~") {
                Some(b'~') => {
                    then(b"*");
                    Kind::Compare
                }
                Some(_) => Kind::Compare,
                None => Kind::Unary,
            },
            b'~' => Kind::Unary,
            b'^' => match then(b"=") {
                Some(_) => Kind::Compare,
                None => Kind::Arithmetic,
            },
            b'&' => match then(b"&") {
                Some(_) => Kind::Logic,
                None => Kind::Arithmetic,
            },
            b'|' => match then(b"|") {
                Some(_) => Kind::Logic,
                None => Kind::Arithmetic,
            },
            b'#' => {
                then(b">=");
                then(b">");
                Kind::Arithmetic
            }
            b'/' | b'%' => Kind::Arithmetic,
            b':' => match then(b":=") {
                Some(b':') => Kind::Cast,
                Some(_) => Kind::Assign,
                None => Kind::Other,
            },
            _ => Kind::Other,
        }
    }

    /// `12`, `1.5`, `.5`, `1e9`, `0x1F`, `0b01`, and numbers with a keyword right behind them (`1or`, `1.e0union`).
    fn number(&mut self) -> Kind {
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
    fn string(&mut self, quote: u8) -> Kind {
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
    fn quoted_name(&mut self, close: u8) -> Kind {
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
    fn bracketed(&self) -> bool {
        let mut ahead = self.cursor;
        ahead.skip(1);
        let name = ahead.take_while(|byte| continues_name(byte) || byte == b' ');
        name.first().copied().is_some_and(starts_name) && ahead.peek() == Some(b']')
    }

    /// `$$text$$`, `$tag$text$tag$`, `$1`.
    fn dollar(&mut self) -> Kind {
        let mut ahead = self.cursor;
        ahead.skip(1);
        let tag = ahead.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if ahead.eat(b"$") {
            let open = ahead.since(self.cursor.at());
            return match memchr::memmem::find(ahead.rest(), open) {
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

    /// `@x`, `@@global.x`, `` @`x` ``, `@'x'`, `@`.
    fn variable(&mut self) -> Kind {
        self.cursor.skip(1);
        if self.cursor.eat(b">") {
            return Kind::Compare;
        }
        self.cursor.eat(b"@");
        match self.cursor.peek() {
            Some(quote @ (b'\'' | b'"')) => {
                self.string(quote);
            }
            Some(b'`') => {
                self.quoted_name(b'`');
            }
            _ => {
                self.cursor.take_while(|byte| continues_name(byte) || matches!(byte, b'.' | b'#'));
            }
        }
        Kind::Variable
    }

    fn name(&mut self) -> Kind {
        let start = self.cursor.at();
        let name = take_name(&mut self.cursor);
        if let Some(kind) = self.prefixed(name) {
            return kind;
        }
        if matches!(name, b"u" | b"U")
            && self.cursor.peek() == Some(b'&')
            && self.cursor.peek_at(1) == Some(b'\'')
        {
            self.cursor.skip(1);
            return self.string(b'\'');
        }
        let word = words::class(name);
        let dots = self.cursor.peek() == Some(b'.') && !keeps_apart(word);
        if word == Word::Plain && !dots {
            let technical = name.iter().any(|byte| !byte.is_ascii_alphabetic() && *byte < 0x80);
            return Kind::Name(if technical { Word::Technical } else { Word::Plain });
        }
        if dots { self.dotted(word, start) } else { Kind::Name(word) }
    }

    /// Takes the further parts of a dotted name that starts at `begin` with a part of the class `first`.
    fn dotted(&mut self, first: Word, begin: usize) -> Kind {
        let mut class = first;
        let mut parts = 1;
        while self.cursor.peek() == Some(b'.') && parts < MAX_PARTS {
            let mut ahead = self.cursor;
            ahead.skip(1);
            ahead.eat(b".");
            match ahead.peek() {
                Some(byte) if starts_name(byte) => {
                    let part = take_name(&mut ahead);
                    let last = words::class(part);
                    let chain = words::class(ahead.since(begin));
                    for found in [chain, last] {
                        if matches!(found, Word::Danger | Word::Catalogue) && class != Word::Danger {
                            class = found;
                        }
                    }
                }
                Some(quote @ (b'`' | b'"')) => {
                    ahead.skip(1);
                    ahead.take_while(|byte| byte != quote);
                    ahead.skip(1);
                }
                _ => break,
            }
            self.cursor = ahead;
            parts += 1;
        }
        if parts > 1 && !matches!(class, Word::Danger | Word::Catalogue) {
            class = Word::Technical;
        }
        Kind::Name(class)
    }

    /// `n'text'`, `x'1f'`, `_utf8'text'`, `q'[text]'`: a string with a mark before it.
    fn prefixed(&mut self, mark: &[u8]) -> Option<Kind> {
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
                let length = memchr::memmem::find(near, &[close, b'\''])?;
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

/// The parts of a dotted name that are read as one: server, database, schema, table, column.
const MAX_PARTS: usize = 5;

/// Takes a name; a `0xA0` that is no part of a longer UTF-8 sequence ends it, as MySQL reads it as a space.
fn take_name<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    let start = cursor.at();
    while let Some(byte) = cursor.peek() {
        let blank = match byte {
            0xa0 => cursor.before().is_none_or(|before| before < 0x80),
            0xc2 => cursor.peek_at(1) == Some(0xa0),
            _ => false,
        };
        if blank || !continues_name(byte) {
            break;
        }
        cursor.skip(1);
    }
    cursor.since(start)
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

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

/// Keywords that a dot behind them does not make part of a name: `select.1`.
fn keeps_apart(word: Word) -> bool {
    matches!(
        word,
        Word::Select | Word::Union | Word::Logic | Word::Distinct | Word::All | Word::Where | Word::By
    )
}
