//! GraphQL: a lexer and what can be said of a document without its schema.

use memchr::memchr;

use crate::engine::Inspection;
use crate::scan::{self, Cursor};
use crate::signal::{Location, Tag};
use crate::value::{Field, Part};

/// What one document holds.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    operations: usize,
    depth: usize,
    introspects: bool,
    /// Variables by name as operations define them, duplicates and all.
    defined: Vec<&'a [u8]>,
    used: Vec<&'a [u8]>,
    repeated: Option<&'a [u8]>,
    /// The string literals and the argument that each belongs to.
    strings: Vec<(&'a [u8], &'a [u8])>,
}

/// Reports on the GraphQL in `field` and hands on its string literals; none if it is no GraphQL.
pub(crate) fn inspect(field: &Field<'_>, text: &[u8], inspection: &mut Inspection<'_>) -> Option<Operations> {
    let document = Document::parse(text, inspection.budgets().fields)?;
    let mut note = |tag, detector, value: &[u8]| inspection.about(tag, field, detector, value);
    note(Tag::GraphqlApi, "GRAPHQL", b"");
    if document.introspects {
        note(Tag::GraphqlIntrospection, "GRAPHQL-SCHEMA", b"");
    }
    if let Some(name) = document.repeated {
        note(Tag::GraphqlDuplicateVariables, "GRAPHQL-VARIABLES", name);
    }
    if let Some(name) = document.used.iter().find(|name| !document.defined.contains(name)) {
        note(Tag::GraphqlUndefinedVariables, "GRAPHQL-VARIABLES", name);
    }
    if document.depth > inspection.budgets().graphql_depth {
        inspection.about(Tag::GraphqlDepth, field, "GRAPHQL-DEPTH", text);
    }
    for (name, raw) in &document.strings {
        inspection.field(&Field { part: Part::Value, name, raw, ..*field });
    }
    Some(Operations(document.operations))
}

/// How many operations a document holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Operations(usize);

/// What the keys of a JSON body say about a GraphQL request.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    operations: Operations,
    chosen: bool,
}

impl Envelope {
    /// Notes the key and string of a body.
    pub(crate) fn string(&mut self, name: &[u8], text: &[u8]) {
        self.chosen |= name == b"operationName" && !text.is_empty();
    }

    /// Notes a document of the body.
    pub(crate) fn document(&mut self, operations: Operations) {
        self.operations = operations;
    }

    /// Reports what only the whole body shows.
    pub(crate) fn finish(self, location: Location, inspection: &mut Inspection<'_>) {
        if self.operations.0 > 1 && !self.chosen {
            inspection.note(Tag::GraphqlMissingOperation, location, "GRAPHQL-OPERATION", b"");
        }
    }
}

/// Whether `text` starts and ends the way a document does.
pub(crate) fn may_be(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let first = text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len());
    text.ends_with(b"}")
        && match text.get(..first).unwrap_or_default() {
            b"" => matches!(text.first(), Some(b'{' | b'#')),
            word => matches!(word, b"query" | b"mutation" | b"subscription" | b"fragment"),
        }
}

impl<'a> Document<'a> {
    /// Reads `text`; none if it is not made of GraphQL's tokens or its brackets do not match.
    pub(crate) fn parse(text: &'a [u8], most: usize) -> Option<Self> {
        if !may_be(text) {
            return None;
        }
        let mut document = Self::default();
        let mut lexer = Lexer { cursor: Cursor::new(text) };
        let mut open: Vec<u8> = Vec::new();
        let (mut braces, mut parens) = (0_usize, 0_usize);
        // The variables of the operation whose head is being read.
        let mut head = None;
        let (mut name, mut fields): (&[u8], usize) = (b"", 0);
        let mut last = Last::Other;
        while let Some(token) = lexer.next()? {
            let before = std::mem::replace(&mut last, Last::of(&token));
            if before == Last::Paren && !lexer.is_colon() {
                return None;
            }
            match token {
                Token::Open(byte) => {
                    // A selection or arguments of nothing: a template, a call, but no GraphQL.
                    let bare = (byte == b'{' && parens == 0 && braces > 0) || byte == b'(';
                    if open.len() >= MOST_DEPTH || (bare && before != Last::Name) {
                        return None;
                    }
                    open.push(byte);
                    parens += usize::from(byte == b'(');
                    if byte == b'{' && parens == 0 {
                        if braces == 0 && head.is_none() {
                            document.operations += 1;
                        }
                        head = None;
                        braces += 1;
                        document.depth = document.depth.max(braces);
                    }
                }
                Token::Close(byte) => {
                    let opened = open.pop()?;
                    if !matches!((opened, byte), (b'{', b'}') | (b'(', b')') | (b'[', b']')) {
                        return None;
                    }
                    parens -= usize::from(byte == b')');
                    braces -= usize::from(byte == b'}' && parens == 0);
                }
                Token::Name(word) => {
                    fields += usize::from(parens == 0 && braces > 0);
                    if braces == 0 && parens == 0 && head.is_none() {
                        head = Some(document.defined.len());
                        document.operations +=
                            usize::from(matches!(word, b"query" | b"mutation" | b"subscription"));
                    }
                    document.introspects |= braces > 0 && matches!(word, b"__schema" | b"__type");
                    name = word;
                }
                // Outside arguments there is nothing for a variable to stand for.
                Token::Variable(_) if parens == 0 => return None,
                Token::Variable(word) => {
                    let defines = lexer.is_colon().then_some(head).flatten();
                    let list = if defines.is_some() { &mut document.defined } else { &mut document.used };
                    if defines.is_some_and(|from| list.iter().skip(from).any(|known| *known == word)) {
                        document.repeated = Some(word);
                    }
                    if list.len() < MOST_VARIABLES {
                        list.push(word);
                    }
                }
                Token::String(text) if document.strings.len() < most => document.strings.push((name, text)),
                Token::String(_) | Token::Other => {}
            }
        }
        (open.is_empty() && fields > 0).then_some(document)
    }
}

