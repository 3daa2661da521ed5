//! Formulas that make a spreadsheet start a program: `=cmd|'/c calc'!A1`.

use std::ops::Range;

/// Finds a formula that calls a program by dynamic data exchange.
pub(crate) fn find(bytes: &[u8]) -> Option<Range<usize>> {
    if !matches!(bytes.trim_ascii_start().first(), Some(b'=' | b'+' | b'-' | b'@' | b'"' | b'\'')) {
        return None;
    }
    memchr::memchr_iter(b'|', bytes).take(8).find_map(|pipe| {
        let rest = bytes.get(pipe + 1..)?;
        let (&quote, topic) = rest.split_first().filter(|(quote, _)| matches!(quote, b'\'' | b'"'))?;
        let close = memchr::memchr(quote, topic.get(..topic.len().min(REACH))?)?;
        let item = topic.get(close + 1..)?;
        let named = item.first() == Some(&b'!') && item.get(1).is_some_and(u8::is_ascii_alphanumeric);
        let server = bytes.get(..pipe)?;
        let length = server.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let formula =
            matches!(server.get(..pipe - length)?.last(), Some(b'=' | b'+' | b'-' | b'@' | b'*' | b'('));
        (named && length > 0 && formula).then(|| pipe - length..pipe + close + 4)
    })
}

/// How long what the program is told may be.
const REACH: usize = 512;

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn formulas_that_start_programs_are_found() {
        for value in ["=cmd|'/C calc'!A0", "@SUM(1+1)*cmd|'/C calc'!A0", "+MSEXCEL|'\\x\\y.exe'!Z"] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn other_formulas_are_not() {
        for value in ["=SUM(A1:A9)", "=A1|B1", "=x|'y'", "a|'b'!c", "='Sheet 1'!A1"] {
            assert_eq!(find(value.as_bytes()), None, "{value}");
        }
    }
}
