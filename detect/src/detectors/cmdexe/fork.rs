//! Fork bombs: a shell function that calls itself in a pipe or in the background.

use std::ops::Range;

use crate::scan::Cursor;

/// Finds `f() { f | f & }` under any name.
pub(crate) fn find(bytes: &[u8]) -> Option<Range<usize>> {
    let mut from = 0;
    for _ in 0..16 {
        let open = from + crate::scan::find(bytes.get(from..)?, b"()")?;
        let start = name_start(bytes, open);
        if let Some(end) = body(bytes, start, open) {
            return Some(start..end);
        }
        from = open + 2;
    }
    None
}

fn name_start(bytes: &[u8], open: usize) -> usize {
    let head = bytes.get(..open).unwrap_or_default();
    open - head
        .iter()
        .rev()
        .take(16)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b':')
        .count()
}

/// The end of a body that begins with the function's own name, joins commands and names it again.
fn body(bytes: &[u8], start: usize, open: usize) -> Option<usize> {
    let name = bytes.get(start..open).filter(|name| !name.is_empty())?;
    let mut cursor = Cursor::new(bytes);
    cursor.seek(open + 2);
    cursor.take_while(|byte| byte.is_ascii_whitespace());
    if !cursor.eat(b"{") {
        return None;
    }
    cursor.take_while(|byte| byte.is_ascii_whitespace());
    if !cursor.eat(name) {
        return None;
    }
    let inner = cursor.take_while(|byte| !matches!(byte, b'|' | b'&' | b'}' | b'\n'));
    let joined = matches!(cursor.peek(), Some(b'|' | b'&')) && inner.len() <= 8;
    cursor.skip(1);
    cursor.take_while(|byte| byte.is_ascii_whitespace());
    (joined && cursor.eat(name)).then(|| cursor.at())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn bombs_under_any_name_are_found() {
        for value in [":(){ :|:& };:", "f() { f & f; }; f", "bomb(){ bomb() | bomb(); };bomb"] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn other_functions_are_not() {
        for value in ["f() { g | f; }", "f() { return f() }", "()", "{ f | f }", "function(){ x & y }"] {
            assert_eq!(find(value.as_bytes()), None, "{value}");
        }
    }
}
