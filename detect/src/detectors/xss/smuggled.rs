//! A `<` that is none yet: spelled so that only a careless decoder behind the application makes it one.

use crate::detectors::xss::Hit;
use crate::scan::{hex_digit, starts_with_ignore_case};

/// `\xbcscript` (US-ASCII decoders drop the high bit) and `+ADw-script` (UTF-7).
pub(super) fn bracket(bytes: &[u8]) -> Option<Hit> {
    let high = memchr::memchr_iter(0xbc, bytes).find_map(|open| {
        let named = starts_with_ignore_case(bytes.get(open + 1..)?, b"script");
        if named { Hit::new("XSS-SCRIPT", open..open + 7) } else { None }
    });
    high.or_else(|| memchr::memchr_iter(b'-', bytes).find_map(|end| utf7(bytes, end)))
}

fn utf7(bytes: &[u8], end: usize) -> Option<Hit> {
    let open = end.checked_sub(3)?;
    let shifted = bytes.get(open..end)?.eq_ignore_ascii_case(b"ADw");
    // The `+` before it is a space where a form's decoder has been.
    let starts = open
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .is_none_or(|byte| matches!(byte, b'+' | b' ' | b'-' | b'b'));
    let after = bytes.get(end + 1..)?;
    let names = [&b"script"[..], b"img", b"svg", b"iframe", b"body", b"+AC8-", b"/"];
    let tag = names.iter().any(|name| starts_with_ignore_case(after, name));
    if shifted && starts && tag { Hit::new("XSS-SCRIPT", open..end + 1) } else { None }
}

/// A reference to `<` with more zeros than any encoder writes, or without its semicolon.
pub(super) fn reference(bytes: &[u8]) -> Option<Hit> {
    memchr::memchr_iter(b'&', bytes).find_map(|at| {
        let digits = bytes.get(at + 1..)?.strip_prefix(b"#")?;
        let (radix, digits, prefix) = match digits.split_first()? {
            (b'x' | b'X', hex) => (16, hex, 3),
            _ => (10, digits, 2),
        };
        let zeros = digits.iter().take(16).take_while(|&&byte| byte == b'0').count();
        let value = digits.get(zeros..)?;
        let value = value.get(..2)?;
        let number = value.iter().try_fold(0_u32, |number, &byte| {
            hex_digit(byte).map(u32::from).filter(|digit| *digit < radix).map(|digit| number * radix + digit)
        })?;
        let after = digits.get(zeros + 2).copied();
        let goes_on = after.and_then(hex_digit).is_some_and(|digit| u32::from(digit) < radix);
        let odd = zeros > 1 || after != Some(b';');
        let fires = number == u32::from(b'<') && !goes_on && odd;
        if fires { Hit::new("XSS-REFERENCE", at..at + prefix + zeros + 2) } else { None }
    })
}
