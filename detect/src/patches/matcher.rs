//! The matcher of virtual patches: `place operator text`, joined by ` & `.

use crate::request::{Header, Request};
use crate::scan::{self, hex_digit};

/// Percent decoding is undone this often before matching.
const ROUNDS: usize = 3;

/// One condition on one part of a request. Texts are compared in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    place: Place,
    test: Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Method,
    Path,
    Query,
    Body,
    Header(&'static str),
    /// Path, query, body or any header.
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Is(&'static str),
    Has(&'static str),
    Ends(&'static str),
    Longer(usize),
    Present,
    Absent,
}

/// The parts of a request, decoded and in lower case.
pub(super) struct Parts {
    method: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    body: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Condition {
    /// Reads a condition of the table.
    pub(super) fn parse(text: &'static str) -> Option<Self> {
        let mut words = text.trim().splitn(3, ' ');
        let (place, test, operand) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        let place = match place {
            "method" => Place::Method,
            "path" => Place::Path,
            "query" => Place::Query,
            "body" => Place::Body,
            "any" => Place::Any,
            _ => Place::Header(place.strip_prefix("header:")?),
        };
        let test = match (test, operand) {
            ("present", "") => Test::Present,
            ("absent", "") => Test::Absent,
            ("longer", number) => Test::Longer(number.parse().ok()?),
            (_, "") => return None,
            ("is", text) => Test::Is(text),
            ("has", text) => Test::Has(text),
            ("ends", text) => Test::Ends(text),
            _ => return None,
        };
        Some(Self { place, test })
    }

    /// Whether the condition holds for a request.
    pub(super) fn holds(&self, parts: &Parts) -> bool {
        match self.place {
            Place::Method => self.test.holds(&parts.method),
            Place::Path => self.test.holds(&parts.path),
            Place::Query => self.test.holds(&parts.query),
            Place::Body => self.test.holds(&parts.body),
            Place::Header(name) => {
                let mut values = parts.headers.iter().filter(|(known, _)| known == name.as_bytes());
                match self.test {
                    Test::Absent => values.next().is_none(),
                    _ => values.any(|(_, value)| self.test.holds(value)),
                }
            }
            Place::Any => {
                let headers = parts.headers.iter().map(|(_, value)| value);
                [&parts.path, &parts.query, &parts.body]
                    .into_iter()
                    .chain(headers)
                    .any(|text| self.test.holds(text))
            }
        }
    }
}

impl Test {
    fn holds(self, text: &[u8]) -> bool {
        match self {
            Self::Is(word) => text == word.as_bytes(),
            Self::Has(word) => scan::find(text, word.as_bytes()).is_some(),
            Self::Ends(word) => text.ends_with(word.as_bytes()),
            Self::Longer(length) => text.len() > length,
            Self::Present => true,
            Self::Absent => false,
        }
    }
}

impl Parts {
    /// Decodes `request`, of its body the first `body_bytes`.
    pub(super) fn read(request: &Request<'_>, body_bytes: usize) -> Self {
        let mut target = request.target.splitn(2, |&byte| byte == b'?');
        let body = request.body.bytes;
        let header = |header: &Header<'_>| (header.name.to_ascii_lowercase(), plain(header.value));
        Self {
            method: request.method.to_ascii_lowercase(),
            path: plain(target.next().unwrap_or_default()),
            query: plain(target.next().unwrap_or_default()),
            body: plain(body.get(..body_bytes).unwrap_or(body)),
            headers: request.headers.iter().map(header).collect(),
        }
    }
}

/// `text` in lower case, percent decoding undone.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_ascii_lowercase();
    for _ in 0..ROUNDS {
        if !text.contains(&b'%') {
            break;
        }
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text.as_slice();
        while let Some((&byte, tail)) = rest.split_first() {
            if let (b'%', [high, low, after @ ..]) = (byte, tail)
                && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
            {
                out.push((high << 4 | low).to_ascii_lowercase());
                rest = after;
            } else {
                out.push(byte);
                rest = tail;
            }
        }
        text = out;
    }
    text
}
