//! HTTP/1 messages as people keep them in files: lines may end in LF alone, and lengths may be wrong after an edit.

use portcullis_detect::{Body, Header, Request};
use thiserror::Error;

/// A message taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<H> {
    pub(crate) head: H,
    pub(crate) body: Vec<u8>,
    /// Where the file contradicts itself, and what was made of it.
    pub(crate) remarks: Vec<String>,
}

/// Headers by name and value.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

impl Message<RequestHead> {
    /// The request with these headers, which are its own.
    pub(crate) fn request<'a>(&'a self, headers: &'a [Header<'a>]) -> Request<'a> {
        let host = headers.iter().find(|header| header.name.eq_ignore_ascii_case(b"host"));
        Request {
            method: &self.head.method,
            scheme: b"http",
            authority: host.map(|host| host.value).unwrap_or_default(),
            target: &self.head.target,
            protocol: &self.head.protocol,
            headers,
            body: Body { bytes: &self.body, truncated: false },
            ..Request::default()
        }
    }
}

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) protocol: Vec<u8>,
    fields: Fields,
}

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) code: u16,
    fields: Fields,
}

impl RequestHead {
    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        borrowed(&self.fields)
    }
}

impl ResponseHead {
    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        borrowed(&self.fields)
    }
}

fn borrowed(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<Header<'_>> {
    fields.iter().map(|(name, value)| Header { name, value }).collect()
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum RawError {
    #[error("is empty")]
    Empty,
    #[error("line 1: a request begins with a method and a target, as in `GET /path HTTP/1.1`")]
    RequestLine,
    #[error("line 1: a response begins with a version and a status, as in `HTTP/1.1 200 OK`")]
    StatusLine,
    #[error("line {line}: a header has a name and a colon; an empty line ends the head")]
    Field { line: usize },
    #[error("line {line}: more than {MOST_FIELDS} headers")]
    TooMany { line: usize },
}

/// Headers that are read.
const MOST_FIELDS: usize = 1000;

/// Reads a request.
pub(crate) fn request(bytes: &[u8]) -> Result<Message<RequestHead>, RawError> {
    let mut lines = Lines::new(bytes);
    let line = lines.next().ok_or(RawError::Empty)?;
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(RawError::RequestLine);
    };
    if !method.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(RawError::RequestLine);
    }
    // A target with spaces is what a careless client sends, and what a tool must be able to show.
    let rest = line.get(offset(line, target)..).unwrap_or_default().trim_ascii_end();
    let version = rest.iter().rposition(|&byte| byte == b' ');
    let version =
        version.and_then(|at| rest.split_at_checked(at)).filter(|(_, end)| is_version(end.trim_ascii()));
    let (target, protocol) = match version {
        Some((target, version)) => (target.trim_ascii_end(), version.trim_ascii()),
        None => (rest, &b"HTTP/1.1"[..]),
    };
    let (method, target, protocol) = (method.to_vec(), target.to_vec(), protocol.to_vec());
    let fields = lines.fields()?;
    let (body, remarks) = body(lines.rest(), &fields);
    Ok(Message { head: RequestHead { method, target, protocol, fields }, body, remarks })
}

/// Reads a response.
pub(crate) fn response(bytes: &[u8]) -> Result<Message<ResponseHead>, RawError> {
    let mut lines = Lines::new(bytes);
    let line = lines.next().ok_or(RawError::Empty)?;
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let version = words.next().filter(|version| is_version(version));
    let code = words.next().and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    let (Some(_), Some(code @ 100..=999)) = (version, code) else { return Err(RawError::StatusLine) };
    let fields = lines.fields()?;
    let (body, remarks) = body(lines.rest(), &fields);
    Ok(Message { head: ResponseHead { code, fields }, body, remarks })
}

fn is_version(word: &[u8]) -> bool {
    word.len() >= 6 && word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/"))
}

fn offset(line: &[u8], word: &[u8]) -> usize {
    line.windows(word.len()).skip(1).position(|here| here == word).map_or(0, |at| at + 1)
}

/// The lines of a head, without their ends.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// Starts at the first line that is not empty.
    fn new(bytes: &'a [u8]) -> Self {
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        Self { rest: bytes.get(blank..).unwrap_or_default(), number: 0 }
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (self.rest.get(..end)?, self.rest.get(end + 1..)?),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads headers up to the empty line or the end.
    fn fields(&mut self) -> Result<Fields, RawError> {
        let mut fields = Fields::new();
        while let Some(line) = self.next().filter(|line| !line.is_empty()) {
            if matches!(line.first(), Some(b' ' | b'\t'))
                && let Some((_, value)) = fields.last_mut()
            {
                // A folded line goes on with the value.
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
                continue;
            }
            if fields.len() >= MOST_FIELDS {
                return Err(RawError::TooMany { line: self.number });
            }
            let colon = line.iter().position(|&byte| byte == b':').filter(|&colon| colon > 0);
            let (name, value) = colon
                .and_then(|colon| line.split_at_checked(colon))
                .ok_or(RawError::Field { line: self.number })?;
            fields.push((name.to_vec(), value.get(1..).unwrap_or_default().trim_ascii().to_vec()));
        }
        Ok(fields)
    }
}

