//! `for` and `if` of cmd.exe.

use std::ops::Range;

use crate::scan::{Cursor, starts_with_ignore_case};

/// Finds a batch statement that begins the value or follows an operator; returns its span.
pub(crate) fn find(bytes: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    for _ in 0..64 {
        let mut cursor = Cursor::new(bytes);
        cursor.seek(at);
        cursor.take_while(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b'@' | b'"' | b'\''));
        let start = cursor.at();
        if is_for(&mut cursor) || is_if(&mut cursor, start) {
            return Some(start..cursor.at());
        }
        let rest = bytes.get(start..)?;
        at = start + memchr::memchr3(b'&', b'|', b'\n', rest)? + 1;
    }
    None
}

/// `for [/l] %a in (...) do`
fn is_for(cursor: &mut Cursor<'_>) -> bool {
    if !word(cursor, b"for") {
        return false;
    }
    while cursor.peek() == Some(b'/') {
        let option = cursor.take_while(|byte| !byte.is_ascii_whitespace());
        space(cursor);
        if option.eq_ignore_ascii_case(b"/r") && cursor.peek() != Some(b'%') {
            operand(cursor);
            space(cursor);
        }
        if cursor.peek() == Some(b'"') {
            cursor.skip(1);
            cursor.take_while(|byte| byte != b'"');
            cursor.skip(1);
            space(cursor);
        }
    }
    let percents = cursor.take_while(|byte| byte == b'%').len();
    let name = cursor.take_while(|byte| byte.is_ascii_graphic() && byte != b'(');
    let letter = matches!(name, [byte] if byte.is_ascii_alphabetic());
    let set = percents > 0 && space(cursor) && word(cursor, b"in") && cursor.peek() == Some(b'(');
    matches!(percents, 1 | 2) && set && (letter || does(cursor))
}

/// `(...) do`, for whatever stands in place of the variable.
fn does(cursor: &Cursor<'_>) -> bool {
    let mut ahead = *cursor;
    ahead.take_while(|byte| byte != b')');
    ahead.skip(1);
    space(&mut ahead);
    ahead.eat_ignore_case(b"do")
}

/// `if [/i] [not] exist FILE ...`, `if defined NAME ...`, `if errorlevel N ...`, `if A==B ...`, `if A equ B ...`
fn is_if(cursor: &mut Cursor<'_>, start: usize) -> bool {
    cursor.seek(start);
    if !word(cursor, b"if") {
        return false;
    }
    if starts_with_ignore_case(cursor.rest(), b"/i ") {
        cursor.skip(2);
        space(cursor);
    }
    let _ = word(cursor, b"not");
    if word(cursor, b"errorlevel") || word(cursor, b"cmdextversion") {
        return !cursor.take_while(|byte| byte.is_ascii_digit()).is_empty() && space(cursor);
    }
    if word(cursor, b"exist") {
        // A file's name, where a sentence would go on with a word.
        let name = operand(cursor);
        return name.iter().any(|byte| matches!(byte, b'.' | b'\\' | b'%' | b'"' | b'*'))
            && space(cursor)
            && action(cursor);
    }
    if word(cursor, b"defined") {
        return !operand(cursor).is_empty() && space(cursor) && action(cursor);
    }
    let left = operand(cursor);
    if left.is_empty() {
        return false;
    }
    if left.windows(2).any(|pair| pair == b"==") && !left.ends_with(b"==") {
        return space(cursor) && action(cursor);
    }
    space(cursor);
    if cursor.eat(b"==") {
        space(cursor);
    } else if !OPERATORS.iter().any(|operator| word(cursor, operator)) {
        return left.ends_with(b"==") && !operand(cursor).is_empty() && space(cursor) && action(cursor);
    }
    !operand(cursor).is_empty() && space(cursor) && action(cursor)
}

const OPERATORS: &[&[u8]] = &[b"equ", b"neq", b"lss", b"leq", b"gtr", b"geq"];

/// What runs: a group, a command, or more of the statement.
fn action(cursor: &mut Cursor<'_>) -> bool {
    const COMMANDS: &[&[u8]] = &[
        b"echo", b"set", b"goto", b"call", b"cmd", b"if", b"del", b"start", b"exit", b"copy", b"type", b"rd",
        b"md",
    ];
    cursor.eat(b"@");
    match cursor.peek() {
        Some(b'(') => true,
        Some(b'.') => cursor.rest().starts_with(b"..."),
        _ => COMMANDS.iter().any(|command| starts_with_ignore_case(cursor.rest(), command)),
    }
}

fn operand<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    let start = cursor.at();
    if cursor.peek() == Some(b'"') {
        cursor.skip(1);
        cursor.take_while(|byte| byte != b'"' && byte != b'\n');
        cursor.skip(1);
    }
    cursor.take_while(|byte| !byte.is_ascii_whitespace());
    cursor.since(start)
}

/// Takes `word` and the white space that must follow it.
fn word(cursor: &mut Cursor<'_>, word: &[u8]) -> bool {
    let start = cursor.at();
    if cursor.eat_ignore_case(word) && (space(cursor) || cursor.is_empty()) {
        return true;
    }
    cursor.seek(start);
    false
}

fn space(cursor: &mut Cursor<'_>) -> bool {
    !cursor.take_while(|byte| matches!(byte, b' ' | b'\t' | b'+')).is_empty()
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn batch_statements_are_found() {
        for value in [
            "FOR /L %i IN (1,1,9) DO echo %i",
            "for %%f in (*.txt) do type %%f",
            "x & for /f \"delims=\" %a in ('dir') do @echo %a",
            "IF EXIST c:\\notes.txt (type c:\\notes.txt)",
            "if not defined NAME set NAME=x",
            "if errorlevel 1 goto end",
            "IF \"%1\"==\"\" echo none",
            "if /i %X% EQU 2 echo two",
            "for /r c:\\ %name in (*.log) do del %name",
            "FOR %% IN (a b) DO ECHO %%",
        ] {
            assert!(find(value.as_bytes()).is_some(), "{value}");
        }
    }

    #[test]
    fn sentences_are_not() {
        for value in [
            "for all in (my) house",
            "if they exist we will know",
            "If x == y then z",
            "if not, tell me",
            "for 5% in (2023)",
            "if defined benefit plans end",
        ] {
            assert!(find(value.as_bytes()).is_none(), "{value}");
        }
    }
}
