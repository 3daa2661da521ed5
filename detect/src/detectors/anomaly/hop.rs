//! BHH: hop headers on whose meaning two servers in a row can disagree (RFC 9112 section 6).
//!
//! Catches Content-Length beside Transfer-Encoding, lengths that differ or are no number, transfer codings other than
//! the known ones in the known order, framing headers with odd names, hop headers that `Connection` asks to drop.

use crate::engine::Inspection;
use crate::request::Request;
use crate::scan;
use crate::signal::{Location, Tag};

/// Headers that `Connection` must not name: dropping them changes what the next hop reads.
const KEPT: [&[u8]; 8] = [
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"content-type",
    b"authorization",
    b"cookie",
    b"x-forwarded-for",
    b"x-real-ip",
];

pub(super) fn inspect(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    let mut length: Option<&[u8]> = None;
    let mut coding: Option<&[u8]> = None;
    let mut odd = |detector, value: &[u8]| inspection.note(Tag::Bhh, Location::Header, detector, value);
    for header in request.headers {
        let (name, value) = (header.name, header.value.trim_ascii());
        let is = |known: &[u8]| scan::same(name, known);
        if is(b"content-length") {
            if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                odd("HOP-LENGTH", header.value);
            }
            if length.is_some_and(|first| first != value) {
                odd("HOP-LENGTHS", header.value);
            }
            length = Some(value);
        } else if is(b"transfer-encoding") {
            if !is_coding(header.value) || coding.is_some() {
                odd("HOP-CODING", header.value);
            }
            coding = Some(value);
        } else if is(b"connection") {
            if value.split(|&byte| byte == b',').any(|token| drops(token.trim_ascii())) {
                odd("HOP-CONNECTION", header.value);
            }
        } else if is_disguised(name) {
            odd("HOP-NAME", name);
        }
    }
    if let (Some(_), Some(coding)) = (length, coding) {
        odd("HOP-CONFLICT", coding);
    }
    if let (Some(coding), b"HTTP/1.0" | b"HTTP/0.9") = (coding, request.protocol) {
        odd("HOP-VERSION", coding);
    }
}

/// Whether `value` is a list of known codings that ends in `chunked`, and only there.
fn is_coding(value: &[u8]) -> bool {
    let known = [&b"chunked"[..], b"gzip", b"x-gzip", b"deflate", b"compress", b"trailers"];
    let plain = value.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-, ".contains(&byte));
    let tokens = || value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let chunked = tokens().filter(|token| scan::same(token, b"chunked")).count();
    plain
        && chunked == 1
        && tokens().next_back().is_some_and(|last| scan::same(last, b"chunked"))
        && tokens().all(|token| known.iter().any(|known| scan::same(token, known)))
}

fn drops(token: &[u8]) -> bool {
    KEPT.iter().any(|kept| scan::same(token, kept))
}

/// Whether `name` is a framing header with something strewn in, as `Transfer_Encoding` or `Content-Length `.
fn is_disguised(name: &[u8]) -> bool {
    if !(14..=24).contains(&name.len()) {
        return false;
    }
    let letters = |name: &[u8], word: &[u8]| {
        let letters = name.iter().filter(|byte| byte.is_ascii_alphabetic()).map(u8::to_ascii_lowercase);
        letters.eq(word.iter().copied())
    };
    letters(name, b"transferencoding") || letters(name, b"contentlength")
}