/// The body as the application would get it, and what is odd about its length.
fn body(rest: &[u8], fields: &[(Vec<u8>, Vec<u8>)]) -> (Vec<u8>, Vec<String>) {
    let field = |name: &str| fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
    let chunked =
        field("transfer-encoding").is_some_and(|(_, value)| value.to_ascii_lowercase().ends_with(b"chunked"));
    if chunked {
        return match unchunked(rest) {
            Some(body) => (body, Vec::new()),
            None => (
                rest.to_vec(),
                vec!["the body is not chunked as the head says; it is read as it stands".to_owned()],
            ),
        };
    }
    let declared =
        field("content-length").and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
    match declared {
        Some(length) if length < rest.len() => {
            let surplus = rest.get(length..).unwrap_or_default();
            let body = rest.get(..length).unwrap_or_default().to_vec();
            // An editor's line end is no remark.
            if surplus.trim_ascii().is_empty() {
                return (body, Vec::new());
            }
            (
                rest.to_vec(),
                vec![format!("Content-Length is {length}, the body has {}; all of it is read", rest.len())],
            )
        }
        Some(length) if length > rest.len() => {
            (rest.to_vec(), vec![format!("Content-Length is {length}, the body has only {}", rest.len())])
        }
        _ => (rest.to_vec(), Vec::new()),
    }
}

/// Undoes chunked coding (RFC 9112 section 7.1), LF line ends allowed; none where it is none or is cut.
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest.get(..end)?.trim_ascii();
        let size = line.split(|&byte| byte == b';').next()?.trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        rest = rest.get(end + 1..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?;
        rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_line_feeds_as_line_ends() {
        for text in
            ["POST /a?b=1 HTTP/1.1\nHost: x\n\nbody", "\r\nPOST /a?b=1 HTTP/1.1\r\nHost: x\r\n\r\nbody"]
        {
            let message = request(text.as_bytes()).unwrap();
            assert_eq!((&message.head.method[..], &message.head.target[..]), (&b"POST"[..], &b"/a?b=1"[..]));
            assert_eq!(message.head.headers(), [Header { name: b"Host", value: b"x" }]);
            assert_eq!(message.body, b"body");
        }
    }

    #[test]
    fn keeps_spaces_in_a_target_and_completes_a_version() {
        let head = request(b"GET /?q=1 or 1=1 HTTP/1.0").unwrap().head;
        assert_eq!((&head.target[..], &head.protocol[..]), (&b"/?q=1 or 1=1"[..], &b"HTTP/1.0"[..]));
        let head = request(b"GET /?q=1 or 1=1\n").unwrap().head;
        assert_eq!((&head.target[..], &head.protocol[..]), (&b"/?q=1 or 1=1"[..], &b"HTTP/1.1"[..]));
    }

    #[test]
    fn joins_folded_headers() {
        let head = request(b"GET / HTTP/1.1\nX: a\n  b\nY: c\n\n").unwrap().head;
        assert_eq!(head.headers().iter().map(|header| header.value).collect::<Vec<_>>(), [&b"a b"[..], b"c"]);
    }

    #[test]
    fn takes_the_body_as_long_as_it_is_and_says_so() {
        let body = |text: &str| {
            request(text.as_bytes()).map(|message| (message.body, message.remarks.len())).unwrap()
        };
        assert_eq!(body("POST / HTTP/1.1\nContent-Length: 3\n\nabc\n"), (b"abc".to_vec(), 0));
        assert_eq!(body("POST / HTTP/1.1\nContent-Length: 2\n\nabc"), (b"abc".to_vec(), 1));
        assert_eq!(body("POST / HTTP/1.1\nContent-Length: 9\n\nabc"), (b"abc".to_vec(), 1));
        assert_eq!(
            body("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"),
            (b"abc".to_vec(), 0)
        );
        assert_eq!(body("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nabc"), (b"abc".to_vec(), 1));
        let huge = "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nffffffffffffffff\nabc";
        assert_eq!(body(huge).1, 1);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        assert_eq!(request(b" \n"), Err(RawError::Empty));
        assert_eq!(request(b"GET\n"), Err(RawError::RequestLine));
        assert_eq!(request(b"{\"a\": 1}"), Err(RawError::RequestLine));
        assert_eq!(request(b"GET / HTTP/1.1\nHost: x\nno colon\n"), Err(RawError::Field { line: 3 }));
        assert_eq!(response(b"GET / HTTP/1.1\n"), Err(RawError::StatusLine));
        assert_eq!(response(b"HTTP/1.1 99999\n"), Err(RawError::StatusLine));
        assert_eq!(response(b"HTTP/2 404\nServer: x\n\nno").unwrap().head.code, 404);
    }

    #[test]
    fn survives_every_cut() {
        let text = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n  x\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for end in 0..text.len() {
            let _ = request(&text[..end]);
            let _ = response(&text[..end]);
        }
    }
}
