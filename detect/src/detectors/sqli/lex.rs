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
    pub(super) cursor: Cursor<'a>,
    pub(super) backslash: Backslash,
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
                (b'0'..=b'9', _) => match self.void_number() {
                    Some(length) => {
                        self.cursor.skip(length);
                        self.comments = true;
                    }
                    None => return true,
                },
                _ => return true,
            }
        }
        false
    }

    /// The length of a number that MySQL drops before punctuation, since its exponent is missing: `ascii 1.e(x 1.e)`.
    fn void_number(&self) -> Option<usize> {
        let mut ahead = self.cursor;
        let start = ahead.at();
        ahead.take_while(|byte| byte.is_ascii_digit());
        let exponent = ahead.eat(b".") && ahead.eat_ignore_case(b"e");
        let punctuation = matches!(ahead.peek(), Some(b'(' | b')' | b',' | b'.' | b'*' | b'='));
        (exponent && punctuation).then(|| ahead.at() - start)
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
        match crate::scan::find(self.cursor.rest(), b"*/") {
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
            // MySQL's other way of writing null, which needs no blank behind it.
            b'\\' if self.cursor.peek_at(1) == Some(b'N') => {
                self.cursor.skip(2);
                Kind::Number
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
    pub(super) fn dotted(&mut self, first: Word, begin: usize) -> Kind {
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
}

/// The parts of a dotted name that are read as one: server, database, schema, table, column.
const MAX_PARTS: usize = 5;

/// Takes a name; a `0xA0` that is no part of a longer UTF-8 sequence ends it, as MySQL reads it as a space.
pub(super) fn take_name<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
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

pub(super) fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

pub(super) fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Keywords that a dot behind them does not make part of a name: `select.1`.
fn keeps_apart(word: Word) -> bool {
    matches!(
        word,
        Word::Select | Word::Union | Word::Logic | Word::Distinct | Word::All | Word::Where | Word::By
    )
}
