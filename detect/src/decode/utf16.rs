//! UTF-7, and what is left of UTF-16 and of NUL tricks inside a value.

use memchr::{memchr, memchr_iter};

use super::{base64, text};

/// Drops NULs: a C program stops at one, other filters lose it, UTF-16 text has one in each ASCII character.
pub(crate) fn without_nuls(bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.strip_prefix(b"\xff\xfe").or_else(|| bytes.strip_prefix(b"\xfe\xff")).unwrap_or(bytes);
    memchr(0, bytes)?;
    Some(bytes.iter().copied().filter(|&byte| byte != 0).collect())
}

/// Decodes UTF-7 (RFC 2152); none unless it hides one of the characters that it is used to hide.
pub(crate) fn decode_utf7(bytes: &[u8]) -> Option<Vec<u8>> {
    if !may_hide(bytes) {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = bytes;
    let mut hides = false;
    while let Some(at) = memchr(b'+', rest) {
        out.extend_from_slice(rest.get(..at)?);
        let run = rest.get(at + 1..)?;
        let end =
            run.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'/' || *byte == b'+'));
        let end = end.unwrap_or(run.len());
        let decoded = run.get(..end).filter(|run| starts_with_ascii(run)).and_then(utf16_text);
        match decoded {
            Some(decoded) => {
                hides |= decoded.iter().any(|byte| matches!(byte, b'<' | b'>' | b'"' | b'\'' | b'&' | b'{'));
                out.extend_from_slice(&decoded);
                let tail = run.get(end..)?;
                rest = tail.strip_prefix(b"-").unwrap_or(tail);
            }
            // What is no UTF-7 is left as a whole: looking for a run within the run would be quadratic.
            None => {
                out.push(b'+');
                out.extend_from_slice(run.get(..end)?);
                rest = run.get(end..)?;
            }
        }
    }
    out.extend_from_slice(rest);
    hides.then_some(out)
}

/// Whether a run that starts with an ASCII sign occurs: `+A`, and then the sign's upper bits.
pub(crate) fn may_hide(bytes: &[u8]) -> bool {
    // A capital A is rarer than the sign before it, which stands for every space of a form.
    memchr_iter(b'A', bytes).any(|at| {
        let signed = at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'+');
        signed && starts_with_ascii(bytes.get(at..).unwrap_or_default())
    })
}

fn starts_with_ascii(run: &[u8]) -> bool {
    matches!(run, [b'A', b'A'..=b'H', _, ..])
}

fn utf16_text(run: &[u8]) -> Option<Vec<u8>> {
    let units = base64::decode(run)?;
    let units = units.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)));
    let decoded = String::from_utf16(&units.collect::<Vec<_>>()).ok()?.into_bytes();
    text::is_text(&decoded).then_some(decoded)
}
