//! A JavaScript lexer (ECMA-262 chapter 12) that needs no more memory than its position.

use std::ops::Range;

use crate::scan::Cursor;

/// What a token is, as far as the alternation of operands and operators goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An identifier or keyword.
    Word,
    /// A number, string or regular expression.
    Literal,
    /// A template without, or up to its first, substitution.
    Template,
    /// `(`, `[` or `{`.
    Open(u8),
    /// `)`, `]` or `}`.
    Close(u8),
    /// `.` or `?.`.
    Dot,
    /// `,`.
    Comma,
    /// `;`.
    Semicolon,
    /// `=` and compound assignments.
    Assign,
    /// `=>`.
    Arrow,
    /// `?` or `:`.
    Choice,
    /// An operator that also stands before an operand: `+`, `-`.
    Sign,
    /// An operator that only stands before an operand: `!`, `~`, `...`.
    Prefix,
    /// `++` or `--`.
    Step,
    /// Any other operator.
    Binary,
    /// Something that no program holds.
    Bad,
}

/// Reads tokens one by one.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    cursor: Cursor<'a>,
    /// Whether a line end stood before the last token.
    pub(super) new_line: bool,
    /// Whether a comment ran to the end of the value or line.
    pub(super) commented: bool,
}

impl<'a> Lexer<'a> {
    /// Starts at `at`.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        let mut cursor = Cursor::new(bytes);
        cursor.seek(at);
        Self { cursor, new_line: false, commented: false }
    }

    /// The next token, where `operand` says whether an operand is expected: there `/` starts a regular expression.
    pub(super) fn next(&mut self, operand: bool) -> Option<(Token, Range<usize>)> {
        self.blank();
        let from = self.cursor.at();
        let byte = self.cursor.peek()?;
        let token = match byte {
            b'0'..=b'9' => self.number(),
            b'.' if self.cursor.peek_at(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'"' | b'\'' => self.string(byte),
            b'`' => self.template(),
            b'/' if operand => self.regex(),
            _ if is_word_start(byte) => {
                self.word();
                Token::Word
            }
            _ => self.punctuator(byte),
        };
        Some((token, from..self.cursor.at()))
    }

    /// White space and comments.
    fn blank(&mut self) {
        self.new_line = false;
        loop {
            let space = self.cursor.take_while(|byte| byte <= b' ');
            self.new_line |= space.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
            let rest = self.cursor.rest();
            match rest {
                [b'/', b'*', ..] => {
                    let length = crate::scan::find(rest, b"*/").map_or(usize::MAX, |at| at + 2);
                    self.commented = length == usize::MAX;
                    self.cursor.skip(length);
                }
                [b'/', b'/', ..] | [b'<', b'!', b'-', b'-', ..] => {
                    let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(usize::MAX);
                    self.commented = true;
                    self.cursor.skip(length);
                }
                // U+2028, U+2029, U+00A0, U+FEFF.
                [0xe2, 0x80, 0xa8 | 0xa9, ..] => {
                    self.new_line = true;
                    self.cursor.skip(3);
                }
                [0xc2, 0xa0, ..] => self.cursor.skip(2),
                [0xef, 0xbb, 0xbf, ..] => self.cursor.skip(3),
                _ => return,
            }
        }
    }

    fn number(&mut self) -> Token {
        let rest = self.cursor.rest();
        if matches!(rest, [b'0', b'x' | b'X' | b'b' | b'B' | b'o' | b'O', ..]) {
            self.cursor.skip(2);
            self.cursor.take_while(|byte| byte.is_ascii_hexdigit() || byte == b'_');
        } else {
            self.cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'_');
            if self.cursor.eat(b".") {
                self.cursor.take_while(|byte| byte.is_ascii_digit() || byte == b'_');
            }
            if matches!(self.cursor.peek(), Some(b'e' | b'E')) {
                self.cursor.skip(1);
                self.cursor.take_while(|byte| matches!(byte, b'+' | b'-' | b'0'..=b'9'));
            } else {
                self.cursor.eat(b"n");
            }
        }
        // `1alert` is an error: a number ends before a letter.
        if self.cursor.peek().is_some_and(is_word_start) { Token::Bad } else { Token::Literal }
    }

    fn string(&mut self, quote: u8) -> Token {
        self.cursor.bump();
        loop {
            self.cursor.take_while(|byte| byte != quote && byte != b'\\' && byte != b'\n');
            match self.cursor.bump() {
                Some(b'\\') => {
                    self.cursor.bump();
                }
                Some(b'\n') => return Token::Bad,
                // The page's own quote follows.
                Some(_) | None => return Token::Literal,
            }
        }
    }

    fn template(&mut self) -> Token {
        self.cursor.bump();
        loop {
            self.cursor.take_while(|byte| byte != b'`' && byte != b'\\');
            match self.cursor.bump() {
                Some(b'\\') => {
                    self.cursor.bump();
                }
                Some(_) | None => return Token::Template,
            }
        }
    }

    fn regex(&mut self) -> Token {
        self.cursor.bump();
        let mut class = false;
        loop {
            self.cursor.take_while(|byte| !matches!(byte, b'/' | b'\\' | b'\n' | b'[' | b']'));
            match self.cursor.bump() {
                Some(b'\\') => {
                    self.cursor.bump();
                }
                Some(b'[') => class = true,
                Some(b']') => class = false,
                Some(b'/') if !class => {
                    self.cursor.take_while(|byte| byte.is_ascii_lowercase());
                    return Token::Literal;
                }
                Some(b'/') => {}
                Some(_) | None => return Token::Bad,
            }
        }
    }

    fn word(&mut self) {
        loop {
            self.cursor.take_while(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
            });
            if !self.cursor.rest().starts_with(b"\\u") {
                return;
            }
            self.cursor.skip(2);
            self.cursor.eat(b"{");
            self.cursor.take_while(|byte| byte.is_ascii_hexdigit());
            self.cursor.eat(b"}");
        }
    }

    fn punctuator(&mut self, byte: u8) -> Token {
        let rest = self.cursor.rest();
        let (length, token) = match rest {
            [b'=', b'>', ..] => (2, Token::Arrow),
            [b'=', b'=', b'=', ..] | [b'!', b'=', b'=', ..] => (3, Token::Binary),
            [b'>', b'>', b'>', b'=', ..] => (4, Token::Assign),
            [b'>', b'>', b'>', ..] => (3, Token::Binary),
            [b'*', b'*', b'=', ..] | [b'<', b'<', b'=', ..] | [b'>', b'>', b'=', ..] => (3, Token::Assign),
            [b'&', b'&', b'=', ..] | [b'|', b'|', b'=', ..] | [b'?', b'?', b'=', ..] => (3, Token::Assign),
            [b'.', b'.', b'.', ..] => (3, Token::Prefix),
            [b'=', b'=', ..] | [b'!', b'=', ..] | [b'<', b'=', ..] | [b'>', b'=', ..] => (2, Token::Binary),
            [b'&', b'&', ..] | [b'|', b'|', ..] | [b'?', b'?', ..] | [b'*', b'*', ..] => (2, Token::Binary),
            [b'<', b'<', ..] | [b'>', b'>', ..] => (2, Token::Binary),
            [b'+', b'+', ..] | [b'-', b'-', ..] => (2, Token::Step),
            [b'+' | b'-' | b'*' | b'/' | b'%' | b'&' | b'|' | b'^', b'=', ..] => (2, Token::Assign),
            [b'?', b'.', ..] => (2, Token::Dot),
            _ => (1, single(byte)),
        };
        self.cursor.skip(length);
        token
    }
}

fn single(byte: u8) -> Token {
    match byte {
        b'(' | b'[' | b'{' => Token::Open(byte),
        b')' | b']' | b'}' => Token::Close(byte),
        b'.' => Token::Dot,
        b',' => Token::Comma,
        b';' => Token::Semicolon,
        b'=' => Token::Assign,
        b'?' | b':' => Token::Choice,
        b'+' | b'-' => Token::Sign,
        b'!' | b'~' => Token::Prefix,
        b'*' | b'/' | b'%' | b'&' | b'|' | b'^' | b'<' | b'>' => Token::Binary,
        _ => Token::Bad,
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'\\') || byte >= 0x80
}
