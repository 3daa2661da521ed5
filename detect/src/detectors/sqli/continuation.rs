//! Values that go on with a condition or statement which another value, or the application, began: `and id=(`,
//! `|| role ==`, `' or x 9`, `) like (`. Whole grammars have nothing to judge there, but no sentence begins like that.
//!
//! Every shape is anchored at the value's first byte and read in a handful of tokens.

use std::ops::Range;

use crate::detectors::sqli::lex::{Backslash, Lexer};
use crate::detectors::sqli::token::{Ending, Kind, Token};
use crate::detectors::sqli::words::Word;
use crate::scan::{self, starts_with_ignore_case};
use crate::value::{Field, Part};

/// Finds such a value, or a delay or cast that is SQL wherever it stands.
pub(super) fn find(field: &Field<'_>, bytes: &[u8]) -> Option<(&'static str, Range<usize>)> {
    let head = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let text = bytes.get(head..)?;
    let whole = Some(head..bytes.len());
    let cut = match text.first()? {
        b')' => behind_close(text),
        b'|' | b'&' => behind_operator(text),
        b';' => behind_semicolon(text),
        b'\'' | b'"' => behind_quote(text),
        b'0'..=b'9' => number(field, text),
        b'a' | b'A' | b'o' | b'O' => behind_word(text),
        b'f' | b'F' => from(text),
        b's' | b'S' => set(text),
        _ => false,
    };
    if cut {
        return whole.map(|span| ("SQLI-CONTINUATION", span));
    }
    delay(bytes).map(|span| ("SQLI-STACKED", span)).or_else(|| cast(bytes).map(|span| ("SQLI-CAST", span)))
}

/// The first tokens of a value, the last one its end if it has no more.
struct Tokens<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a [u8], from: usize) -> Self {
        Self { lexer: Lexer::new(text, from, Backslash::Escapes) }
    }

    fn next(&mut self) -> Kind {
        self.lexer.next().kind
    }

    fn token(&mut self) -> Token {
        self.lexer.next()
    }

    fn text(&self, token: Token) -> &'a [u8] {
        self.lexer.text(token)
    }

    /// Takes an operand that is a name, a number, a text or a variable.
    fn operand(&mut self) -> bool {
        matches!(self.next(), Kind::Name(_) | Kind::Number | Kind::Text | Kind::Variable)
    }
}

/// `) like (`, `) when 3 then`
fn behind_close(text: &[u8]) -> bool {
    let mut tokens = Tokens::of(text, 0);
    while matches!(tokens.lexer.peek().kind, Kind::Close) {
        tokens.next();
    }
    match tokens.next() {
        Kind::Name(Word::Like) => tokens.lexer.byte() == Some(b'('),
        Kind::Name(Word::When) => tokens.operand() && tokens.next() == Kind::Name(Word::Then),
        _ => false,
    }
}

/// `|| role ==`, `&&(a="`: a condition goes on with a comparison. Chat programs hide text between two such marks.
fn behind_operator(text: &[u8]) -> bool {
    let mut tokens = Tokens::of(text, 0);
    if tokens.next() != Kind::Logic || text.trim_ascii_end().ends_with(b"||") {
        return false;
    }
    while matches!(tokens.lexer.peek().kind, Kind::Open | Kind::Unary) {
        tokens.next();
    }
    tokens.operand() && tokens.next() == Kind::Compare
}

/// `;drop`, `; update users`: the start of another statement and nothing else.
fn behind_semicolon(text: &[u8]) -> bool {
    let mut tokens = Tokens::of(text, 0);
    tokens.next();
    let verb = matches!(
        tokens.next(),
        Kind::Name(
            Word::Select
                | Word::Insert
                | Word::Update
                | Word::Delete
                | Word::Drop
                | Word::Alter
                | Word::Create
                | Word::Truncate
                | Word::Exec
                | Word::Declare
                | Word::WaitFor
        )
    );
    verb && match tokens.next() {
        Kind::End => true,
        Kind::Name(_) => tokens.next() == Kind::End,
        _ => false,
    }
}

/// `' or x 9`, `'glob 1`, `';`: a string is closed and a condition goes on, with a blank that a quotation has not.
fn behind_quote(text: &[u8]) -> bool {
    let blank = text.get(1).is_some_and(u8::is_ascii_whitespace);
    let mut tokens = Tokens::of(text, 1);
    let first = tokens.token();
    match first.kind {
        Kind::Semicolon => tokens.next() == Kind::End,
        Kind::Name(Word::Logic) if blank && !tokens.text(first).eq_ignore_ascii_case(b"and") => {
            tokens.operand()
        }
        Kind::Name(Word::Like) => tokens.lexer.peek().kind == Kind::Number,
        _ => false,
    }
}

