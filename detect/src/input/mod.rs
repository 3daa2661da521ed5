//! Where input lives in a request: finds every value a client controls and hands it on as a [`Field`].

mod body;
mod pairs;
mod target;

use crate::engine::Inspection;
use crate::request::Request;
use crate::signal::Location;
use crate::value::{Field, Part, Wire};

/// Hands every field of `request` to `inspection`, outermost first.
pub(crate) fn walk(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    target::walk(request.target, inspection);
    headers(request, inspection);
    body::walk(request, inspection);
}

fn headers(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    for header in request.headers {
        let location = if header.name.eq_ignore_ascii_case(b"user-agent") {
            Location::UserAgent
        } else {
            Location::Header
        };
        if header.name.eq_ignore_ascii_case(b"cookie") {
            pairs::walk(header.value, pairs::Syntax::COOKIE, Location::Cookie, inspection);
            continue;
        }
        inspection.field(&Field {
            location,
            part: Part::Value,
            name: header.name,
            raw: header.value,
            wire: Wire::Plain,
        });
    }
}