/// What the token before was, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// A name, or the end of its arguments.
    Name,
    /// The start of arguments.
    Paren,
    Other,
}

impl Last {
    fn of(token: &Token<'_>) -> Self {
        match token {
            Token::Name(_) | Token::Close(b')') => Self::Name,
            Token::Open(b'(') => Self::Paren,
            _ => Self::Other,
        }
    }
}

enum Token<'a> {
    Open(u8),
    Close(u8),
    Name(&'a [u8]),
    Variable(&'a [u8]),
    /// A literal without its quotes, escapes kept.
    String(&'a [u8]),
    Other,
}

struct Lexer<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Lexer<'a> {
    /// The next token; the outer none is a byte that starts no token.
    #[expect(clippy::option_option, reason = "an end and an error are different ends")]
    fn next(&mut self) -> Option<Option<Token<'a>>> {
        self.blank();
        let Some(byte) = self.cursor.peek() else {
            return Some(None);
        };
        let token = match byte {
            b'{' | b'(' | b'[' => self.one(Token::Open(byte)),
            b'}' | b')' | b']' => self.one(Token::Close(byte)),
            b'"' => self.string()?,
            b'$' => {
                self.cursor.skip(1);
                Token::Variable(self.cursor.take_while(is_name))
            }
            b':' | b'!' | b'=' | b'|' | b'@' | b'&' => self.one(Token::Other),
            b'.' => {
                if !self.cursor.eat(b"...") {
                    return None;
                }
                Token::Other
            }
            b'-' | b'0'..=b'9' => {
                self.cursor
                    .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'));
                Token::Other
            }
            _ if is_name(byte) => Token::Name(self.cursor.take_while(is_name)),
            _ => return None,
        };
        Some(Some(token))
    }

    fn one(&mut self, token: Token<'a>) -> Token<'a> {
        self.cursor.skip(1);
        token
    }

    fn string(&mut self) -> Option<Token<'a>> {
        if self.cursor.eat(b"\"\"\"") {
            let end = scan::find(self.cursor.rest(), b"\"\"\"")?;
            let text = self.cursor.rest().get(..end)?;
            self.cursor.skip(end + 3);
            return Some(Token::String(text));
        }
        self.cursor.skip(1);
        let from = self.cursor.at();
        loop {
            match self.cursor.peek()? {
                b'"' => break,
                b'\\' => self.cursor.skip(2),
                b'\n' => return None,
                _ => self.cursor.skip(1),
            }
        }
        let text = self.cursor.since(from);
        self.cursor.skip(1);
        Some(Token::String(text))
    }

    fn blank(&mut self) {
        loop {
            self.cursor.take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b','));
            if self.cursor.peek() != Some(b'#') {
                return;
            }
            let rest = self.cursor.rest();
            self.cursor.skip(memchr(b'\n', rest).unwrap_or(rest.len()));
        }
    }

    fn is_colon(&self) -> bool {
        let mut ahead = Self { cursor: self.cursor };
        ahead.blank();
        ahead.cursor.peek() == Some(b':')
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Brackets within brackets; the depth that a user may choose is far below.
const MOST_DEPTH: usize = 512;
/// Variables remembered of one document.
const MOST_VARIABLES: usize = 256;
