//! The request target: path and query.

use memchr::memchr;

use crate::decode;
use crate::engine::Inspection;
use crate::input::{document, pairs};
use crate::scan::find;
use crate::signal::Location;
use crate::value::{Field, Part, Wire};

/// Hands on the whole path, its segments where they are more than plain names, their parameters, and the query.
pub(crate) fn walk(target: &[u8], inspection: &mut Inspection<'_>) {
    let (path, query) = split(target);
    let path = match origin(path) {
        Some((authority, path)) => {
            let field = Field { raw: authority, name: b"host", ..path_field(Part::Value) };
            inspection.field(&field);
            path
        }
        None => path,
    };
    self::path(path, Location::Path, inspection);
    pairs::walk(query, pairs::Syntax::FORM, Location::QueryString, inspection);
}

/// Hands on the parts of a URL that a header holds; false if `url` is not an absolute one.
pub(crate) fn walk_url(url: &[u8], name: &[u8], inspection: &mut Inspection<'_>) -> bool {
    let (path, query) = split(url);
    let Some((authority, path)) = origin(path) else {
        return false;
    };
    let field =
        Field { location: Location::Header, part: Part::Value, name, raw: authority, wire: Wire::Percent };
    if !authority.iter().all(|&byte| is_plain(byte) || matches!(byte, b':' | b'[' | b']')) {
        inspection.field(&field);
    }
    if path.len() > 1 {
        inspection.field(&Field { raw: path, part: Part::Whole, ..field });
    }
    pairs::walk(query, pairs::Syntax::FORM, Location::Header, inspection);
    true
}

fn path(path: &[u8], location: Location, inspection: &mut Inspection<'_>) {
    inspection.field(&Field { raw: path, location, ..path_field(Part::Whole) });
    if path.iter().all(|&byte| is_plain(byte) || byte == b'/') {
        return coded(path, location, inspection);
    }
    for segment in path.split(|&byte| byte == b'/') {
        let (name, params) = match memchr(b';', segment) {
            Some(at) => (segment.get(..at).unwrap_or_default(), segment.get(at + 1..).unwrap_or_default()),
            None => (segment, &[][..]),
        };
        if !segment.iter().copied().all(is_plain) {
            document::value(&Field { raw: segment, location, ..path_field(Part::Value) }, inspection);
        }
        if !params.is_empty() {
            inspection.field(&Field { raw: name, location, ..path_field(Part::Value) });
            pairs::walk(params, pairs::Syntax::PATH, location, inspection);
        }
    }
}

/// Hands on the segments that are base64 of a text, as links in mails and image servers have them.
fn coded(path: &[u8], location: Location, inspection: &mut Inspection<'_>) {
    for raw in path.split(|&byte| byte == b'/').filter(|segment| decode::may_be_base64(segment)) {
        inspection.field(&Field { raw, location, ..path_field(Part::Value) });
    }
}

fn path_field<'a>(part: Part) -> Field<'a> {
    Field { location: Location::Path, part, name: b"", raw: b"", wire: Wire::Percent }
}

fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'?', target) {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..).unwrap_or_default()),
        None => (target, &[]),
    }
}

/// Splits `http://authority/path` in the middle; none for the origin form that requests usually have.
fn origin(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme = find(path.get(..path.len().min(16))?, b"://")?;
    if !matches!(path.get(..scheme)?.to_ascii_lowercase().as_slice(), b"http" | b"https" | b"ws" | b"wss") {
        return None;
    }
    let rest = path.get(scheme + 3..)?;
    let slash = memchr(b'/', rest).unwrap_or(rest.len());
    Some((rest.get(..slash)?, rest.get(slash..)?))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}
