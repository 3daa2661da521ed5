//! URLs that run script: `javascript:` and its kin, and `data:` URLs of a type that runs.

use crate::detectors::xss::Hit;
use crate::detectors::xss::entity::Decoded;
use crate::detectors::xss::js;

/// The head of a URL as a browser's URL parser sees it: references decoded, white space, controls and what is not
/// ASCII dropped, lower case.
#[derive(Debug)]
pub(super) struct Plain {
    bytes: [u8; 160],
    length: usize,
}

impl Plain {
    pub(super) fn new(value: &[u8]) -> Self {
        let mut plain = Self { bytes: [0; 160], length: 0 };
        let kept = Decoded::new(value).filter(|byte| *byte > b' ' && *byte < 0x7f);
        for (slot, byte) in plain.bytes.iter_mut().zip(kept) {
            *slot = byte.to_ascii_lowercase();
            plain.length += 1;
        }
        plain
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Whether the URL runs script, or a document that can.
    pub(super) fn runs(&self) -> bool {
        match scheme(self.bytes()) {
            Some(Scheme::Script(code)) => !js::harmless(code),
            Some(Scheme::Data(kind)) => runs_as_document(kind),
            None => hides_host(self.bytes()),
        }
    }
}

/// Whether the host is an address written as one number, which only serves to hide it.
fn hides_host(plain: &[u8]) -> bool {
    let Some(at) = crate::scan::find(plain, b"//").filter(|&at| at <= 6) else { return false };
    let host = plain.get(at + 2..).unwrap_or_default();
    let end = host.iter().position(|byte| matches!(byte, b'/' | b':' | b'?' | b'#')).unwrap_or(host.len());
    let host = host.get(..end).unwrap_or_default();
    let hex = |host: &[u8]| host.iter().all(u8::is_ascii_hexdigit);
    match host.strip_prefix(b"0x") {
        Some(digits) => digits.len() >= 6 && hex(digits.get(..8.min(digits.len())).unwrap_or_default()),
        None => host.len() >= 8 && host.iter().all(u8::is_ascii_digit),
    }
}

enum Scheme<'a> {
    Script(&'a [u8]),
    Data(&'a [u8]),
}

fn scheme(plain: &[u8]) -> Option<Scheme<'_>> {
    let quoted = plain.iter().take_while(|byte| matches!(byte, b'"' | b'\'' | b'`')).count();
    let plain = plain.get(quoted..).unwrap_or_default();
    // The browser chrome's own prefixes run what they wrap.
    let plain = plain.strip_prefix(b"view-source:").or(plain.strip_prefix(b"feed:")).unwrap_or(plain);
    if let Some(kind) = plain.strip_prefix(b"data:") {
        return Some(Scheme::Data(kind));
    }
    SCRIPT.iter().find_map(|scheme| plain.strip_prefix(*scheme)).map(Scheme::Script)
}

/// Whether a browser treats this media type as a document or script.
fn runs_as_document(kind: &[u8]) -> bool {
    const RUNS: &[&[u8]] = &[
        b"text/html",
        b"text/xml",
        b"text/xsl",
        b"text/javascript",
        b"text/ecmascript",
        b"text/vbscript",
        b"application/xhtml",
        b"application/xml",
        b"application/javascript",
        b"application/x-javascript",
        b"application/ecmascript",
        b"application/x-shockwave-flash",
        b"text/x-scriptlet",
    ];
    RUNS.iter().any(|run| kind.starts_with(run))
}

/// Whether the media type ends where a `data:` URL's does, rather than in prose.
fn has_content(kind: &[u8]) -> bool {
    let end =
        kind.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'-')));
    end.and_then(|end| kind.get(end)).is_some_and(|byte| matches!(byte, b',' | b';'))
}

/// Finds a script URL that is the whole value, or one inside it whose code is plain.
pub(super) fn hit(bytes: &[u8]) -> Option<Hit> {
    let head = bytes.trim_ascii_start();
    let head = head.get(..head.len().min(64)).unwrap_or_default();
    if memchr::memchr2(b':', b'&', head).is_some() {
        let plain = Plain::new(bytes.get(..bytes.len().min(1024)).unwrap_or_default());
        match scheme(plain.bytes()) {
            Some(Scheme::Data(kind)) if runs_as_document(kind) && has_content(kind) => {
                return Hit::new("XSS-URL", 0..bytes.len());
            }
            Some(Scheme::Script(_)) => {
                // References in a scheme serve to hide it, whatever the code.
                if memchr::memchr(b'&', scheme_part(bytes)).is_some() {
                    return Hit::new("XSS-URL", 0..bytes.len());
                }
                let colon = memchr::memchr(b':', bytes).map_or(0, |at| at + 1);
                if js::is_url_code(bytes.get(colon..).unwrap_or_default()) {
                    return Hit::new("XSS-URL", 0..bytes.len());
                }
            }
            _ => {}
        }
    }
    inside(bytes)
}

/// The value up to its first plain colon, or as much of it as can spell a scheme.
fn scheme_part(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len()).min(200);
    bytes.get(..end).unwrap_or_default()
}

/// A scheme in the midst of a value: in a link, a header, an attribute whose tag is elsewhere.
fn inside(bytes: &[u8]) -> Option<Hit> {
    let mut colons = memchr::memchr_iter(b':', bytes).filter_map(|colon| Some((colon, named(bytes, colon)?)));
    let mut here = colons.next();
    while let Some((colon, name)) = here {
        here = colons.next();
        // What stands well behind the next scheme is read there, and only once.
        let end = here.map_or(bytes.len(), |(next, _)| next + SINK).min(colon + 1 + LONGEST_CODE);
        let code = bytes.get(colon + 1..end.min(bytes.len()))?;
        if let Some(sink) = js::loose(code) {
            return Hit::new("XSS-URL", colon - name..colon + 1 + sink.end);
        }
    }
    None
}

/// The length of the scheme's name that ends at the colon.
fn named(bytes: &[u8], colon: usize) -> Option<usize> {
    let before = bytes.get(..colon)?;
    SCRIPT.iter().map(|scheme| scheme.len() - 1).zip(SCRIPT).find_map(|(length, scheme)| {
        let name = before.get(before.len().checked_sub(length)?..)?;
        name.eq_ignore_ascii_case(scheme.get(..length)?).then_some(length)
    })
}

/// Bytes behind a scheme in which its code is looked for.
const LONGEST_CODE: usize = 2048;
/// More bytes than a call and the expression before it are looked at together.
const SINK: usize = 128;

const SCRIPT: &[&[u8]] =
    &[b"javascript:", b"vbscript:", b"livescript:", b"jscript:", b"mocha:", b"ecmascript:"];
