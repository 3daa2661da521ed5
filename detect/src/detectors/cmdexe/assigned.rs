//! A command that stands in a variable: `a=nc&&$a -e sh`, `x=adduse[r];$x mallory`.

use std::ops::Range;

/// Finds an assignment whose variable the next command begins with.
pub(crate) fn find(bytes: &[u8]) -> Option<Range<usize>> {
    // The variable stands right behind the separator.
    memchr::memchr_iter(b'$', bytes).take(16).find_map(|dollar| {
        let head = bytes.get(..dollar)?;
        let separated = matches!(head.trim_ascii_end().last(), Some(b';' | b'&' | b'|' | b'\n'));
        let tight = head.last().is_some_and(|byte| !byte.is_ascii_whitespace());
        let name = bytes.get(dollar + 1..)?;
        let name = name.strip_prefix(b"{").unwrap_or(name);
        let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let name = name.get(..length).filter(|name| name.first().is_some_and(u8::is_ascii_alphabetic))?;
        let rest = bytes.get(dollar + 1 + length..).unwrap_or_default();
        let rest = rest
            .strip_prefix(b"}")
            .or_else(|| rest.get(1..).filter(|rest| rest.starts_with(b"}")))
            .unwrap_or(rest);
        let given = memchr::memchr(b' ', rest).is_some();
        let start = (separated && (tight || given)).then(|| assignment(head, name)).flatten()?;
        Some(start..dollar + 1 + length)
    })
}

/// Where `name=` begins a command in `head` and is given a word.
fn assignment(head: &[u8], name: &[u8]) -> Option<usize> {
    // By the sign: the name is the client's, and may be long and everywhere.
    let named = |equals: usize| Some((equals, head.get(..equals)?.strip_suffix(name)?));
    let mut assigned = memchr::memchr_iter(b'=', head).filter_map(named).take(16);
    let found = assigned.find(|&(equals, before)| {
        let value = head.get(equals + 1..);
        let begins =
            before.last().is_none_or(|byte| matches!(byte, b';' | b'&' | b'|' | b'\n' | b' ' | b'(' | b'\''));
        let word = value.and_then(|value| value.first());
        begins
            && word
                .is_some_and(|byte| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'"' | b'\'' | b'$'))
    });
    found.map(|(_, before)| before.len())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn commands_in_variables_are_found() {
        for value in ["a=nc&&$a -e sh", "1;x=adduse[r];$x m", "x=/bin/ls; ${x} /"] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn other_dollars_are_not() {
        for value in ["a=5;$5", "price=5; $price", "a=b;$c", "total=x and $total", "cost; $cost"] {
            assert_eq!(find(value.as_bytes()), None, "{value}");
        }
    }
}
