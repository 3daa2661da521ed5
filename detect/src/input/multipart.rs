//! A lenient `multipart/*` reader (RFC 7578, RFC 2046): every part a server might see, and what is odd about them.
//!
//! Parsers differ in what they forgive; each deviation that one of them reads differently is reported as an oddity.

use std::borrow::Cow;

use memchr::memchr;

use crate::scan::{self, starts_with_ignore_case};

/// One part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    /// `name` of its Content-Disposition.
    pub(crate) name: Cow<'a, [u8]>,
    /// Each `filename` and `filename*`; servers differ in which one they take.
    pub(crate) file_names: Vec<Cow<'a, [u8]>>,
    /// Its Content-Type.
    pub(crate) content_type: &'a [u8],
    /// Its Content-Transfer-Encoding.
    pub(crate) encoding: &'a [u8],
    /// What it holds.
    pub(crate) content: &'a [u8],
}

/// What is wrong with a multipart body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// The boundary never occurs.
    NoBoundary,
    /// Bytes before the first boundary.
    Preamble,
    /// The closing boundary is missing.
    Unclosed,
    /// Bytes after the closing boundary.
    Epilogue,
    /// A part without a head, without a name, or with a head that does not end.
    BadHead,
    /// A parameter given twice in one Content-Disposition.
    RepeatedParameter,
    /// Lines end in LF alone, or a header line is folded.
    LineEnds,
    /// More parts than the budget allows.
    TooMany,
}

impl Oddity {
    /// The name shown as the signal's detector.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoBoundary => "MULTIPART-NO-BOUNDARY",
            Self::Preamble => "MULTIPART-PREAMBLE",
            Self::Unclosed => "MULTIPART-UNCLOSED",
            Self::Epilogue => "MULTIPART-EPILOGUE",
            Self::BadHead => "MULTIPART-BAD-HEAD",
            Self::RepeatedParameter => "MULTIPART-REPEATED-PARAMETER",
            Self::LineEnds => "MULTIPART-LINE-ENDS",
            Self::TooMany => "MULTIPART-TOO-MANY",
        }
    }
}

/// An event of the walk.
#[derive(Clone, Debug)]
pub(crate) enum Event<'a> {
    /// A part.
    Part(Section<'a>),
    /// Something odd about the body.
    Odd(Oddity),
}

/// Reads `body` and hands each part and oddity to `visit`; at most `parts` parts.
pub(crate) fn walk<'a>(body: &'a [u8], boundary: &[u8], parts: usize, visit: &mut dyn FnMut(Event<'a>)) {
    let mut delimiter = Vec::with_capacity(boundary.len() + 2);
    delimiter.extend_from_slice(b"--");
    delimiter.extend_from_slice(boundary);
    let mut seen = 0_usize;
    let mut rest = match next_delimiter(body, &delimiter) {
        None => return visit(Event::Odd(Oddity::NoBoundary)),
        Some((before, rest)) => {
            if !before.trim_ascii().is_empty() {
                visit(Event::Odd(Oddity::Preamble));
            }
            rest
        }
    };
    loop {
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            if !epilogue.trim_ascii().is_empty() {
                visit(Event::Odd(Oddity::Epilogue));
            }
            return;
        }
        if seen >= parts {
            return visit(Event::Odd(Oddity::TooMany));
        }
        seen += 1;
        let (content, next) = match next_delimiter(rest, &delimiter) {
            Some((content, next)) => (content, Some(next)),
            None => (rest, None),
        };
        section(content, visit);
        match next {
            Some(next) => rest = next,
            None => return visit(Event::Odd(Oddity::Unclosed)),
        }
    }
}

/// The boundary named by a Content-Type, with or without quotes.
pub(crate) fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let (_, value) = parameters(content_type).find(|(name, _)| name.eq_ignore_ascii_case(b"boundary"))?;
    Some(value).filter(|value| !value.is_empty() && value.len() <= 256)
}

/// The boundary that `body` itself shows: its first line, if that is one.
pub(crate) fn sniffed_boundary(body: &[u8]) -> Option<&[u8]> {
    let line = body.trim_ascii_start().strip_prefix(b"--")?;
    let end = memchr(b'\n', line.get(..line.len().min(260))?)?;
    let boundary = line.get(..end)?.trim_ascii_end();
    let head = line.get(end..)?;
    let named = scan::find(head.get(..head.len().min(512))?, b":").is_some();
    (named && !boundary.is_empty() && boundary.iter().all(|byte| (b' '..0x7f).contains(byte)))
        .then_some(boundary)
}

/// What stands before the next delimiter line and after it.
fn next_delimiter<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    // Only at the start of a line is it a delimiter.
    let mut from = 0;
    while let Some(n) = scan::find(bytes.get(from..)?, delimiter) {
        let at = from + n;
        let before = bytes.get(..at)?;
        if before.is_empty() || before.ends_with(b"\n") {
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            let before = before.strip_suffix(b"\r").unwrap_or(before);
            return Some((before, bytes.get(at + delimiter.len()..)?));
        }
        from = at + 1;
    }
    None
}

