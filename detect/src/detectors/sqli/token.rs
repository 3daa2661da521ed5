//! What the SQL lexer hands out.

use crate::detectors::sqli::words::Word;

/// A token and where it stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The kinds of tokens, as far as the grammar tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The end of the value, or of what a database would read of it: see [`Ending`].
    End,
    /// A number in any notation.
    Number,
    /// A string literal, also one that the value leaves open.
    Text,
    /// An identifier or keyword with its class; for a dotted name the class of the part that matters.
    Name(Word),
    /// A user or system variable.
    Variable,
    /// A comparison.
    Compare,
    /// `&&` or `||`.
    Logic,
    /// `+`, `-`: binary or unary.
    Sign,
    /// `!`, `~`: unary, or the start of a comparison.
    Unary,
    /// `*`.
    Star,
    /// Another binary operator of arithmetic or bits.
    Arithmetic,
    /// `:=`.
    Assign,
    /// `::`.
    Cast,
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// `{`.
    OpenBrace,
    /// `}`.
    CloseBrace,
    /// `[`.
    OpenBracket,
    /// `]`.
    CloseBracket,
    /// `,`.
    Comma,
    /// `;`.
    Semicolon,
    /// `.`.
    Dot,
    /// A byte no dialect reads here.
    Other,
}

/// How the token stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With the value.
    Plain,
    /// In a comment that swallows whatever the application adds.
    Comment,
    /// In a string opened with this quote, which the application's own quote closes.
    Text(u8),
}
