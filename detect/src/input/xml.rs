//! A lenient XML reader: text, attributes, and the markup that is not an element.
//!
//! It resolves nothing. Character references stay as they are, since decoding undoes them; declarations are left to
//! the detector that is shown the document as a whole.

use memchr::memchr;

use crate::scan::{self, Cursor, starts_with_ignore_case};
use crate::value::Part;

/// A piece of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// [`Part::Value`] for text and attributes, [`Part::Name`] for odd element names, [`Part::Text`] for comments
    /// and processing instructions, with their delimiters.
    pub(crate) part: Part,
    /// The attribute, or the element that the text stands in.
    pub(crate) name: &'a [u8],
    /// The bytes as written.
    pub(crate) text: &'a [u8],
}

/// How reading a document ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Every element was closed.
    Whole,
    /// The input ended inside an element or a tag.
    Cut,
    /// Tags do not match, or what follows `<` is no markup; everything was handed on all the same.
    Broken,
    /// The nesting went deeper than the budget at this offset.
    Spent(usize),
}

/// Reads `bytes` and hands each piece to `visit`.
pub(crate) fn walk<'a>(bytes: &'a [u8], depth: usize, visit: &mut dyn FnMut(Token<'a>)) -> End {
    let mut reader = Reader { cursor: Cursor::new(bytes), open: Vec::new(), broken: false };
    while !reader.cursor.is_empty() {
        reader.text(visit);
        if reader.open.len() > depth {
            return End::Spent(reader.cursor.at());
        }
        if reader.cursor.is_empty() {
            break;
        }
        if reader.markup(visit).is_none() {
            return End::Cut;
        }
    }
    match (reader.broken, reader.open.is_empty()) {
        (true, _) => End::Broken,
        (false, true) => End::Whole,
        (false, false) => End::Cut,
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    /// The names of the open elements.
    open: Vec<&'a [u8]>,
    broken: bool,
}

impl<'a> Reader<'a> {
    /// Takes the text up to the next `<`.
    fn text(&mut self, visit: &mut dyn FnMut(Token<'a>)) {
        let from = self.cursor.at();
        self.cursor.skip(memchr(b'<', self.cursor.rest()).unwrap_or(usize::MAX));
        self.hand_on(self.cursor.since(from), visit);
    }

    fn hand_on(&self, text: &'a [u8], visit: &mut dyn FnMut(Token<'a>)) {
        let text = text.trim_ascii();
        if !text.is_empty() {
            visit(Token { part: Part::Value, name: self.open.last().copied().unwrap_or_default(), text });
        }
    }

    /// Takes the markup at the cursor; none if it does not end.
    fn markup(&mut self, visit: &mut dyn FnMut(Token<'a>)) -> Option<()> {
        let rest = self.cursor.rest();
        if rest.starts_with(b"<![CDATA[") {
            let (inner, whole) = enclosed(rest, 9, b"]]>");
            self.hand_on(inner, visit);
            return self.skip(whole);
        }
        if rest.starts_with(b"<!--") {
            return self.aside(enclosed(rest, 4, b"-->").1, visit);
        }
        if rest.starts_with(b"<?") {
            return self.aside(enclosed(rest, 2, b"?>").1, visit);
        }
        if rest.starts_with(b"<!") {
            return self.skip(declaration(rest));
        }
        if rest.starts_with(b"</") {
            let end = memchr(b'>', rest)?;
            let name = rest.get(2..end)?.trim_ascii();
            self.close(name);
            return self.skip(Some(end + 1));
        }
        self.element(visit)
    }

    /// Takes a comment or an instruction and hands it on, delimiters and all.
    fn aside(&mut self, length: Option<usize>, visit: &mut dyn FnMut(Token<'a>)) -> Option<()> {
        let rest = self.cursor.rest();
        let text = rest.get(..length.unwrap_or(rest.len()))?;
        if !starts_with_ignore_case(text, b"<?xml ") {
            visit(Token { part: Part::Text, name: b"", text });
        }
        self.skip(length)
    }

    fn skip(&mut self, length: Option<usize>) -> Option<()> {
        self.cursor.skip(length.unwrap_or(usize::MAX));
        length.map(|_| ())
    }

    fn close(&mut self, name: &[u8]) {
        match self.open.iter().rposition(|open| *open == name) {
            Some(at) => {
                self.broken |= at + 1 != self.open.len();
                self.open.truncate(at);
            }
            None => self.broken = true,
        }
    }

    fn element(&mut self, visit: &mut dyn FnMut(Token<'a>)) -> Option<()> {
        self.cursor.skip(1);
        let name = self.cursor.take_while(is_name);
        if name.is_empty() {
            self.broken = true;
            return Some(());
        }
        if name.iter().any(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-'))) {
            visit(Token { part: Part::Name, name, text: name });
        }
        loop {
            self.cursor.take_while(|byte| byte.is_ascii_whitespace());
            match self.cursor.peek()? {
                b'>' => {
                    self.cursor.skip(1);
                    self.open.push(name);
                    return Some(());
                }
                b'/' => {
                    self.cursor.skip(1);
                    if self.cursor.eat(b">") {
                        return Some(());
                    }
                }
                b'<' => {
                    self.broken = true;
                    return Some(());
                }
                _ => self.attribute(visit)?,
            }
        }
    }

    fn attribute(&mut self, visit: &mut dyn FnMut(Token<'a>)) -> Option<()> {
        let name = self.cursor.take_while(is_name);
        if name.is_empty() {
            self.broken = true;
            self.cursor.skip(1);
            return Some(());
        }
        self.cursor.take_while(|byte| byte.is_ascii_whitespace());
        if !self.cursor.eat(b"=") {
            self.broken = true;
            return Some(());
        }
        self.cursor.take_while(|byte| byte.is_ascii_whitespace());
        let text = match self.cursor.peek()? {
            quote @ (b'"' | b'\'') => {
                self.cursor.skip(1);
                let from = self.cursor.at();
                let end = memchr(quote, self.cursor.rest());
                self.cursor.skip(end.unwrap_or(usize::MAX));
                let text = self.cursor.since(from);
                self.cursor.skip(1);
                text
            }
            _ => {
                self.broken = true;
                self.cursor.take_while(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'>' | b'<'))
            }
        };
        if !text.is_empty() {
            visit(Token { part: Part::Value, name, text });
        }
        Some(())
    }
}

/// What stands between `start` and `end`, and the length with both; no length if `end` is missing.
fn enclosed<'a>(rest: &'a [u8], start: usize, end: &[u8]) -> (&'a [u8], Option<usize>) {
    let inner = rest.get(start..).unwrap_or_default();
    match scan::find(inner, end) {
        Some(at) => (inner.get(..at).unwrap_or_default(), Some(start + at + end.len())),
        None => (inner, None),
    }
}

/// The length of a `<!...>` declaration, internal subset included.
fn declaration(rest: &[u8]) -> Option<usize> {
    let (mut brackets, mut quote) = (0_usize, None);
    for (at, &byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[') => brackets += 1,
            (None, b']') => brackets = brackets.saturating_sub(1),
            (None, b'>') if brackets == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_name(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !matches!(byte, b'<' | b'>' | b'/' | b'=' | b'"' | b'\'' | b'&')
}
