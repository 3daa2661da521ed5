//! `name=value` lists: queries, forms and cookies.

use crate::engine::Inspection;
use crate::input::document;
use crate::signal::Location;
use crate::value::{Field, Part, Wire};

/// How a list of pairs is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    separator: u8,
    wire: Wire,
}

impl Syntax {
    /// `a=1&b=2`, percent-encoded.
    pub(crate) const FORM: Self = Self { separator: b'&', wire: Wire::Form };
    /// `a=1; b=2` (RFC 6265 section 4.2.1).
    pub(crate) const COOKIE: Self = Self { separator: b';', wire: Wire::Percent };
    /// `;a=1;b=2` behind a path segment.
    pub(crate) const PATH: Self = Self { separator: b';', wire: Wire::Percent };
    /// `a=1;b=2`, the separator that HTML 4 recommended for queries.
    const SEMICOLON: Self = Self { separator: b';', wire: Wire::Form };
}

/// Hands on each name and each value of `list`.
pub(crate) fn walk(list: &[u8], syntax: Syntax, location: Location, inspection: &mut Inspection<'_>) {
    if list.is_empty() {
        return;
    }
    let syntax = if syntax.wire == Wire::Form && uses_semicolons(list) { Syntax::SEMICOLON } else { syntax };
    let field = Field { location, part: Part::Value, name: b"", raw: b"", wire: syntax.wire };
    let mut last = Last::default();
    let mut start = 0;
    let ends = memchr::memchr_iter(syntax.separator, list).chain([list.len()]);
    for end in ends {
        let piece = list.get(start..end).unwrap_or_default();
        let pair = piece.trim_ascii_start();
        match memchr::memchr(b'=', pair) {
            Some(at) => {
                last.hand_on(list, &field, inspection);
                let (name, value) =
                    (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default());
                inspection.field(&Field { part: Part::Name, name, raw: name, ..field });
                last = Last { name, from: end - value.len(), to: end, joined: false };
            }
            // A stray separator inside a value that the client did not encode: the words after it are read alone,
            // as the server does, and together with the value, as the writer meant them.
            None if !is_name(pair) => {
                inspection.field(&Field { raw: pair, ..field });
                encoded_pair(pair, &field, inspection);
                if last.to > 0 {
                    last = Last { to: end, joined: true, ..last };
                }
            }
            None => inspection.field(&Field { raw: pair, ..field }),
        }
        start = end + 1;
    }
    last.hand_on(list, &field, inspection);
}

/// Hands on the value of a pair whose `=` was encoded with the rest (`name%3Dvalue`), as clients do that encode a body
/// twice; the whole piece has been handed on already.
fn encoded_pair(piece: &[u8], field: &Field<'_>, inspection: &mut Inspection<'_>) {
    let equals =
        |at: &usize| piece.get(*at..).and_then(|rest| rest.first_chunk()).is_some_and(is_encoded_equals);
    let Some(at) = memchr::memchr_iter(b'%', piece).find(equals) else { return };
    if let (Some(name), Some(raw)) = (piece.get(..at), piece.get(at + 3..))
        && !name.is_empty()
        && is_name(name)
    {
        inspection.field(&Field { name, raw, ..*field });
    }
}

fn is_encoded_equals(three: &[u8; 3]) -> bool {
    matches!(three, b"%3D" | b"%3d")
}

/// The value that has not been handed on yet: pieces without a name may still join it.
#[derive(Clone, Copy, Default)]
struct Last<'a> {
    name: &'a [u8],
    from: usize,
    to: usize,
    joined: bool,
}

impl Last<'_> {
    fn hand_on(&self, list: &[u8], field: &Field<'_>, inspection: &mut Inspection<'_>) {
        let raw = list.get(self.from..self.to).unwrap_or_default();
        if self.to == 0 || (raw.is_empty() && !self.joined) {
            return;
        }
        let raw = match (field.location, raw) {
            (Location::Cookie, [b'"', inner @ .., b'"']) => inner,
            _ => raw,
        };
        document::value(&Field { name: self.name, raw, ..*field }, inspection);
    }
}

/// Whether `list` has no `&` but is `name=value` between all its semicolons.
fn uses_semicolons(list: &[u8]) -> bool {
    memchr::memchr(b';', list).is_some()
        && memchr::memchr(b'&', list).is_none()
        && list
            .split(|&byte| byte == b';')
            .all(|piece| memchr::memchr(b'=', piece).is_some_and(|at| piece.get(..at).is_some_and(is_name)))
}

/// Whether `piece` could be a parameter's name and nothing else.
fn is_name(piece: &[u8]) -> bool {
    piece.len() <= 64
        && piece
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']'))
}
