//! What a body is, by its own look and by its Content-Type.

use memchr::memchr;

use crate::input::{json, multipart};
use crate::scan::starts_with_ignore_case;

/// A syntax in which bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Form,
    Json,
    Xml,
    Multipart,
    Graphql,
    /// Text in no particular syntax.
    Text,
    /// Protocol Buffers, also framed by gRPC.
    Protobuf,
    /// Anything else that is not text.
    Binary,
}

/// What `content_type` says the body is; none where it says nothing.
pub(crate) fn claimed(content_type: &[u8]) -> Option<Kind> {
    let end = content_type.iter().position(|byte| matches!(byte, b';' | b',')).unwrap_or(content_type.len());
    let mime = content_type.get(..end)?.trim_ascii();
    let has = |part: &[u8]| mime.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    Some(match mime {
        [] => return None,
        _ if has(b"x-www-form-urlencoded") => Kind::Form,
        _ if has(b"multipart") => Kind::Multipart,
        _ if has(b"graphql") && !has(b"json") => Kind::Graphql,
        _ if has(b"json") || has(b"javascript") => Kind::Json,
        _ if has(b"protobuf") || has(b"grpc") => Kind::Protobuf,
        _ if has(b"xml") || has(b"soap") || has(b"svg") => Kind::Xml,
        _ if starts_with_ignore_case(mime, b"text/") => Kind::Text,
        _ => Kind::Binary,
    })
}

/// What `body` looks like; none where nothing speaks.
pub(crate) fn looks(body: &[u8], depth: usize) -> Option<Kind> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    match body.first()? {
        b'{' | b'[' if json::is_document(body, depth) => Some(Kind::Json),
        b'<' if looks_like_xml(body) => Some(Kind::Xml),
        b'-' if multipart::sniffed_boundary(body).is_some() => Some(Kind::Multipart),
        _ if looks_like_form(body) => Some(Kind::Form),
        _ => None,
    }
}

/// Whether `body` starts the way an object, an array or a string does.
pub(crate) fn starts_like_json(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    matches!(body.first(), Some(b'{' | b'[' | b'"'))
}

/// Whether most of the first bytes are text.
pub(crate) fn is_text(body: &[u8]) -> bool {
    let head = body.get(..body.len().min(1024)).unwrap_or_default();
    let odd = head.iter().filter(|&&byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')).count();
    let high = head.iter().filter(|&&byte| byte >= 0x80).count();
    let garbled = high > 0 && String::from_utf8_lossy(head).matches('\u{fffd}').count() * 4 > high;
    odd * 50 <= head.len() && (!garbled || high * 4 < head.len())
}

/// A declaration, a doctype, or an element with an end tag to match.
pub(crate) fn looks_like_xml(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if starts_with_ignore_case(body, b"<?xml") || starts_with_ignore_case(body, b"<!doctype") {
        return true;
    }
    let name = body.get(1..).unwrap_or_default();
    let end =
        name.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'_' | b'-')));
    let name = name.get(..end.unwrap_or(0)).unwrap_or_default();
    !name.is_empty()
        && body
            .strip_suffix(b">")
            .map(<[u8]>::trim_ascii_end)
            .is_some_and(|body| body.strip_suffix(name).is_some_and(|body| body.ends_with(b"</")))
}

/// `name=` at the start and nothing but form bytes up to it, no raw line ends later on.
fn looks_like_form(body: &[u8]) -> bool {
    let Some(equals) = memchr(b'=', body) else {
        return false;
    };
    let name = body.get(..equals).unwrap_or_default();
    !name.is_empty()
        && name.len() <= 64
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'%' | b'$' | b':')
        })
        && memchr(b'\n', body).is_none()
}
