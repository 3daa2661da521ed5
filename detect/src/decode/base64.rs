//! Base64 (RFC 4648), lenient: both alphabets, padding or none, white space skipped.

use super::text;

/// Decodes all of `bytes`; none if a byte belongs to neither alphabet or the length cannot be right.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
    let (mut bits, mut held, mut padding) = (0_u32, 0_u32, 0_u32);
    for &byte in bytes {
        let digit = match digit(byte) {
            Some(digit) => digit,
            None if byte == b'=' => {
                padding += 1;
                continue;
            }
            None if matches!(byte, b'\r' | b'\n' | b'\t') => continue,
            None => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    (held < 6 && padding <= 2).then_some(out)
}

/// Decodes `bytes` if it is base64 as a whole and holds text.
pub(crate) fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
    if !may_be(bytes) {
        return None;
    }
    decode(bytes.trim_ascii()).filter(|decoded| text::is_text(decoded))
}

/// Whether `bytes` begins as base64 of text does. Words and numbers pass for base64; what they decode to is binary, and
/// that shows in the first few bytes.
pub(crate) fn may_be(bytes: &[u8]) -> bool {
    bytes.trim_ascii().first_chunk().is_some_and(starts_as_text)
}

/// Decodes what follows `base64,` in a `data:` URL.
pub(crate) fn in_data_url(bytes: &[u8]) -> Option<Vec<u8>> {
    // By its comma, which most values do not have.
    let mut commas = memchr::memchr_iter(b',', bytes);
    let comma = commas.find(|&at| bytes.get(..at).is_some_and(|start| start.ends_with(b"base64")))?;
    let rest = bytes.get(comma + 1..)?.trim_ascii_start();
    let end = rest.iter().position(|&byte| digit(byte).is_none() || byte == b' ').unwrap_or(rest.len());
    let body = rest.get(..end)?;
    // A cut group at the end is dropped: only text is wanted.
    let body = if body.len() % 4 == 1 { body.get(..end - 1)? } else { body };
    decode(body).filter(|decoded| decoded.len() >= 4 && text::is_text(decoded))
}

/// Decodes the first quoted value behind a colon that is base64 and holds text: `s:24:"..."`, `{'id': '...'}`.
pub(crate) fn in_quotes(bytes: &[u8]) -> Option<Vec<u8>> {
    quoted(bytes).find_map(whole)
}

/// The quoted values behind colons that can be base64.
pub(super) fn quoted(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memchr_iter(b':', bytes).take(TRIES).filter_map(|colon| {
        let rest = bytes.get(colon + 1..)?;
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let (&quote, rest) = rest.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
        let text = |byte: &u8| *byte != b' ' && (*byte == b'=' || digit(*byte).is_some());
        let length = rest.iter().take_while(|byte| text(byte)).count();
        (length >= SHORTEST && rest.get(length) == Some(&quote)).then(|| rest.get(..length))?
    })
}

/// Colons that are looked behind.
const TRIES: usize = 16;

fn starts_as_text(head: &[u8; SHORTEST]) -> bool {
    let mut start = [0; SHORTEST / 4 * 3];
    for (four, out) in head.chunks_exact(4).zip(start.chunks_exact_mut(3)) {
        let bits = four.iter().try_fold(0_u32, |bits, &byte| Some(bits << 6 | u32::from(digit(byte)?)));
        match bits.map(u32::to_be_bytes) {
            Some([_, decoded @ ..]) => out.copy_from_slice(&decoded),
            None => return false,
        }
    }
    text::is_text(&start)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        // In a form the plus sign comes out as a space.
        b'+' | b'-' | b' ' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Shorter values say nothing.
pub(super) const SHORTEST: usize = 12;
