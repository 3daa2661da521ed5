//! RESPONSESPLIT: a line break that would end a header and begin another, or a response.
//!
//! Catches, after CR, LF or both (or the letters that servers cut down to them): a header line where a value of a
//! query, path, cookie or header is read; a status line; markup after an empty line; a break inside a parameter's name
//! or inside a path; a lone CR followed by another assignment.
//!
//! Deliberately misses: header-like lines in the texts that people post, unless they stand second after a first line
//! that is one bare token, the way a payload has them.
//!
//! False-positive risks: header dumps pasted into a form sent by GET. Vectors: `vectors/response-split`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::detectors::lines::{self, Break, Line};
use crate::features::Features;
use crate::lists;
use crate::scan::starts_with_ignore_case;
use crate::signal::{Location, Tag};
use crate::value::{Field, Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "crlf",
    words: &["嘊嘍", "嘍嘊", "嘊嘊", "嘍嘍"],
    possible: |features, word| word || features.any(Features::LINE),
    inspect,
};

/// Response and request headers that a split would add.
const HEADERS: &[&str] = lists::list!("header-names.txt");

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let finding = |detector, line: &Line<'_>| {
        Some(Finding { tag: Tag::ResponseSplit, detector, span: line.at..line.at + line.text.len() })
    };
    let place = Place::of(value.field);
    let first = lines::first(bytes);
    if place == Place::Name && !first.trim_ascii_start().starts_with(b"<") && !opens_document(first) {
        return lines::after_breaks(bytes).next().and_then(|line| finding("SPLIT-NAME", &line));
    }
    let bare = is_bare(first);
    for (index, line) in lines::after_breaks(bytes).enumerate() {
        if !steps.take(1) {
            return None;
        }
        // Servers differ on blanks before a name: some fold the line, some take it.
        let header = Header::read(line.text).or_else(|| {
            let indented = Header::read(line.text.trim_ascii_start())?;
            (place == Place::Line && bare && indented.is_framing()).then_some(indented)
        });
        let idea = match place {
            Place::Path if !line.text.trim_ascii().is_empty() => Some("SPLIT-PATH"),
            Place::Text if !bare || index > 2 => None,
            _ if is_status_line(line.text) => Some("SPLIT-RESPONSE"),
            _ if header.as_ref().is_some_and(Header::is_known) => Some("SPLIT-HEADER"),
            Place::Line if header.is_some_and(|header| header.is_likely(line.after)) && bare => {
                Some("SPLIT-HEADER")
            }
            Place::Line if line.after == Break::Cr && bare && is_assignment(line.text) => Some("SPLIT-CR"),
            _ => None,
        };
        if let Some(detector) = idea {
            return finding(detector, &line);
        }
    }
    None
}

/// What a line break means where the value stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A path, where none belongs.
    Path,
    /// A parameter's name in a query, where none belongs.
    Name,
    /// A value that is one line.
    Line,
    /// A value that may be a text of many lines.
    Text,
}

impl Place {
    fn of(field: &Field<'_>) -> Self {
        match (field.location, field.part) {
            (Location::Path, Part::Whole) => Self::Path,
            (Location::QueryString | Location::Cookie, Part::Name) => Self::Name,
            (Location::Post, part) if part != Part::FileName => Self::Text,
            _ => Self::Line,
        }
    }
}

/// A line that reads as a header.
struct Header<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        let end = line.iter().position(|byte| !is_name(byte))?;
        let (name, rest) = line.split_at(end);
        let value = rest.trim_ascii_start().strip_prefix(b":")?;
        (name.len() >= 2 && name.first().is_some_and(u8::is_ascii_alphabetic)).then_some(Self { name, value })
    }

    /// Whether the name is a header's and the value one that this header takes.
    fn is_known(&self) -> bool {
        let value = self.value.trim_ascii();
        if !lists::holds(HEADERS, self.name) {
            return starts_with_ignore_case(self.name, b"x-") && self.name.len() > 3;
        }
        match self.name.to_ascii_lowercase().as_slice() {
            b"content-length" | b"refresh" | b"retry-after" => value.first().is_some_and(u8::is_ascii_digit),
            b"location" | b"referer" | b"origin" => value.starts_with(b"/") || value.contains(&b':'),
            b"link" => value.starts_with(b"<"),
            b"set-cookie" | b"cookie" => value.contains(&b'='),
            b"content-type" => value.contains(&b'/'),
            b"host" => !value.is_empty() && !value.iter().any(u8::is_ascii_whitespace),
            _ => true,
        }
    }

    /// Whether the header is one that no list or query language would name by chance.
    fn is_framing(&self) -> bool {
        [&b"set-cookie"[..], b"content-length", b"content-type", b"transfer-encoding"]
            .iter()
            .any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// Whether the line is built like a header, whatever its name.
    fn is_likely(&self, after: Break) -> bool {
        let spaced = self.value.first().is_some_and(u8::is_ascii_whitespace);
        matches!(after, Break::CrLf | Break::Folded)
            && (self.name.contains(&b'-') || !spaced)
            && !self.value.starts_with(b"//")
    }
}

fn is_status_line(line: &[u8]) -> bool {
    starts_with_ignore_case(line, b"HTTP/")
        && line.get(5).is_some_and(u8::is_ascii_digit)
        && line.contains(&b' ')
}

/// `word=`, `word:` or a bare colon at the start.
fn is_assignment(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'-');
    end.is_some_and(|end| match line.get(end) {
        Some(b'=') => end > 0,
        Some(b':') => true,
        _ => false,
    })
}

/// Whether a first line is one token, the end of a value that is about to be broken out of.
fn is_bare(first: &[u8]) -> bool {
    first.len() <= 512
        && !first.iter().any(|&byte| byte == b' ' || byte == b'\t')
        && Header::read(first).is_none()
}

fn opens_document(first: &[u8]) -> bool {
    matches!(first.trim_ascii_start().first(), Some(b'{' | b'['))
}
