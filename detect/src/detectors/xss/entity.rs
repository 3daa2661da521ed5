//! Character references, as an attribute value's parser decodes them (WHATWG section 13.2.5.72).

use crate::scan::hex_digit;

/// The decoded bytes of an attribute's value; what is not ASCII comes out as one byte above 0x7f.
#[derive(Clone, Debug)]
pub(super) struct Decoded<'a> {
    rest: &'a [u8],
}

impl<'a> Decoded<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (&byte, tail) = self.rest.split_first()?;
        if byte == b'&'
            && let Some((decoded, used)) = reference(tail)
        {
            self.rest = tail.get(used..).unwrap_or_default();
            return Some(decoded);
        }
        self.rest = tail;
        Some(byte)
    }
}

/// Decodes the reference whose text after `&` starts `tail`, and says how many of its bytes it took.
fn reference(tail: &[u8]) -> Option<(u8, usize)> {
    if let Some(digits) = tail.strip_prefix(b"#") {
        return match digits.split_first() {
            Some((b'x' | b'X', hex)) => number(hex, 16).map(|(byte, used)| (byte, used + 2)),
            _ => number(digits, 10).map(|(byte, used)| (byte, used + 1)),
        };
    }
    let length = tail.iter().take(12).position(|byte| !byte.is_ascii_alphanumeric())?;
    let (name, after) = tail.split_at_checked(length)?;
    let (_, byte) = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((*byte, length + usize::from(after.first() == Some(&b';'))))
}

fn number(digits: &[u8], radix: u32) -> Option<(u8, usize)> {
    let mut value = 0_u32;
    let mut used = 0;
    for &byte in digits {
        match hex_digit(byte).map(u32::from) {
            Some(digit) if digit < radix => value = value.saturating_mul(radix).saturating_add(digit),
            _ => break,
        }
        used += 1;
    }
    if used == 0 {
        return None;
    }
    let end = usize::from(digits.get(used) == Some(&b';'));
    // Beyond ASCII only "not ASCII" matters here.
    Some((u8::try_from(value).unwrap_or(0xff), used + end))
}

/// The named references that stand for the punctuation of URLs, scripts and markup.
const NAMED: &[(&[u8], u8)] = &[
    (b"amp", b'&'),
    (b"apos", b'\''),
    (b"ast", b'*'),
    (b"bsol", b'\\'),
    (b"colon", b':'),
    (b"comma", b','),
    (b"commat", b'@'),
    (b"dollar", b'$'),
    (b"equals", b'='),
    (b"excl", b'!'),
    (b"grave", b'`'),
    (b"gt", b'>'),
    (b"lbrace", b'{'),
    (b"lbrack", b'['),
    (b"lcub", b'{'),
    (b"lowbar", b'_'),
    (b"lpar", b'('),
    (b"lsqb", b'['),
    (b"lt", b'<'),
    (b"nbsp", 0xa0),
    (b"newline", b'\n'),
    (b"num", b'#'),
    (b"percnt", b'%'),
    (b"period", b'.'),
    (b"plus", b'+'),
    (b"quest", b'?'),
    (b"quot", b'"'),
    (b"rbrace", b'}'),
    (b"rbrack", b']'),
    (b"rcub", b'}'),
    (b"rpar", b')'),
    (b"rsqb", b']'),
    (b"semi", b';'),
    (b"sol", b'/'),
    (b"tab", b'\t'),
    (b"verbar", b'|'),
];
