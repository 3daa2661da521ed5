//! The request and the response as a whole: what no single value shows.
//!
//! One pass over the headers, one over the path. Anomalies only; none of them blocks by itself.
//! Vectors: `vectors/request`.

mod auth;
mod graphql;
mod hop;
mod path;
mod response;
mod tls;

use crate::detectors::tools;
use crate::engine::Inspection;
use crate::request::{Request, Response};
use crate::scan;
use crate::signal::{Location, Tag};

/// Headers that must stand once.
const ONCE: [&[u8]; 5] =
    [b"authorization", b"content-length", b"content-type", b"host", b"transfer-encoding"];

/// Looks at `request`.
pub(crate) fn inspect_request(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    let mut seen = [0_usize; ONCE.len()];
    let mut agent = None;
    for header in request.headers {
        let once = ONCE.iter().position(|name| scan::same(header.name, name));
        if let Some(count) = once.and_then(|at| seen.get_mut(at)) {
            *count += 1;
            if *count == 2 {
                inspection.note(Tag::DuplicateHeaders, Location::Header, "DUPLICATE-HEADER", header.name);
            }
        }
        if scan::same(header.name, b"user-agent") {
            agent = Some(header.value);
        }
        if tools::is_tool_header(header.name) {
            inspection.note(Tag::Useragent, Location::Header, "TOOL-HEADER", header.name);
        }
    }
    if agent.is_none_or(|agent| agent.trim_ascii().is_empty()) {
        inspection.note(Tag::NoUa, Location::Request, "NO-AGENT", b"");
    }
    hop::inspect(request, inspection);
    auth::inspect(request, inspection);
    path::inspect(request, inspection);
    graphql::inspect(request, inspection);
    tls::inspect(request, inspection);
}

/// Looks at `response`.
pub(crate) fn inspect_response(response: &Response<'_>, inspection: &mut Inspection<'_>) {
    response::inspect(response, inspection);
}
