//! JSON (RFC 8259) to a tree. serde_json keeps no places and the last of two equal keys; strings and numbers are its
//! business all the same.

use super::{DEEPEST, Fault, Key, Kind, MOST_NODES, Node};

/// Parses the whole of `text`.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { text, at: 0, line: 1, line_start: 0, nodes: 0 };
    let node = parser.value(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => Err(parser.fault("trailing characters")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        self.space();
        self.nodes += 1;
        if depth > DEEPEST {
            return Err(self.fault(&format!("nested deeper than {DEEPEST} levels")));
        }
        if self.nodes > MOST_NODES {
            return Err(self.fault(&format!("more than {MOST_NODES} values")));
        }
        let (line, column) = (self.line, self.column());
        let kind = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Kind::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true", Kind::Bool(true))?,
            Some(b'f') => self.word("false", Kind::Bool(false))?,
            Some(b'n') => self.word("null", Kind::Null)?,
            Some(_) => return Err(self.fault("expected a value")),
            None => return Err(self.fault("ends where a value should be")),
        };
        Ok(Node { kind, line, column })
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        self.at += 1;
        let mut pairs: Vec<(Key, Node)> = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Kind::Map(pairs));
        }
        loop {
            self.space();
            let (line, column) = (self.line, self.column());
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a key in quotes"));
            }
            let name = self.string()?;
            if pairs.len() >= MOST_KEYS {
                return Err(self.fault(&format!("an object with more than {MOST_KEYS} keys")));
            }
            if pairs.iter().any(|(key, _)| key.name == name) {
                return Err(Fault { line, column, reason: format!("the key {name:?} is there twice") });
            }
            self.space();
            if !self.take(b':') {
                return Err(self.fault("expected a colon"));
            }
            let value = self.value(depth + 1)?;
            pairs.push((Key { name, line, column }, value));
            self.space();
            if self.take(b'}') {
                return Ok(Kind::Map(pairs));
            }
            if !self.take(b',') {
                return Err(self.fault("expected a comma or }"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Kind::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Kind::List(items));
            }
            if !self.take(b',') {
                return Err(self.fault("expected a comma or ]"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(0..0x20) => return Err(self.fault("a control character in a text")),
                Some(_) => end += 1,
                None => return Err(self.fault("a text that does not end")),
            }
        }
        let token = self.text.get(start..=end).unwrap_or_default();
        let text = serde_json::from_str(token).map_err(|_| self.fault("an escape that does not exist"))?;
        self.at = end + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let rest = self.rest();
        let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let token = self.text.get(self.at..self.at + length).unwrap_or_default();
        let number: serde_json::Number =
            serde_json::from_str(token).map_err(|_| self.fault("not a number"))?;
        self.at += length;
        match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Kind::Int(whole)),
            (None, Some(other)) => Ok(Kind::Float(other)),
            (None, None) => Err(self.fault("not a number")),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Fault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn column(&self) -> usize {
        self.at - self.line_start + 1
    }

    fn fault(&self, reason: &str) -> Fault {
        Fault { line: self.line, column: self.column(), reason: reason.to_owned() }
    }
}

/// Keys that an object may have: each is compared with those before it.
const MOST_KEYS: usize = 1000;