fn section<'a>(part: &'a [u8], visit: &mut dyn FnMut(Event<'a>)) {
    // The rest of the delimiter's own line.
    let line_end = memchr(b'\n', part).map_or(part.len(), |at| at + 1);
    let (line, part) = part.split_at_checked(line_end).unwrap_or((part, &[]));
    if !line.trim_ascii().is_empty() {
        visit(Event::Odd(Oddity::BadHead));
    }
    let (head, content) = match (scan::find(part, b"\r\n\r\n"), scan::find(part, b"\n\n")) {
        _ if part.starts_with(b"\r\n") => (&part[..0], part.get(2..).unwrap_or_default()),
        (Some(crlf), lf) if lf.is_none_or(|lf| crlf < lf) => {
            (part.get(..crlf).unwrap_or_default(), part.get(crlf + 4..).unwrap_or_default())
        }
        (_, Some(lf)) => {
            visit(Event::Odd(Oddity::LineEnds));
            (part.get(..lf).unwrap_or_default(), part.get(lf + 2..).unwrap_or_default())
        }
        _ => {
            visit(Event::Odd(Oddity::BadHead));
            (part, &part[..0])
        }
    };
    let mut section = Section { content, ..Section::default() };
    let mut named = false;
    let mut rest = head;
    while !rest.is_empty() {
        let (line, folded) = header_line(&mut rest);
        if folded {
            visit(Event::Odd(Oddity::LineEnds));
        }
        if starts_with_ignore_case(line, b"content-disposition") {
            named |= disposition(line, &mut section, visit);
        } else if starts_with_ignore_case(line, b"content-type:") {
            section.content_type = line.get(13..).unwrap_or_default().trim_ascii();
        } else if starts_with_ignore_case(line, b"content-transfer-encoding:") {
            section.encoding = line.get(26..).unwrap_or_default().trim_ascii();
        }
    }
    if !named {
        visit(Event::Odd(Oddity::BadHead));
    }
    visit(Event::Part(section));
}

/// Takes one header with the lines that are folded onto it; also says whether there are any.
fn header_line<'a>(rest: &mut &'a [u8]) -> (&'a [u8], bool) {
    let mut end = 0;
    let mut folded = false;
    loop {
        let tail = rest.get(end..).unwrap_or_default();
        end += memchr(b'\n', tail).map_or(tail.len(), |at| at + 1);
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            break;
        }
        folded = true;
    }
    let (line, next) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    *rest = next;
    (line.trim_ascii_end(), folded)
}

fn disposition<'a>(line: &'a [u8], section: &mut Section<'a>, visit: &mut dyn FnMut(Event<'a>)) -> bool {
    let mut named = false;
    for (name, value) in parameters(line) {
        if name.eq_ignore_ascii_case(b"name") {
            if named {
                visit(Event::Odd(Oddity::RepeatedParameter));
            }
            named = true;
            section.name = unquote(value);
        } else if name.eq_ignore_ascii_case(b"filename") || name.eq_ignore_ascii_case(b"filename*") {
            if section.file_names.len() >= MOST_FILE_NAMES {
                continue;
            }
            if name.len() == b"filename".len() && !section.file_names.is_empty() {
                visit(Event::Odd(Oddity::RepeatedParameter));
            }
            section.file_names.push(unquote(value));
        }
    }
    named
}

/// The `name=value` parameters of a header, quotes removed, escapes kept.
fn parameters(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = header;
    std::iter::from_fn(move || {
        loop {
            let semicolon = memchr(b';', rest)?;
            rest = rest.get(semicolon + 1..)?;
            let equals = rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
            if rest.get(equals) == Some(&b';') {
                continue;
            }
            let name = rest.get(..equals)?.trim_ascii();
            let value = rest.get(equals + 1..)?.trim_ascii_start();
            let (value, tail) = match value.split_first() {
                Some((&quote @ (b'"' | b'\''), inner)) => {
                    let end = quoted_end(inner, quote);
                    (inner.get(..end)?, inner.get(end..)?)
                }
                _ => {
                    let end = memchr(b';', value).unwrap_or(value.len());
                    (value.get(..end)?.trim_ascii_end(), value.get(end..)?)
                }
            };
            rest = tail;
            return Some((name, value));
        }
    })
}

fn quoted_end(inner: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    for (at, &byte) in inner.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            // Browsers of one family send Windows paths with bare backslashes; only an escaped quote counts.
            b'\\' => escaped = inner.get(at + 1) == Some(&quote),
            _ if byte == quote => return at,
            _ => {}
        }
    }
    inner.len()
}

fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    if scan::find(value, b"\\\"").is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    for (at, &byte) in value.iter().enumerate() {
        if byte != b'\\' || value.get(at + 1) != Some(&b'"') {
            out.push(byte);
        }
    }
    Cow::Owned(out)
}

/// File names kept of one part.
const MOST_FILE_NAMES: usize = 4;
