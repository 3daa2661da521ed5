//! Hexadecimal: whole values (`0x3c7363...`), and `0x2e0x2e0x2f` between plain characters.

use memchr::memchr_iter;

use super::text;
use crate::scan::hex_digit;

/// Decodes `bytes` if it is hexadecimal as a whole and holds text.
pub(crate) fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.trim_ascii();
    let digits = bytes.strip_prefix(b"0x").or_else(|| bytes.strip_prefix(b"0X")).unwrap_or(bytes);
    if digits.len() < SHORTEST
        || !digits.len().is_multiple_of(2)
        || !text::is_text(&decode(digits.get(..SHORTEST)?)?)
    {
        return None;
    }
    decode(digits).filter(|decoded| text::is_text(decoded))
}

/// Replaces `0x2e`, `0x2f` and `0x5c`, the bytes that paths are made of; none unless two of them occur.
pub(crate) fn in_path(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut found = 0_u32;
    let mut from = 0;
    // An `x` is rarer than a zero.
    for x in memchr_iter(b'x', bytes) {
        let Some(at) = x.checked_sub(1).filter(|&at| at >= from && bytes.get(at) == Some(&b'0')) else {
            continue;
        };
        let byte = match bytes.get(at + 2..at + 4) {
            Some(b"2e" | b"2E") => b'.',
            Some(b"2f" | b"2F") => b'/',
            Some(b"5c" | b"5C") => b'\\',
            _ => continue,
        };
        out.extend_from_slice(bytes.get(from..at)?);
        out.push(byte);
        from = at + 4;
        found += 1;
    }
    if found < 2 {
        return None;
    }
    out.extend_from_slice(bytes.get(from..)?);
    Some(out)
}

fn decode(digits: &[u8]) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(hex_digit(high)? << 4 | hex_digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// Shorter values say nothing.
const SHORTEST: usize = 12;
