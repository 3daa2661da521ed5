//! Reads one word the way a shell would expand it: quotes, escapes, empty expansions and carets taken out.

use crate::budget::Steps;
use crate::scan::hex_digit;

/// Longest word that can be a command with its path.
const LONGEST: usize = 64;
/// How far a quote or an expansion may reach.
const REACH: usize = 48;

/// A word as the shell would run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    text: [u8; LONGEST],
    len: usize,
    /// Behind the word.
    pub(crate) end: usize,
    /// Whether it was written so that a reader does not see the command.
    pub(crate) hidden: bool,
    /// Whether it holds a glob.
    pub(crate) glob: bool,
    /// Whether it is `{word,argument}`: a comma ended it.
    pub(crate) brace: bool,
    /// Whether a white-space variable ended it.
    pub(crate) spaced: bool,
    /// Whether it names the shell by a variable.
    pub(crate) shell: bool,
}

impl Word {
    /// The expanded text.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    /// The last part of a path, and the folders before it.
    pub(crate) fn split_path(&self) -> (&[u8], &[u8]) {
        let text = self.text();
        let windows = text.contains(&b':');
        let slash = text.iter().rposition(|&byte| byte == b'/' || (windows && byte == b'\\'));
        match slash {
            Some(at) => text.split_at_checked(at + 1).unwrap_or((&[], text)),
            None => (&[], text),
        }
    }

    fn push(&mut self, byte: u8) -> bool {
        match self.text.get_mut(self.len) {
            Some(room) => {
                *room = byte;
                self.len += 1;
                true
            }
            None => false,
        }
    }
}

/// Reads the word at `at`; `None` where no word starts or it is too long to be a command.
///
/// What adds no letter to the word, such as an empty quote, costs a step: many places may read the same row of them.
pub(crate) fn read(bytes: &[u8], at: usize, steps: &mut Steps) -> Option<Word> {
    let mut word = Word {
        text: [0; LONGEST],
        len: 0,
        end: at,
        hidden: false,
        glob: false,
        brace: false,
        spaced: false,
        shell: false,
    };
    if let Some((b'{', inner)) = bytes.get(at..).and_then(<[u8]>::split_first) {
        word.brace = is_brace_list(inner);
        word.hidden = word.brace;
        let commas = inner.iter().take_while(|byte| **byte == b',').count();
        word.end += if word.brace { 1 + commas } else { 0 };
    }
    let drive = drive(bytes.get(at..).unwrap_or_default());
    while let Some(&byte) = bytes.get(word.end) {
        let rest = bytes.get(word.end..).unwrap_or_default();
        let len = word.len;
        let step = match byte {
            b'\'' | b'"' => quoted(&mut word, rest, byte)?,
            b'\\' => backslash(&mut word, rest, drive)?,
            b'^' => match rest.get(1) {
                Some(next) if next.is_ascii_alphanumeric() => {
                    word.hidden = true;
                    1
                }
                _ => 0,
            },
            b'$' => dollar(&mut word, rest)?,
            b'%' => percent(&mut word, rest)?,
            b'`' if rest.starts_with(b"``") => {
                word.hidden = true;
                2
            }
            b',' | b'}' if word.brace => 0,
            b'?' | b'*' | b'[' => {
                word.glob = true;
                usize::from(word.push(byte))
            }
            0..=b' ' | b';' | b'|' | b'&' | b'<' | b'>' | b'(' | b')' | b'`' | b'+' | b'{' | b'}' => 0,
            _ if word.push(byte) => 1,
            _ => return None,
        };
        if step == 0 {
            break;
        }
        word.end += step;
        if word.len == len && !steps.take(1) {
            return None;
        }
    }
    (word.len > 0 || word.shell || word.hidden || word.spaced).then_some(word)
}

/// `{cat,/etc/passwd}`: a list without white space up to its brace.
fn is_brace_list(inner: &[u8]) -> bool {
    let inner = inner.get(..REACH * 2).unwrap_or(inner);
    let Some(end) = inner.iter().position(|&byte| byte == b'}' || byte <= b' ' || byte == b':') else {
        return false;
    };
    let list = inner.get(..end).unwrap_or_default();
    inner.get(end) == Some(&b'}') && list.contains(&b',') && list.iter().any(u8::is_ascii_alphabetic)
}

fn drive(rest: &[u8]) -> bool {
    matches!(rest, [letter, b':', b'\\', ..] if letter.is_ascii_alphabetic()) || rest.starts_with(b"\\\\")
}

