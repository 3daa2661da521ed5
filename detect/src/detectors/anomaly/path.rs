//! ABNORMALPATH: a path that differs from its normal form (RFC 3986 section 6.2.2).

use crate::engine::Inspection;
use crate::request::Request;
use crate::scan::hex_digit;
use crate::signal::{Location, Tag};

pub(super) fn inspect(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    let end = request.target.iter().position(|&byte| byte == b'?' || byte == b'#');
    let path = request.target.get(..end.unwrap_or(request.target.len())).unwrap_or_default();
    // Absolute form and authority form name a host first.
    let path = match crate::scan::find(path.get(..path.len().min(16)).unwrap_or_default(), b"://") {
        Some(at) => {
            let rest = path.get(at + 3..).unwrap_or_default();
            rest.get(memchr::memchr(b'/', rest).unwrap_or(rest.len())..).unwrap_or_default()
        }
        None => path,
    };
    if !path.starts_with(b"/") {
        return;
    }
    let mut segments = Segments { rest: path.get(1..).unwrap_or_default() }.peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let odd = match segment {
            [] => !last,
            _ => is_dots(segment),
        };
        if odd {
            inspection.note(Tag::AbnormalPath, Location::Path, "PATH-FORM", path);
            return;
        }
    }
}

/// Segments between slashes and backslashes, also encoded ones.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut at = 0;
        while at < self.rest.len() {
            let tail = self.rest.get(at..)?;
            let (byte, length) = letter(tail)?;
            if byte == b'/' || byte == b'\\' {
                let segment = self.rest.get(..at)?;
                self.rest = tail.get(length..)?;
                return Some(segment);
            }
            at += length;
        }
        Some(std::mem::take(&mut self.rest))
    }
}

/// The first byte of `text`, percent-decoded, and its length.
fn letter(text: &[u8]) -> Option<(u8, usize)> {
    if let [b'%', high, low, ..] = text
        && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
    {
        return Some((high << 4 | low, 3));
    }
    Some((*text.first()?, 1))
}

/// `.` or `..`, also encoded.
fn is_dots(segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while let Some((byte, length)) = letter(rest) {
        if byte != b'.' {
            return false;
        }
        dots += 1;
        rest = rest.get(length..).unwrap_or_default();
    }
    (1..=2).contains(&dots)
}
