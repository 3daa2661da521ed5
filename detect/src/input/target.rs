//! The request target: path and query.

use crate::engine::Inspection;
use crate::input::pairs;
use crate::signal::Location;
use crate::value::{Field, Part, Wire};

/// Hands on the whole path, each of its segments' parameters and each query parameter.
pub(crate) fn walk(target: &[u8], inspection: &mut Inspection<'_>) {
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..).unwrap_or_default()),
        None => (target, &[][..]),
    };
    inspection.field(&Field {
        location: Location::Path,
        part: Part::Whole,
        name: b"",
        raw: path,
        wire: Wire::Percent,
    });
    pairs::walk(query, pairs::Syntax::FORM, Location::QueryString, inspection);
}
