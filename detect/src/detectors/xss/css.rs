//! Style sheets: comments and escapes undone, then the few things in CSS that run or load script.

use crate::detectors::xss::entity::Decoded;
use crate::scan::{self, hex_digit};

/// Whether the style text runs script in any browser, or loads what may.
pub(super) fn runs(style: &[u8]) -> bool {
    holds(style, NEEDLES)
}

/// Whether a style sheet tells another host what a page holds: a selector that tests an attribute's value and a URL, or
/// a font for single characters.
pub(super) fn reports(style: &[u8]) -> bool {
    let has = |needle: &[u8]| scan::find(style, needle).is_some();
    let loads = || has(b"url(") && (has(b"//") || has(b"http"));
    let tests = || {
        [&b"^="[..], b"$=", b"*=", b"|="].iter().any(|operator| {
            scan::find_all(style, operator).any(|at| {
                let before = style.get(at.saturating_sub(40)..at).unwrap_or_default();
                let open = memchr::memrchr(b'[', before).and_then(|open| before.get(open + 1..));
                open.is_some_and(|name| !name.is_empty() && !name.contains(&b']'))
            })
        })
    };
    let letters = || has(b"unicode-range") || has(b"attr(");
    loads() && (tests() || letters())
}

/// Whether parsers disagree on where the declarations of a style attribute end: braces, comments inside words, and
/// declarations inside strings and URLs are what style injection is made of.
pub(super) fn ambiguous(style: &[u8]) -> bool {
    // Templates fill in braces before a browser sees them.
    let templates = || crate::scan::find(style, b"{{").is_some() || crate::scan::find(style, b"${").is_some();
    let mut quote = None;
    let mut hidden = false;
    let mut previous = [0; 2];
    for (at, &byte) in style.iter().enumerate() {
        let rest = style.get(at + 1..).unwrap_or_default();
        match (quote, byte) {
            (None, b'{' | b'}') => return at > 0 && !templates(),
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(') if previous == *b"rl" => {
                quote = Some(b')');
                // Parameters of a media type are no declarations.
                let url = rest.trim_ascii_start();
                let url = url.strip_prefix(b"\"").or_else(|| url.strip_prefix(b"'")).unwrap_or(url);
                hidden = !url.starts_with(b"data:");
                previous = [0; 2];
                continue;
            }
            (Some(end), _) if byte == end => {
                quote = None;
            }
            (Some(end), b';') if (end != b')' || hidden) && declares_next(rest) => return true,
            _ => {}
        }
        previous = [previous[1], byte.to_ascii_lowercase()];
    }
    false
}

/// Whether comments split words, or escapes spell plain letters: no author writes either.
pub(super) fn obfuscated(style: &[u8]) -> bool {
    let split = scan::find_all(style, b"/*").any(|open| {
        let inside = style.get(open + 2..).unwrap_or_default();
        let after = crate::scan::find(inside, b"*/").and_then(|end| inside.get(end + 2));
        let before = open.checked_sub(1).and_then(|at| style.get(at));
        before.is_some_and(u8::is_ascii_alphabetic) && after.is_some_and(u8::is_ascii_alphabetic)
    });
    split
        || memchr::memchr_iter(b'\\', style).any(|at| {
            let digits = style.get(at + 1..).unwrap_or_default();
            let length = digits.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let value = digits
                .iter()
                .take(length)
                .fold(0, |value, &byte| value << 4 | hex_digit(byte).map_or(0, u32::from));
            length >= 2 && u8::try_from(value).is_ok_and(|byte| byte.is_ascii_alphabetic())
        })
}

/// Whether the value itself, as part of a style sheet or attribute, is a declaration that runs script.
pub(super) fn declares(value: &[u8]) -> bool {
    let plain = || memchr::memchr_iter(b'(', value).any(|open| ends_declaration(value.get(..open)));
    let commented = || crate::scan::find(value, b"*/").is_some() && holds(value, DECLARATIONS);
    plain() || commented()
}

fn ends_declaration(before: Option<&[u8]>) -> bool {
    let name = b"expression";
    let before = before.unwrap_or_default();
    let Some((head, end)) = before.len().checked_sub(name.len()).and_then(|at| before.split_at_checked(at))
    else {
        return false;
    };
    end.eq_ignore_ascii_case(name) && head.trim_ascii_end().last() == Some(&b':')
}

fn holds(style: &[u8], needles: &[&[u8]]) -> bool {
    let mut tail = Tail::default();
    let mut source = Decoded::new(style).peekable();
    while let Some(byte) = source.next() {
        let plain = match byte {
            b'/' if source.peek() == Some(&b'*') => {
                source.next();
                skip_comment(&mut source);
                continue;
            }
            b'\\' => match escape(&mut source) {
                Some(plain) => plain,
                None => continue,
            },
            _ => byte,
        };
        if plain > b' ' && tail.push(plain.to_ascii_lowercase(), needles) {
            return true;
        }
    }
    false
}

fn skip_comment(source: &mut std::iter::Peekable<Decoded<'_>>) {
    let mut star = false;
    for byte in source.by_ref() {
        if star && byte == b'/' {
            return;
        }
        star = byte == b'*';
    }
}

/// Decodes what follows a backslash: up to six hexadecimal digits and a space, or any character for itself.
fn escape(source: &mut std::iter::Peekable<Decoded<'_>>) -> Option<u8> {
    let mut value = 0_u32;
    let mut digits = 0;
    while digits < 6 {
        let Some(digit) = source.peek().and_then(|&byte| char::from(byte).to_digit(16)) else { break };
        value = value << 4 | digit;
        digits += 1;
        source.next();
    }
    if digits == 0 {
        return source.next();
    }
    if source.peek().is_some_and(u8::is_ascii_whitespace) {
        source.next();
    }
    u8::try_from(value).ok()
}

/// The last bytes read, without white space.
#[derive(Default)]
struct Tail {
    bytes: u128,
}

impl Tail {
    /// Adds a byte and says whether one of `needles` now ends here.
    fn push(&mut self, byte: u8, needles: &[&[u8]]) -> bool {
        self.bytes = self.bytes << 8 | u128::from(byte);
        matches!(byte, b'(' | b')' | b':' | b't' | b'g' | b'l')
            && needles.iter().any(|needle| self.ends_with(needle))
    }

    fn ends_with(&self, needle: &[u8]) -> bool {
        let bytes = self.bytes.to_be_bytes();
        bytes.ends_with(needle)
    }
}

const NEEDLES: &[&[u8]] = &[
    b"expression(",
    b"javascript:",
    b"vbscript:",
    b"livescript:",
    b"mocha:",
    b"-moz-binding",
    b"behavior:",
    b"behaviour:",
    b"@import",
    b"data:text/html",
    b"binding:url(",
    b".js)",
    b".js\")",
    b".js')",
    b".htc)",
    b".htc\")",
    b".htc')",
];

const DECLARATIONS: &[&[u8]] =
    &[b":expression(", b"-moz-binding:url", b"behavior:url", b"url(javascript:", b"url(vbscript:"];

/// Whether a property and its colon start here.
fn declares_next(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let name = rest.iter().take(32).take_while(|byte| byte.is_ascii_lowercase() || **byte == b'-').count();
    name >= 3 && rest.get(name..).is_some_and(|after| after.trim_ascii_start().first() == Some(&b':'))
}
