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
    walk_unknown(request, 0, inspection);
}

/// The same, apart from the headers that have a bit in `known`.
pub(crate) fn walk_unknown(request: &Request<'_>, known: u64, inspection: &mut Inspection<'_>) {
    target::walk(request.target, inspection);
    headers::walk(request, known, inspection);
    body::walk(request, inspection);
}

/// Hands every field of the body of `request` to `inspection`.
pub(crate) fn walk_body(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    body::walk(request, inspection);
}

/// The parsers by name; each returns how many pieces it handed on.
#[cfg(feature = "fuzzing")]
pub(crate) fn named(name: &str) -> Option<fn(&[u8]) -> usize> {
    Some(match name {
        "json" => |bytes| {
            count(|seen| {
                let _ = json::walk(bytes, 64, &mut |_| *seen += 1);
            })
        },
        "xml" => |bytes| {
            count(|seen| {
                let _ = xml::walk(bytes, 64, &mut |_| *seen += 1);
            })
        },
        "multipart" => |bytes| {
            // The first line is the Content-Type, which the client chooses too.
            let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
            let (head, body) = bytes.split_at(end);
            let boundary = multipart::boundary(head).or_else(|| multipart::sniffed_boundary(body));
            count(|seen| multipart::walk(body, boundary.unwrap_or(b"b"), 100, &mut |_| *seen += 1))
        },
        "graphql" => |bytes| usize::from(graphql::Document::parse(bytes, 100).is_some()),
        "protobuf" => |bytes| {
            count(|seen| {
                let _ = protobuf::walk(bytes, 8, &mut |_| *seen += 1);
            })
        },
        "grammar" => {
            |bytes| usize::from(grammar::is_token_list(bytes)) + usize::from(grammar::is_user_agent(bytes))
        }
        "sniff" => {
            |bytes| usize::from(sniff::looks(bytes, 64).is_some()) + usize::from(sniff::is_text(bytes))
        }
        "charset" => |bytes| {
            let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
            let (head, body) = bytes.split_at(end);
            charset::ascii_compatible(body, head).len()
        },
        "inflate" => |bytes| {
            let codings = [&b"gzip"[..], b"deflate", b"br", b"deflate, gzip"];
            codings.into_iter().map(|coding| inflate::undo(bytes, coding, INFLATED).len()).sum()
        },
        _ => return None,
    })
}

#[cfg(feature = "fuzzing")]
fn count(walk: impl FnOnce(&mut usize)) -> usize {
    let mut seen = 0;
    walk(&mut seen);
    seen
}

#[cfg(feature = "fuzzing")]
const INFLATED: usize = 1 << 16;
