//! Headers: each value, and what it holds where it is a URL, credentials or cookies.

use crate::decode;
use crate::engine::Inspection;
use crate::input::{document, grammar, pairs, target};
use crate::request::{Header, Request};
use crate::scan;
use crate::signal::Location;
use crate::value::{Field, Part, Wire};

/// Hands on every header of `request` that has no bit in `known`.
pub(crate) fn walk(request: &Request<'_>, known: u64, inspection: &mut Inspection<'_>) {
    for (index, header) in request.headers.iter().enumerate() {
        if index >= 64 || known >> index & 1 == 0 {
            self::header(header, inspection);
        }
    }
}

fn header(header: &Header<'_>, inspection: &mut Inspection<'_>) {
    let known = Known::of(header.name);
    let location = if known == Known::UserAgent { Location::UserAgent } else { Location::Header };
    let field =
        Field { location, part: Part::Value, name: header.name, raw: header.value, wire: Wire::Plain };
    match known {
        Known::Cookie => pairs::walk(header.value, pairs::Syntax::COOKIE, Location::Cookie, inspection),
        Known::Referer => {
            if !target::walk_url(header.value, header.name, inspection) {
                inspection.field(&field);
            }
        }
        Known::Authorization => authorization(&field, inspection),
        Known::UserAgent if grammar::is_user_agent(header.value) => {
            inspection.structured(&field, grammar::usual_comment(header.value));
        }
        Known::Tokens if grammar::is_token_list(header.value) => inspection.structured(&field, 0..0),
        Known::UserAgent | Known::Tokens => inspection.field(&field),
        Known::Other => {
            if !header.name.iter().copied().all(is_header_name) {
                inspection.field(&Field { part: Part::Name, raw: header.name, ..field });
            }
            inspection.field(&field);
            if let Some(at) = memchr::memchr(b'?', header.value)
                && header.value.starts_with(b"http")
            {
                let query = header.value.get(at + 1..).unwrap_or_default();
                pairs::walk(query, pairs::Syntax::FORM, Location::Header, inspection);
            }
        }
    }
}

/// Basic credentials are read as user and password; other schemes as they are.
fn authorization(field: &Field<'_>, inspection: &mut Inspection<'_>) {
    let basic = field.raw.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case(b"basic "));
    let decoded = basic.and_then(|_| {
        let text = field.raw.get(6..)?.trim_ascii();
        decode::base64(text)
    });
    let Some(decoded) = decoded else {
        let token = field.raw.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let raw = token.and_then(|_| field.raw.get(7..)).unwrap_or(field.raw);
        return document::value(&Field { raw, ..*field }, inspection);
    };
    if inspection.take_decoded(decoded.len()) {
        for raw in decoded.splitn(2, |&byte| byte == b':') {
            inspection.field(&Field { raw, ..*field });
        }
    }
}

/// How a header's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Cookie,
    Referer,
    Authorization,
    UserAgent,
    /// A list of tokens with parameters: `text/html, */*;q=0.1`.
    Tokens,
    Other,
}

impl Known {
    fn of(name: &[u8]) -> Self {
        let is = |known: &str| scan::same(name, known.as_bytes());
        match name.first().map(u8::to_ascii_lowercase) {
            Some(b'c') if is("cookie") => Self::Cookie,
            Some(b'r') if is("referer") => Self::Referer,
            Some(b'a') if is("authorization") => Self::Authorization,
            Some(b'u') if is("user-agent") => Self::UserAgent,
            Some(b'a' | b'c' | b'd' | b'h' | b'i' | b'k' | b'p' | b's' | b't' | b'u')
                if TOKEN_HEADERS.iter().any(|known| is(known)) =>
            {
                Self::Tokens
            }
            _ => Self::Other,
        }
    }
}

fn is_header_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Headers whose honest values are token lists.
const TOKEN_HEADERS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "dnt",
    "host",
    "keep-alive",
    "pragma",
    "priority",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "te",
    "transfer-encoding",
    "upgrade-insecure-requests",
];
