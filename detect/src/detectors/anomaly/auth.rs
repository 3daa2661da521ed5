//! INSECURE-AUTH: credentials that protect nothing.
//!
//! Catches Basic credentials without TLS, with an empty or a factory password, or that are not base64; tokens whose
//! header says that they are not signed.

use crate::decode;
use crate::engine::Inspection;
use crate::request::Request;
use crate::scan::{self, starts_with_ignore_case};
use crate::signal::{Location, Tag};

/// User and password as shipped.
const FACTORY: [&[u8]; 10] = [
    b"admin:admin",
    b"admin:password",
    b"admin:1234",
    b"admin:12345",
    b"admin:123456",
    b"root:root",
    b"root:toor",
    b"tomcat:tomcat",
    b"guest:guest",
    b"test:test",
];

pub(super) fn inspect(request: &Request<'_>, inspection: &mut Inspection<'_>) {
    for value in request.header_values("authorization") {
        let value = value.trim_ascii();
        let idea = if starts_with_ignore_case(value, b"basic ") {
            basic(value.get(6..).unwrap_or_default().trim_ascii(), request.scheme)
        } else if starts_with_ignore_case(value, b"bearer ") {
            unsigned(value.get(7..).unwrap_or_default().trim_ascii()).then_some("TOKEN-UNSIGNED")
        } else {
            None
        };
        if let Some(detector) = idea {
            // Credentials are not evidence: only their kind is kept.
            let kind = value.split(|&byte| byte == b' ').next().unwrap_or_default();
            inspection.note(Tag::InsecureAuth, Location::Header, detector, kind);
        }
    }
}

fn basic(credentials: &[u8], scheme: &[u8]) -> Option<&'static str> {
    let Some(plain) = decode::base64(credentials) else { return Some("BASIC-MALFORMED") };
    let Some(colon) = plain.iter().position(|&byte| byte == b':') else { return Some("BASIC-MALFORMED") };
    if colon + 1 == plain.len() {
        return Some("BASIC-EMPTY");
    }
    if FACTORY.contains(&plain.as_slice()) {
        return Some("BASIC-FACTORY");
    }
    scheme.eq_ignore_ascii_case(b"http").then_some("BASIC-CLEARTEXT")
}

/// Whether a JSON Web Token says `"alg":"none"` or has no signature.
fn unsigned(token: &[u8]) -> bool {
    let mut parts = token.split(|&byte| byte == b'.');
    let (Some(header), Some(_), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Some(header) = header.get(..header.len().min(512)).and_then(decode::base64) else { return false };
    let plain: Vec<u8> =
        header.iter().filter(|byte| !byte.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
    scan::find(&plain, b"\"alg\":\"none\"").is_some() || signature.is_empty()
}