/// `7=7`, `11!=1`, `4 like 4`: a comparison of numbers that is always true, where no filter is asked for; `1.e(`.
fn number(field: &Field<'_>, text: &[u8]) -> bool {
    if is_void_call(text) {
        return true;
    }
    let mut tokens = Tokens::of(text, 0);
    let left = tokens.token();
    if left.kind != Kind::Number {
        return false;
    }
    let operator = tokens.token();
    let equal = match operator.kind {
        Kind::Compare => match tokens.text(operator) {
            b"=" => true,
            b"!=" | b"<>" => false,
            _ => return false,
        },
        Kind::Name(Word::Like) => true,
        _ => return false,
    };
    let right = tokens.token();
    let same = tokens.text(left) == tokens.text(right);
    right.kind == Kind::Number
        && same == equal
        && tokens.next() == Kind::End
        && field.part == Part::Value
        && !takes_conditions(field.name)
}

/// `1.e(`, `1.e.`: an exponent without digits, which MySQL drops and programs that read numbers refuse.
fn is_void_call(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = text.get(digits..).unwrap_or_default();
    starts_with_ignore_case(rest, b".e(")
}

/// Whether a parameter's name says that the application takes a condition, as map servers do (`where=1=1`), or asks
/// for sums.
fn takes_conditions(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 14] = [
        b"where",
        b"filter",
        b"query",
        b"expr",
        b"cond",
        b"clause",
        b"sql",
        b"defs",
        b"rule",
        b"formula",
        b"equation",
        b"answer",
        b"math",
        b"captcha",
    ];
    let lower = name.to_ascii_lowercase();
    PARTS.iter().any(|part| scan::find(&lower, part).is_some())
}

/// `and id=(`, `and kind = '`, `and deleted = 0)`: a comparison that another value or the application ends.
fn behind_word(text: &[u8]) -> bool {
    let mut tokens = Tokens::of(text, 0);
    if tokens.next() != Kind::Name(Word::Logic) || !tokens.operand() || tokens.next() != Kind::Compare {
        return false;
    }
    match tokens.next() {
        Kind::Open => tokens.next() == Kind::End,
        // A string without an end.
        Kind::Text => tokens.next() == Kind::End && matches!(tokens.lexer.ending, Ending::Text(_)),
        Kind::Number | Kind::Name(_) | Kind::Variable => {
            tokens.next() == Kind::Close && tokens.next() == Kind::End
        }
        _ => false,
    }
}

/// `from stock where kind="x"`: the rest of a query.
fn from(text: &[u8]) -> bool {
    let mut tokens = Tokens::of(text, 0);
    tokens.next() == Kind::Name(Word::From)
        && matches!(tokens.next(), Kind::Name(Word::Plain | Word::Technical | Word::Quoted))
        && tokens.next() == Kind::Name(Word::Where)
        && matches!(tokens.next(), Kind::Name(_))
        && tokens.next() == Kind::Compare
        && matches!(tokens.next(), Kind::Text | Kind::Number)
}

/// `set @old`: a variable of MySQL or SQL Server.
fn set(text: &[u8]) -> bool {
    let mut tokens = Tokens::of(text, 0);
    if tokens.next() != Kind::Name(Word::Set) {
        return false;
    }
    let variable = tokens.token();
    variable.kind == Kind::Variable
        && variable.end - variable.start > 2
        && tokens.text(variable).starts_with(b"@")
        && matches!(tokens.next(), Kind::End | Kind::Compare | Kind::Assign)
}

/// `waitfor delay '0:0:9'`
fn delay(bytes: &[u8]) -> Option<Range<usize>> {
    let at = find_ignore_case(bytes, b'w', b"waitfor")?;
    let mut tokens = Tokens::of(bytes, at + b"waitfor".len());
    let word = tokens.token();
    let delays = tokens.text(word).eq_ignore_ascii_case(b"delay");
    let time = tokens.token();
    let given = tokens.text(time).get(1).is_some_and(u8::is_ascii_digit);
    (delays && time.kind == Kind::Text && given).then_some(at..time.end)
}

/// The first place of `word`, which begins with `first`, in any case.
fn find_ignore_case(bytes: &[u8], first: u8, word: &[u8]) -> Option<usize> {
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), bytes)
        .find(|&at| bytes.get(at..).is_some_and(|rest| starts_with_ignore_case(rest, word)))
}

/// `'{}'::jsonb`, `(x)::int`: PostgreSQL's cast of a string or a parenthesis to one of its types.
fn cast(bytes: &[u8]) -> Option<Range<usize>> {
    const TYPES: [&[u8]; 16] = [
        b"json",
        b"jsonb",
        b"int",
        b"int4",
        b"int8",
        b"integer",
        b"bigint",
        b"text",
        b"varchar",
        b"numeric",
        b"regclass",
        b"bytea",
        b"bool",
        b"float8",
        b"xml",
        b"uuid",
    ];
    scan::find_all(bytes, b"::").take(CASTS).find_map(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at))?;
        let rest = bytes.get(at + 2..)?;
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let name = rest.get(..length)?;
        let known = TYPES.iter().any(|known| name.eq_ignore_ascii_case(known));
        // `f()::int` calls for something between the parentheses.
        let empty = before == &b')' && bytes.get(at.checked_sub(2)?) == Some(&b'(');
        let goes_on = rest.get(length..).is_some_and(|rest| rest.starts_with(b"::"));
        (known && matches!(before, b'\'' | b')') && !empty && !goes_on).then_some(at..at + 2 + length)
    })
}

/// Casts that are looked at.
const CASTS: usize = 16;