/// Takes a quoted part; a quote that does not close within the word ends it.
fn quoted(word: &mut Word, rest: &[u8], quote: u8) -> Option<usize> {
    let window = rest.get(1..).unwrap_or_default();
    let window = window.get(..REACH).unwrap_or(window);
    let Some(close) = window.iter().position(|&byte| byte == quote) else { return Some(0) };
    let inner = window.get(..close).unwrap_or_default();
    if inner.iter().any(|byte| matches!(byte, 0..=b' ' | b';' | b'|' | b'&' | b'<' | b'>' | b'`' | b'(')) {
        return Some(0);
    }
    let next = window.get(close + 1).copied().unwrap_or(0);
    let joins = next.is_ascii_alphanumeric() || matches!(next, b'\'' | b'"' | b'$' | b'/' | b'\\');
    word.hidden |= word.len > 0 || joins;
    for &byte in inner {
        if !word.push(byte) {
            return None;
        }
    }
    Some(close + 2)
}

fn backslash(word: &mut Word, rest: &[u8], drive: bool) -> Option<usize> {
    match rest.get(1) {
        Some(_) if drive => word.push(b'\\').then_some(1),
        Some(b'\n') => Some(2),
        Some(&next) if next.is_ascii_alphanumeric() || next == b'/' || next == b'-' => {
            word.hidden = true;
            word.push(next).then_some(2)
        }
        _ => Some(0),
    }
}

/// Variables and expansions: white space, empty, one character, or the shell's own name.
fn dollar(word: &mut Word, rest: &[u8]) -> Option<usize> {
    let tail = rest.get(1..).unwrap_or_default();
    match tail {
        [b')', ..] => Some(0),
        [b'(', b')', ..] => {
            word.hidden = true;
            Some(3)
        }
        [b'\'', ..] => ansi_c(word, tail.get(1..).unwrap_or_default()).map(|len| len + 2),
        [b'"', ..] => Some(1),
        [b'{', inner @ ..] => {
            let inner = inner.get(..REACH).unwrap_or(inner);
            let Some(close) = inner.iter().position(|&byte| byte == b'}') else { return Some(0) };
            let name = inner.get(..close).unwrap_or_default();
            variable(word, name, close + 3)
        }
        [b'@' | b'*' | b'#' | b'!' | b'-' | b'$' | b'1'..=b'9', ..] => {
            word.hidden = true;
            Some(2)
        }
        [b'0', next @ ..]
            if word.len == 0
                && next
                    .first()
                    .is_none_or(|byte| matches!(byte, 0..=b' ' | b'<' | b'>' | b'|' | b'&' | b'"')) =>
        {
            word.shell = true;
            Some(2)
        }
        [b'I', b'F', b'S', ..] => variable(word, b"IFS", 4),
        [first, ..] if first.is_ascii_alphabetic() || *first == b'_' => {
            let len = tail.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            variable(word, tail.get(..len).unwrap_or_default(), len + 1)
        }
        _ => Some(0),
    }
}

fn variable(word: &mut Word, name: &[u8], len: usize) -> Option<usize> {
    if name.starts_with(b"IFS") {
        word.spaced = true;
        // `$IFS$9` is the same: the empty variable only ends the name.
        word.end += len;
        return Some(0);
    }
    if word.len == 0 && matches!(name, b"SHELL" | b"BASH" | b"0" | b"COMSPEC") {
        word.shell = true;
        return Some(len);
    }
    word.hidden = true;
    if let Some(at) = name.iter().position(|&byte| byte == b':') {
        // `${PATH:0:1}` and its kin pick a slash out of a path.
        let pick = name.get(at + 1..).unwrap_or_default();
        if pick.first().is_some_and(u8::is_ascii_digit) && !word.push(b'/') {
            return None;
        }
    }
    Some(len)
}

/// `$'\x63at'`
fn ansi_c(word: &mut Word, inner: &[u8]) -> Option<usize> {
    let inner = inner.get(..REACH).unwrap_or(inner);
    word.hidden = true;
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        at += 1;
        match (byte, inner.get(at..).unwrap_or_default()) {
            (b'\'', _) => return Some(at),
            (b'\\', [b'x', high, low, ..]) => {
                let code = hex_digit(*high)? << 4 | hex_digit(*low)?;
                word.push(code).then_some(())?;
                at += 3;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                let code = (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0');
                word.push(code).then_some(())?;
                at += 3;
            }
            _ => word.push(byte).then_some(())?,
        }
    }
    None
}

/// `%COMSPEC%`, and `%VAR:~3,1%` that picks a character.
fn percent(word: &mut Word, rest: &[u8]) -> Option<usize> {
    let tail = rest.get(1..).unwrap_or_default();
    let tail = tail.get(..REACH).unwrap_or(tail);
    let Some(close) = tail.iter().position(|&byte| byte == b'%') else {
        return word.push(b'%').then_some(1);
    };
    let name = tail.get(..close).unwrap_or_default();
    if word.len == 0 && name.eq_ignore_ascii_case(b"comspec") {
        word.shell = true;
        return Some(close + 2);
    }
    if name.windows(2).any(|pair| pair == b":~") {
        word.hidden = true;
        return Some(close + 2);
    }
    word.push(b'%').then_some(1)
}
