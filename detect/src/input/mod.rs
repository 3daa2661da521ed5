//! Where input lives in a request: finds every value a client controls and hands it on as a
//! [`Field`](crate::value::Field).

mod body;
mod charset;
mod document;
mod grammar;
mod graphql;
mod headers;
mod inflate;
mod json;
mod multipart;
mod pairs;
mod protobuf;
mod sniff;
mod target;
mod xml;

use crate::engine::Inspection;
use crate::request::Request;

/// Hands every field of `request` to `inspection`, outermost first.
pub(crate) fn walk(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    target::walk(request.target, inspection);
    headers::walk(request, inspection);
    body::walk(request, inspection);
}
