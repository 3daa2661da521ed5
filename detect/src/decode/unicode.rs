//! Characters that stand in for ASCII: overlong UTF-8, full-width and other compatibility forms, and the look-alikes
//! that databases and servers map to ASCII when they convert to a smaller character set.
//!
//! Letters of other alphabets that merely look Latin are not folded: no interpreter reads them as ASCII, and text in
//! those alphabets is honest.

use super::text;

/// Replaces overlong encodings of ASCII; none where there is none.
pub(crate) fn decode_overlong(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut changed = false;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte >= 0xc0
            && let Some((ascii, used)) = overlong(byte, tail)
        {
            out.push(ascii);
            rest = tail.get(used..).unwrap_or_default();
            changed = true;
            continue;
        }
        out.push(byte);
        rest = tail;
    }
    changed.then_some(out)
}

/// The ASCII byte that an overlong sequence encodes, and how many bytes of `tail` it takes.
fn overlong(lead: u8, tail: &[u8]) -> Option<(u8, usize)> {
    let continues = match lead {
        0xc0 | 0xc1 => {
            return match *tail.first()? {
                next @ 0x80..=0xbf => Some(((lead & 1) << 6 | next & 0x3f, 1)),
                // Decoders that do not check the second byte either.
                next @ (b'/' | b'.' | b'\\') if lead == 0xc0 => Some((next, 1)),
                0x1c if lead == 0xc1 => Some((b'\\', 1)),
                _ => None,
            };
        }
        0xe0 => 2,
        0xf0 => 3,
        0xf8 => 4,
        0xfc => 5,
        _ => return None,
    };
    let (next, last, zeros) = match tail.get(..continues)? {
        [zeros @ .., next, last] => (*next, *last, zeros),
        _ => return None,
    };
    let overlong = zeros.iter().all(|&zero| zero == 0x80) && next & 0xfe == 0x80 && last & 0xc0 == 0x80;
    overlong.then_some(((next & 1) << 6 | last & 0x3f, continues))
}

/// Folds characters that become ASCII on their way to an interpreter; none where there is none.
pub(crate) fn fold(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut changed = false;
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, c) in valid.char_indices() {
            match replacement(c) {
                _ if c.is_ascii() => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Some(ascii) => {
                    out.push(ascii);
                    changed = true;
                }
                // Between two letters nobody needs a joiner or a break.
                None if is_invisible(c) && text::between_letters(valid.as_bytes(), at, c.len_utf8()) => {
                    changed = true;
                }
                None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
    changed.then_some(out)
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{180e}')
}

#[expect(clippy::cast_possible_truncation, reason = "each range is mapped onto ASCII")]
fn replacement(c: char) -> Option<u8> {
    let code = u32::from(c);
    let from = |start: u32, ascii: u8| Some(ascii + (code - start) as u8);
    match code {
        0xff01..=0xff5e => from(0xff01, b'!'),
        0xa0 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000 => Some(b' '),
        0x2b9 | 0x2bb | 0x2bc | 0x2c8 | 0x2032 | 0x2018 | 0x2019 | 0x201b => Some(b'\''),
        0x2ba | 0x2033 | 0x201c | 0x201d | 0x201f => Some(b'"'),
        0x2039 | 0x2329 | 0x3008 | 0xfe64 | 0x27e8 => Some(b'<'),
        0x203a | 0x232a | 0x3009 | 0xfe65 | 0x27e9 => Some(b'>'),
        // The two private-use ones are what a widely used list of path tricks takes for slashes.
        0x2044 | 0x2215 | 0x29f8 | 0xf025 => Some(b'/'),
        0x2216 | 0x29f5 | 0x29f9 | 0xfe68 | 0xefc8 => Some(b'\\'),
        0x2024 | 0xfe52 | 0x3002 | 0xff61 => Some(b'.'),
        0x37e | 0xfe54 => Some(b';'),
        0xfe55 | 0x2236 | 0xa789 => Some(b':'),
        0x2010 | 0x2011 | 0x2212 | 0xfe63 => Some(b'-'),
        0xfe59 => Some(b'('),
        0xfe5a => Some(b')'),
        0xfe5b => Some(b'{'),
        0xfe5c => Some(b'}'),
        0xfe60 => Some(b'&'),
        0xfe66 => Some(b'='),
        0xfe69 => Some(b'$'),
        0xfe6a => Some(b'%'),
        0xfe6b => Some(b'@'),
        0x2223 | 0x1c0 => Some(b'|'),
        0x131 => Some(b'i'),
        0x130 => Some(b'I'),
        0x17f => Some(b's'),
        0x212a => Some(b'K'),
        0x2460..=0x2468 => from(0x2460, b'1'),
        0x24b6..=0x24cf => from(0x24b6, b'A'),
        0x24d0..=0x24e9 => from(0x24d0, b'a'),
        // Mathematical letters: 13 alphabets of 52, then digits.
        0x1d400..=0x1d6a3 => match (code - 0x1d400) % 52 {
            upper @ 0..26 => Some(b'A' + upper as u8),
            lower => Some(b'a' + (lower - 26) as u8),
        },
        0x1d7ce..=0x1d7ff => Some(b'0' + ((code - 0x1d7ce) % 10) as u8),
        _ => None,
    }
}
