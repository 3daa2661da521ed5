//! Percent decoding (RFC 3986 section 2.1), lenient: a `%` that starts no escape stays itself.

use std::borrow::Cow;

use crate::scan::hex_digit;

/// What `+` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// A plus sign.
    Itself,
    /// A space, as in forms.
    Space,
}

/// Undoes one layer of percent encoding; borrows where there is none.
pub(crate) fn decode(bytes: &[u8], plus: Plus) -> Cow<'_, [u8]> {
    let special = |byte: u8| byte == b'%' || (byte == b'+' && plus == Plus::Space);
    let Some(first) = bytes.iter().position(|&byte| special(byte)) else {
        return Cow::Borrowed(bytes);
    };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(bytes.get(..first).unwrap_or_default());
    let mut rest = bytes.get(first..).unwrap_or_default();
    let mut changed = false;
    while let Some((&byte, tail)) = rest.split_first() {
        if let (b'%', Some(decoded)) = (byte, escape(tail)) {
            out.push(decoded);
            changed = true;
            rest = tail.get(2..).unwrap_or_default();
            continue;
        }
        let is_space = byte == b'+' && plus == Plus::Space;
        changed |= is_space;
        out.push(if is_space { b' ' } else { byte });
        rest = tail;
    }
    if changed { Cow::Owned(out) } else { Cow::Borrowed(bytes) }
}

fn escape(tail: &[u8]) -> Option<u8> {
    let high = hex_digit(*tail.first()?)?;
    let low = hex_digit(*tail.get(1)?)?;
    Some(high << 4 | low)
}
