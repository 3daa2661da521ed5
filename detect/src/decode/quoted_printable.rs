//! Quoted-printable (RFC 2045 section 6.7), lenient: a `=` that starts no escape stays itself.

use crate::scan::{Cursor, hex_digit};

/// Decodes `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut cursor = Cursor::new(bytes);
    while let Some(byte) = cursor.bump() {
        if byte != b'=' {
            out.push(byte);
            continue;
        }
        // A soft line break.
        if cursor.eat(b"\r\n") || cursor.eat(b"\n") {
            continue;
        }
        match (cursor.peek().and_then(hex_digit), cursor.peek_at(1).and_then(hex_digit)) {
            (Some(high), Some(low)) => {
                out.push(high << 4 | low);
                cursor.skip(2);
            }
            _ => out.push(byte),
        }
    }
    out
}
