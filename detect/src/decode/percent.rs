//! Percent decoding (RFC 3986 section 2.1), lenient: a `%` that starts no escape stays itself.
//!
//! Beside `%41` it reads what some servers read: `%u0041` (IIS, ASP) and escapes whose digits are no digits but come
//! out as an overlong slash (old IIS: `%c0%9v`).

use std::borrow::Cow;

use memchr::{memchr, memchr2};

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
    let plain = match plus {
        Plus::Itself => memchr(b'%', bytes),
        Plus::Space => memchr2(b'%', b'+', bytes),
    };
    let Some(mut at) = plain else {
        return Cow::Borrowed(bytes);
    };
    let mut out = Vec::with_capacity(bytes.len());
    // What has been copied ends at `from`; the signs from `signs` on still stand for spaces. They are as many as words
    // are, and replacing them all at once beats stopping at each.
    let (mut from, mut signs) = (0, 0);
    let (mut spaced, mut escaped) = (false, false);
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr(b'%', rest)) {
        at += next;
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        let end = out.len();
        let used = escape(bytes.get(at + 1..).unwrap_or_default(), &mut out);
        escaped |= used.is_some();
        if used.is_none() {
            out.push(b'%');
        }
        if plus == Plus::Space && out.get(end..).is_some_and(|escape| escape.contains(&b'+')) {
            spaced |= set_spaces(out.get_mut(signs..end).unwrap_or_default());
            signs = out.len();
        }
        at += 1 + used.unwrap_or(0);
        from = at;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    if plus == Plus::Space {
        spaced |= set_spaces(out.get_mut(signs..).unwrap_or_default());
    }
    if spaced || escaped { Cow::Owned(out) } else { Cow::Borrowed(bytes) }
}

/// Makes spaces of plus signs; says whether there were any.
fn set_spaces(bytes: &mut [u8]) -> bool {
    let mut any = false;
    for byte in bytes {
        any |= *byte == b'+';
        *byte = if *byte == b'+' { b' ' } else { *byte };
    }
    any
}

/// Drops each `%` between two letters that starts no escape, as ASP does: `SEL%ECT`.
pub(crate) fn without_strays(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_stray = |at: usize| {
        let near = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied().unwrap_or_default();
        near(at.checked_sub(1)).is_ascii_alphabetic()
            && near(at.checked_add(1)).is_ascii_alphabetic()
            && escape(bytes.get(at + 1..).unwrap_or_default(), &mut Vec::new()).is_none()
    };
    let mut out = Vec::new();
    let mut from = 0;
    for at in memchr::memchr_iter(b'%', bytes).filter(|&at| is_stray(at)) {
        out.extend_from_slice(bytes.get(from..at)?);
        from = at + 1;
    }
    if from == 0 {
        return None;
    }
    out.extend_from_slice(bytes.get(from..)?);
    Some(out)
}

/// Decodes the escape whose `%` stands before `tail` into `out`; says how many bytes of `tail` it took.
fn escape(tail: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    match *tail {
        [a, b, b'%', c, d, ..] if let Some(ascii) = loose_pair([a, b, c, d]) => {
            out.push(ascii);
            Some(5)
        }
        [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            out.push(hex_digit(high)? << 4 | hex_digit(low)?);
            Some(2)
        }
        [b'u' | b'U', a, b, c, d, ..] => {
            let code = [a, b, c, d]
                .into_iter()
                .try_fold(0, |code: u32, digit| Some(code << 4 | u32::from(hex_digit(digit)?)))?;
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            Some(5)
        }
        _ => None,
    }
}

/// Old IIS does not check that digits are digits: `%bg%qf` is 0xc0 0xaf, an overlong slash.
fn loose_pair(digits: [u8; 4]) -> Option<u8> {
    if digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let [a, b, c, d] = digits.map(loose_digit);
    let (lead, next) = ((a? << 4).wrapping_add(b?), (c? << 4).wrapping_add(d?));
    let ascii = (lead & 1) << 6 | next & 0x3f;
    (lead & 0xfe == 0xc0 && next & 0xc0 == 0x80 && matches!(ascii, b'/' | b'\\' | b'.')).then_some(ascii)
}

fn loose_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'z' | b'A'..=b'Z' => Some((byte & 0xdf) - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Plus, decode};

    #[test]
    fn signs_are_spaces_unless_they_were_encoded() {
        for (coded, plain) in [
            ("a+b%2Bc+d", "a b+c d"),
            ("%2B+%2b", "+ +"),
            ("+%u002b+", " + "),
            ("100%+of+x%zz+", "100% of x%zz "),
            ("%+", "% "),
            ("a%20b", "a b"),
        ] {
            assert_eq!(*decode(coded.as_bytes(), Plus::Space), *plain.as_bytes(), "{coded}");
        }
        assert_eq!(*decode(b"a+b%2Bc", Plus::Itself), *b"a+b+c");
    }
}
