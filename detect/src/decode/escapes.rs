//! Backslash escapes: those of JavaScript, JSON, C, Python and the shells in one pass, those of CSS in another.

use memchr::memchr;

use crate::scan::{Cursor, hex_digit};

/// Replaces `\x41`, `\u0041`, `\u{41}` and `\101`; none where there is none.
pub(crate) fn decode_js(bytes: &[u8]) -> Option<Vec<u8>> {
    decode(bytes, js)
}

/// Replaces CSS escapes (`\41 `, `\000041`) that stand for ASCII; none where there is none.
pub(crate) fn decode_css(bytes: &[u8]) -> Option<Vec<u8>> {
    decode(bytes, css)
}

fn decode(bytes: &[u8], escape: fn(&mut Cursor<'_>) -> Option<char>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut cursor = Cursor::new(bytes);
    let mut changed = false;
    while let Some(n) = memchr(b'\\', cursor.rest()) {
        let from = cursor.at();
        cursor.skip(n);
        out.extend_from_slice(cursor.since(from));
        let mut ahead = cursor;
        ahead.skip(1);
        if let Some(c) = escape(&mut ahead) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            changed = true;
        } else {
            // An escaped backslash stays two bytes, and the second of them starts no escape.
            ahead = cursor;
            ahead.skip(if ahead.peek_at(1) == Some(b'\\') { 2 } else { 1 });
            out.extend_from_slice(ahead.since(cursor.at()));
        }
        cursor = ahead;
    }
    out.extend_from_slice(cursor.rest());
    changed.then_some(out)
}

fn js(cursor: &mut Cursor<'_>) -> Option<char> {
    match cursor.bump()? {
        b'x' | b'X' => char::from_u32(hex(cursor, 2)?),
        b'u' | b'U' => {
            if cursor.eat(b"{") {
                let digits = cursor.take_while(|byte| byte.is_ascii_hexdigit());
                let code = digits.iter().try_fold(0_u32, |code, &digit| {
                    Some(code << 4 | u32::from(hex_digit(digit)?)).filter(|code| *code <= 0x10_ffff)
                })?;
                return cursor.eat(b"}").then(|| char::from_u32(code)).flatten();
            }
            let high = hex(cursor, 4)?;
            if (0xd800..0xdc00).contains(&high) && cursor.eat(b"\\u") {
                let low = hex(cursor, 4)?.checked_sub(0xdc00)?;
                return char::from_u32(0x10000 + ((high - 0xd800) << 10) + low);
            }
            char::from_u32(high)
        }
        first @ b'0'..=b'7' => {
            let mut code = u32::from(first - b'0');
            let mut digits = 1;
            while let Some(digit @ b'0'..=b'7') = cursor.peek().filter(|_| digits < 3) {
                code = code << 3 | u32::from(digit - b'0');
                cursor.skip(1);
                digits += 1;
            }
            (digits >= 2).then(|| char::from_u32(code)).flatten()
        }
        _ => None,
    }
}

fn hex(cursor: &mut Cursor<'_>, digits: usize) -> Option<u32> {
    let mut code = 0;
    for n in 0..digits {
        code = code << 4 | u32::from(hex_digit(cursor.peek_at(n)?)?);
    }
    cursor.skip(digits);
    Some(code)
}

fn css(cursor: &mut Cursor<'_>) -> Option<char> {
    let mut code = 0;
    let mut digits = 0;
    while let Some(digit) = cursor.peek().filter(|_| digits < 6).and_then(hex_digit) {
        code = code << 4 | u32::from(digit);
        cursor.skip(1);
        digits += 1;
    }
    if matches!(cursor.peek(), Some(b' ' | b'\t' | b'\n')) {
        cursor.skip(1);
    }
    // Paths of Windows have backslashes before hexadecimal letters too; what is meant to hide is ASCII.
    char::from_u32(code).filter(|c| digits >= 2 && matches!(c, ' '..='~'))
}
