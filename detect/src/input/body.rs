//! The body: read as what it is.

use crate::engine::Inspection;
use crate::input::pairs;
use crate::request::Request;
use crate::signal::Location;

/// Hands on every field of the body.
pub(crate) fn walk(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    pairs::walk(request.body.bytes, pairs::Syntax::FORM, Location::Post, inspection);
}
