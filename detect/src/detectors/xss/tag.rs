//! One tag, read the way a browser's tokenizer reads it from its `<` on (WHATWG sections 13.2.5.6 to 13.2.5.40).

use crate::scan::Cursor;

/// A name in lower case, without its namespace prefix and with the letters that fold to ASCII folded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    bytes: [u8; 40],
    length: usize,
}

impl Name {
    pub(super) fn new(raw: &[u8]) -> Self {
        let mut name = Self { bytes: [0; 40], length: 0 };
        let mut rest = raw;
        while let Some((&byte, tail)) = rest.split_first() {
            let (plain, used) = match rest {
                // U+0130, U+0131, U+017F and U+212A become i, s and k when an application changes case.
                [0xc4, 0xb0 | 0xb1, ..] => (b'i', 2),
                [0xc5, 0xbf, ..] => (b's', 2),
                [0xe2, 0x84, 0xaa, ..] => (b'k', 3),
                _ => (byte, 1),
            };
            rest = if used == 1 { tail } else { rest.get(used..).unwrap_or_default() };
            match plain {
                0 => continue,
                b':' => name.length = 0,
                _ => name.push(plain.to_ascii_lowercase()),
            }
        }
        name
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
        }
        // One beyond the end marks a name that is too long to be known.
        self.length = (self.length + 1).min(self.bytes.len() + 1);
    }

    /// The name's bytes; empty where it is too long to be one that matters.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// One attribute as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: Name,
    pub(super) value: &'a [u8],
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The attributes of a tag; ends at its `>`, at the start of another tag, or where the value ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Attributes<'a> {
    /// Starts at `at`, right after the tag's name.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        let mut cursor = Cursor::new(bytes);
        cursor.seek(at);
        Self { cursor }
    }

    /// Where reading stands.
    pub(super) fn at(&self) -> usize {
        self.cursor.at()
    }

    fn value(&mut self) -> &'a [u8] {
        self.cursor.take_while(is_space);
        match self.cursor.peek() {
            Some(quote @ (b'"' | b'\'' | b'`')) => {
                // A back-tick quotes in old Internet Explorer only, and only where it is closed.
                let inside = self.cursor.rest().get(1..).unwrap_or_default();
                match memchr::memchr(quote, inside) {
                    Some(length) => {
                        self.cursor.skip(length + 2);
                        inside.get(..length).unwrap_or_default()
                    }
                    None if quote == b'`' => self.unquoted(),
                    None => {
                        self.cursor.skip(usize::MAX);
                        inside
                    }
                }
            }
            _ => self.unquoted(),
        }
    }

    fn unquoted(&mut self) -> &'a [u8] {
        self.cursor.take_while(|byte| !is_space(byte) && byte != b'>')
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        // Quotes and stray signs belong to the name by the letter of the standard; they are skipped, because where the
        // value is reflected they may close something.
        self.cursor.take_while(|byte| is_space(byte) || is_stray(byte));
        match self.cursor.peek()? {
            b'>' => return None,
            b'<' if opens_tag(self.cursor.rest()) => return None,
            _ => {}
        }
        let from = self.cursor.at();
        self.cursor.bump();
        let quoted = |byte| matches!(byte, b'>' | b'=' | b'/' | b'<' | b'"' | b'\'');
        self.cursor.take_while(|byte| !is_space(byte) && !quoted(byte));
        let name = Name::new(self.cursor.since(from));
        let mut value: &[u8] = &[];
        let named = self.cursor;
        self.cursor.take_while(is_space);
        if self.cursor.eat(b"=") {
            value = self.value();
        } else {
            self.cursor = named;
        }
        Some(Attribute { name, value, from, to: self.cursor.at() })
    }
}

/// Whether a tag starts with this `<`.
pub(super) fn opens_tag(rest: &[u8]) -> bool {
    matches!(rest, [b'<', next, ..] if next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?' | b'%'))
}

/// White space between attributes; NUL and other controls separate in one browser or another.
pub(super) fn is_space(byte: u8) -> bool {
    byte <= b' '
}

fn is_stray(byte: u8) -> bool {
    matches!(byte, b'/' | b'"' | b'\'' | b'`' | b'+' | b'\\' | b',' | b';' | b'=')
}
