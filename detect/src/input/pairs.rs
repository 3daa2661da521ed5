//! `name=value` lists: queries, forms and cookies.

use crate::engine::Inspection;
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
}

/// Hands on each name and each value of `list`.
pub(crate) fn walk(list: &[u8], syntax: Syntax, location: Location, inspection: &mut Inspection<'_>) {
    if list.is_empty() {
        return;
    }
    for pair in list.split(|&byte| byte == syntax.separator) {
        let pair = pair.trim_ascii_start();
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default()),
            None => (pair, &[][..]),
        };
        let field = Field { location, part: Part::Name, name, raw: name, wire: syntax.wire };
        inspection.field(&field);
        inspection.field(&Field { part: Part::Value, raw: value, ..field });
    }
}
