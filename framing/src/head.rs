//! One complete request head, judged.

use memchr::memchr;

use crate::guard::Limits;
use crate::rejection::Rejection;

/// How the body behind a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes; zero where there is no body.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// The framing that `head`, which ends in its empty line, leaves no doubt about.
pub(crate) fn judge(head: &[u8], limits: &Limits) -> Result<Framing, Rejection> {
    let mut lines = Lines { rest: head };
    let version = request_line(lines.next_line()?)?;
    let mut fields = Fields::default();
    let mut count = 0_usize;
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.headers {
            return Err(Rejection::TooManyHeaders);
        }
        fields.note(header(line)?)?;
    }
    fields.framing(version)
}

/// Checks the lines of a trailer section, which ends in its empty line.
pub(crate) fn judge_trailers(section: &[u8], limits: &Limits) -> Result<(), Rejection> {
    let mut lines = Lines { rest: section };
    for _ in 0..=limits.headers {
        let line = lines.next_line()?;
        if line.is_empty() {
            return Ok(());
        }
        let (name, _) = header(line)?;
        let forbidden = [&b"content-length"[..], b"transfer-encoding", b"host"];
        if forbidden.iter().any(|framing| name.eq_ignore_ascii_case(framing)) || is_disguised(name) {
            return Err(Rejection::Trailer);
        }
    }
    Err(Rejection::Trailer)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// Lines that end in CRLF and hold neither byte otherwise.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<&'a [u8], Rejection> {
        let end = memchr(b'\n', self.rest).ok_or(Rejection::BareCarriageReturn)?;
        let (line, rest) = self.rest.split_at_checked(end + 1).ok_or(Rejection::BareLineFeed)?;
        self.rest = rest;
        let line = line.strip_suffix(b"\r\n").ok_or(Rejection::BareLineFeed)?;
        // Without a way out in the loop, many bytes are looked at in one step.
        let control = |found: bool, &byte: &u8| found | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f);
        if line.iter().fold(false, control) {
            let lone = line.contains(&b'\r');
            return Err(if lone { Rejection::BareCarriageReturn } else { Rejection::Control });
        }
        Ok(line)
    }
}

/// RFC 9112 section 3: single spaces, a token, a target without white space. Bytes beyond ASCII in the target are let
/// through: clients send them, and they delimit nothing.
fn request_line(line: &[u8]) -> Result<Version, Rejection> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Rejection::RequestLine);
    };
    if !is_token(method) || target.is_empty() || target.contains(&b'\t') || !has_a_form(method, target) {
        return Err(Rejection::RequestLine);
    }
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(Rejection::Version),
    }
}

/// One of the four forms of RFC 9112 section 3.2.
fn has_a_form(method: &[u8], target: &[u8]) -> bool {
    target.starts_with(b"/")
        || target == b"*"
        || method == b"CONNECT"
        || target.windows(3).any(|three| three == b"://")
}

/// Where the target stands in a head that passed.
pub(crate) fn target(head: &[u8]) -> Option<(usize, usize)> {
    let start = head.iter().position(|&byte| byte == b' ')? + 1;
    let length = head.get(start..)?.iter().position(|&byte| byte == b' ')?;
    Some((start, start + length))
}

/// Whether `target` holds bytes that RFC 3986 has no place for and that parsers differ on: they delimit nothing, but a
/// strict parser refuses them.
pub fn is_odd_target(target: &[u8]) -> bool {
    let odd = |found: bool, byte: &u8| found | ODD.contains(byte);
    target.iter().fold(false, odd) || std::str::from_utf8(target).is_err()
}

/// Such bytes.
const ODD: &[u8; 4] = b"\"<>`";

/// Appends a head that passed with the odd bytes of its target percent-encoded, which every application reads as the
/// bytes themselves.
pub fn encode_target(head: &[u8], encoded: &mut Vec<u8>) {
    let Some((start, end)) = target(head) else { return encoded.extend_from_slice(head) };
    let target = head.get(start..end).unwrap_or_default();
    let text = std::str::from_utf8(target).is_ok();
    encoded.extend_from_slice(head.get(..start).unwrap_or_default());
    for &byte in target {
        if ODD.contains(&byte) || (byte >= 0x80 && !text) {
            let digit = |nibble: u8| *b"0123456789ABCDEF".get(usize::from(nibble)).unwrap_or(&b'0');
            encoded.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        } else {
            encoded.push(byte);
        }
    }
    encoded.extend_from_slice(head.get(end..).unwrap_or_default());
}

/// RFC 9110 section 5.6.2.
fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|&byte| TOKEN.get(usize::from(byte)).is_some_and(|&token| token))
}

/// The bytes of a token.
#[expect(clippy::indexing_slicing, reason = "an index out of bounds would not compile")]
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let (mut rest, mut byte): (&[u8], u8) = (b"!#$%&'*+-.^_`|~", b'0');
    while let [first, behind @ ..] = rest {
        token[*first as usize] = true;
        rest = behind;
    }
    while byte <= b'z' {
        if byte.is_ascii_alphanumeric() {
            token[byte as usize] = true;
        }
        byte += 1;
    }
    token
};

fn header(line: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Rejection::FoldedLine);
    }
    let colon = memchr(b':', line).ok_or(Rejection::HeaderName)?;
    let (name, value) = line.split_at_checked(colon).ok_or(Rejection::HeaderName)?;
    if !is_token(name) {
        return Err(Rejection::HeaderName);
    }
    let value = value.get(1..).unwrap_or_default();
    Ok((name, trim(value)))
}

/// Only the white space of RFC 9110 section 5.6.3: a vertical tab around a number is not part of it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Names that become a framing header once `_` is read as `-`, as CGI gateways do.
fn is_disguised(name: &[u8]) -> bool {
    let plain = |framing: &[u8]| {
        name.len() == framing.len()
            && name.contains(&b'_')
            && name.iter().zip(framing).all(|(&byte, &wanted)| {
                byte.to_ascii_lowercase() == wanted || (byte == b'_' && wanted == b'-')
            })
    };
    plain(b"content-length") || plain(b"transfer-encoding")
}

#[derive(Default)]
struct Fields {
    length: Option<u64>,
    chunked: bool,
    hosts: usize,
}

impl Fields {
    fn note(&mut self, (name, value): (&[u8], &[u8])) -> Result<(), Rejection> {
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value).ok_or(Rejection::ContentLength)?;
            if self.length.replace(length).is_some() {
                return Err(Rejection::DuplicateContentLength);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                return Err(Rejection::DuplicateTransferEncoding);
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Rejection::TransferEncoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            let odd = |&byte: &u8| byte <= b' ' || b"/?#@,\\<>\"".contains(&byte);
            if self.hosts > 1 || value.iter().any(odd) {
                return Err(Rejection::Host);
            }
        } else if is_disguised(name) {
            return Err(Rejection::Disguised);
        }
        Ok(())
    }

    fn framing(&self, version: Version) -> Result<Framing, Rejection> {
        if self.chunked && self.length.is_some() {
            return Err(Rejection::LengthAndChunked);
        }
        if self.chunked && version == Version::Http10 {
            return Err(Rejection::TransferEncoding);
        }
        if self.hosts == 0 && version == Version::Http11 {
            return Err(Rejection::Host);
        }
        Ok(if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) })
    }
}

/// Digits only: no sign, no list, no white space within.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
