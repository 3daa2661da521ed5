//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode, Version};
use httparse::ParserConfig;
use hyper::ext::ReasonPhrase;

use crate::wire::WireError;

/// Bytes of a head.
const MOST_BYTES: usize = 400 * 1024;
/// Its headers.
const MOST_HEADERS: usize = 100;

/// A whole head.
#[derive(Debug)]
pub(super) struct Head {
    /// Status and headers.
    pub(super) response: Response<()>,
    /// How the body behind it ends.
    pub(super) framing: Framing,
    /// Whether the connection can be used again after the body.
    pub(super) keeps: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Takes a head off `read`; none where it is not whole.
///
/// # Errors
/// Where it is malformed or too large.
pub(super) fn take(read: &mut BytesMut, method: &Method) -> Result<Option<Head>, WireError> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, read, &mut headers);
    let length = match status.map_err(WireError::Head)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if read.len() > MOST_BYTES => return Err(WireError::LongHead),
        httparse::Status::Partial => return Ok(None),
    };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| WireError::Malformed)?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let reason =
        parsed.reason.filter(|reason| status.canonical_reason() != Some(reason) && !reason.is_empty());
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    // Where each value stands: they become parts of the bytes read, without a copy.
    let base = read.as_ptr().addr();
    let mut found: Vec<(HeaderName, usize, usize)> = Vec::with_capacity(parsed.headers.len());
    for header in &*parsed.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| WireError::Malformed)?;
        found.push((name, header.value.as_ptr().addr() - base, header.value.len()));
    }
    let bytes = read.split_to(length).freeze();
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    let map = response.headers_mut();
    map.reserve(found.len());
    for (name, start, length) in found {
        map.append(name, value(&bytes, start, length)?);
    }
    let framing = framing(status, version, map, method)?;
    let keeps = framing != Framing::Close && keeps(version, map);
    Ok(Some(Head { response, framing, keeps }))
}

fn value(bytes: &Bytes, start: usize, length: usize) -> Result<HeaderValue, WireError> {
    // An empty value may stand anywhere.
    if length == 0 {
        return Ok(HeaderValue::from_static(""));
    }
    if bytes.get(start..start + length).is_none() {
        return Err(WireError::Malformed);
    }
    HeaderValue::from_maybe_shared(bytes.slice(start..start + length)).map_err(|_| WireError::Malformed)
}

/// RFC 9112 section 6.3. A length beside chunks is taken off: whoever reads the answer must not believe it.
fn framing(
    status: StatusCode,
    version: Version,
    headers: &mut HeaderMap,
    method: &Method,
) -> Result<Framing, WireError> {
    if *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        return Ok(Framing::Length(0));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        if version == Version::HTTP_10 {
            return Err(WireError::Malformed);
        }
        headers.remove(CONTENT_LENGTH);
        let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
        let last = last.and_then(|value| value.as_bytes().rsplit(|&byte| byte == b',').next());
        let chunked = last.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        return Ok(if chunked { Framing::Chunked } else { Framing::Close });
    }
    let mut told = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for number in value.as_bytes().split(|&byte| byte == b',') {
            let number = length(number.trim_ascii()).ok_or(WireError::Malformed)?;
            if told.replace(number).is_some_and(|before| before != number) {
                return Err(WireError::Malformed);
            }
        }
    }
    Ok(told.map_or(Framing::Close, Framing::Length))
}

/// Digits only.
fn length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// RFC 9112 section 9.3.
fn keeps(version: Version, headers: &HeaderMap) -> bool {
    let says = |wanted: &[u8]| {
        let values = headers.get_all(CONNECTION).iter();
        let mut words = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(wanted))
    };
    !says(b"close") && (version == Version::HTTP_11 || says(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, method: &Method) -> Result<Option<Head>, WireError> {
        take(&mut BytesMut::from(text), method)
    }

    fn framing_of(text: &str) -> Option<Framing> {
        of(text, &Method::GET).ok().flatten().map(|head| head.framing)
    }

    #[test]
    fn is_whole_or_not_at_every_cut() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: \r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nok";
        let head = text.len() - 2;
        for end in 0..head {
            assert!(of(&text[..end], &Method::GET).unwrap().is_none(), "{end}");
        }
        let mut read = BytesMut::from(text);
        let head = take(&mut read, &Method::GET).unwrap().unwrap();
        assert_eq!(&read[..], b"ok");
        assert_eq!((head.framing, head.keeps), (Framing::Length(2), true));
        let headers = head.response.headers();
        assert_eq!(headers["x"], "");
        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn tells_how_a_body_ends() {
        let told = |fields: &str| framing_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!(told(""), Some(Framing::Close));
        assert_eq!(told("Content-Length: 5\r\nContent-Length: 5\r\n"), Some(Framing::Length(5)));
        assert_eq!(told("Content-Length: 5, 5\r\n"), Some(Framing::Length(5)));
        assert_eq!(told("Content-Length: 5\r\nContent-Length: 6\r\n"), None);
        assert_eq!(told("Content-Length: +5\r\n"), None);
        assert_eq!(told("Content-Length: 99999999999999999999\r\n"), None);
        assert_eq!(told("Transfer-Encoding: gzip, Chunked\r\n"), Some(Framing::Chunked));
        assert_eq!(told("Transfer-Encoding: gzip\r\n"), Some(Framing::Close));
        assert_eq!(framing_of("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None);
        assert_eq!(framing_of("HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n"), Some(Framing::Length(0)));
        let head = of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &Method::HEAD).unwrap().unwrap();
        assert_eq!(head.framing, Framing::Length(0));
    }

    #[test]
    fn a_length_beside_chunks_is_not_passed_on() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = of(text, &Method::GET).unwrap().unwrap();
        assert!(!head.response.headers().contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn tells_whether_a_connection_is_kept() {
        let kept = |version: &str, connection: &str| {
            let text =
                format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\nConnection: {connection}\r\n\r\n");
            of(&text, &Method::GET).unwrap().unwrap().keeps
        };
        assert!(kept("1.1", "x"));
        assert!(!kept("1.1", "x, Close"));
        assert!(!kept("1.0", "x"));
        assert!(kept("1.0", "keep-alive"));
    }

    #[test]
    fn keeps_a_reason_of_its_own_and_refuses_nonsense() {
        let head = of("HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n", &Method::GET).unwrap().unwrap();
        assert_eq!(head.response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine");
        for text in ["HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] {
            assert!(of(text, &Method::GET).is_err(), "{text}");
        }
        assert!(of(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(MOST_BYTES)), &Method::GET).is_err());
    }
}
