//! Shellshock: a value that bash takes for a function definition when it stands in its environment.

/// Finds `() { ...` at the start of `bytes` and, behind the body, something to run; returns its end.
pub(crate) fn find(bytes: &[u8]) -> Option<usize> {
    let mut at = skip(bytes, 0, b" \t\"'");
    at = eat(bytes, at, b'(')?;
    at = skip(bytes, at, BLANK);
    at = eat(bytes, at, b')')?;
    at = skip(bytes, at, BLANK);
    at = eat(bytes, at, b'{')?;
    let body = bytes.get(at..)?;
    let close = body.iter().take(256).position(|&byte| byte == b'}')?;
    Some(at + close + 1)
}

/// What stands for a space in recorded requests as well.
const BLANK: &[u8] = b" \t\n\r\0.+";

fn skip(bytes: &[u8], at: usize, these: &[u8]) -> usize {
    at + bytes.get(at..).unwrap_or_default().iter().take(16).take_while(|byte| these.contains(byte)).count()
}

fn eat(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (bytes.get(at) == Some(&byte)).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_function_in_the_environment_is_found() {
        for value in ["() { :;}; id", "() { _; } >_[$($())] { id; }", "(\0) { x; }; id", " () {:;};id"] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn functions_of_other_languages_are_not() {
        for value in ["() => { go(); }", "function () { x; };", "(a) { b; }", "() {", "f() { :; }; f"] {
            assert!(find(value.as_bytes()).is_none(), "{value}");
        }
    }
}
