//! The spellings of a dot and of a separator that a path's reader may accept.

use crate::scan::{hex_digit, starts_with_ignore_case};

/// What one unit of a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A dot.
    Dot,
    /// A slash or backslash.
    Separator,
    /// A sequence that is no character: what a lax decoder makes of it, dot or separator, is unknown.
    Wild,
    /// `?`, which lax decoders put where a dot was.
    Question,
    /// A control byte that C strings end at or file systems drop.
    Control,
    /// Any other byte.
    Byte,
}

/// One unit: its kind, length and whether it is spelled in a way no honest client uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) kind: Kind,
    pub(crate) len: usize,
    pub(crate) odd: bool,
}

impl Unit {
    const fn plain(kind: Kind) -> Self {
        Self { kind, len: 1, odd: false }
    }

    const fn odd(kind: Kind, len: usize) -> Self {
        Self { kind, len, odd: true }
    }
}

/// Reads the unit at the start of `rest`.
pub(crate) fn unit(rest: &[u8]) -> Option<Unit> {
    let (&byte, tail) = rest.split_first()?;
    Some(match byte {
        b'.' => Unit::plain(Kind::Dot),
        b'/' | b'\\' => Unit::plain(Kind::Separator),
        b'?' => Unit::plain(Kind::Question),
        b'%' => percent(tail),
        b'0' => hex_text(rest),
        0..=8 | 0x0e..=0x1f | 0x7f => Unit::odd(Kind::Control, 1),
        0xc0 | 0xc1 => two_byte(byte, tail),
        0xe0..=0xff => multi_byte(byte, tail),
        _ => Unit::plain(Kind::Byte),
    })
}

/// `%u2215` and its kin, and escapes that are none, such as `%qf`: a reader that takes the low bits of each digit
/// gets a separator.
fn percent(tail: &[u8]) -> Unit {
    if let [b'u' | b'U', digits @ ..] = tail {
        let code = digits.get(..4).and_then(|digits| {
            digits.iter().try_fold(0, |code, &d| Some(code << 4 | u32::from(hex_digit(d)?)))
        });
        return match code.and_then(look_alike) {
            Some(kind) => Unit::odd(kind, 6),
            None => Unit::plain(Kind::Byte),
        };
    }
    match tail {
        // A decoder that reads digit by digit left `%2%f` of `%%32%%66`.
        [high, b'%', low, ..] if hex_digit(*high).is_some() && hex_digit(*low).is_some() => {
            let code = hex_digit(*high).unwrap_or(0) << 4 | hex_digit(*low).unwrap_or(0);
            match ascii(u32::from(code)) {
                Some(kind) => Unit::odd(kind, 4),
                None => Unit::plain(Kind::Byte),
            }
        }
        // A percent sign before a byte that no URL has is what is left of an escape.
        [0x80..=0xff, ..] => Unit::odd(Kind::Control, 1),
        [high, low, ..] if high.is_ascii_alphanumeric() && low.is_ascii_alphanumeric() => {
            if hex_digit(*high).is_some() && hex_digit(*low).is_some() {
                Unit::plain(Kind::Byte)
            } else {
                Unit::odd(Kind::Wild, 3)
            }
        }
        _ => Unit::plain(Kind::Byte),
    }
}

/// `0x2e` as text.
fn hex_text(rest: &[u8]) -> Unit {
    if starts_with_ignore_case(rest, b"0x2e") {
        Unit::odd(Kind::Dot, 4)
    } else if starts_with_ignore_case(rest, b"0x2f") || starts_with_ignore_case(rest, b"0x5c") {
        Unit::odd(Kind::Separator, 4)
    } else {
        Unit::plain(Kind::Byte)
    }
}

/// A lead byte that no UTF-8 text has: an overlong form of ASCII, right or with stray bits.
fn two_byte(lead: u8, tail: &[u8]) -> Unit {
    match tail {
        [b'.', ..] => Unit::odd(Kind::Dot, 2),
        [b'/' | b'\\', ..] => Unit::odd(Kind::Separator, 2),
        [b'%', high, low, ..] if high.is_ascii_alphanumeric() && low.is_ascii_alphanumeric() => {
            Unit::odd(Kind::Wild, 4)
        }
        [low, ..] => match ascii(u32::from(lead & 1) << 6 | u32::from(low & 0x3f)) {
            Some(kind) => Unit::odd(kind, 2),
            None if low.is_ascii_alphanumeric() || low.is_ascii_whitespace() => Unit::odd(Kind::Wild, 1),
            None => Unit::odd(Kind::Wild, 2),
        },
        [] => Unit::odd(Kind::Wild, 1),
    }
}

/// A longer overlong form of ASCII, or a character that looks like a dot or a slash.
fn multi_byte(lead: u8, tail: &[u8]) -> Unit {
    let (more, bits) = match lead {
        0xe0..=0xef => (2, lead & 0x0f),
        0xf0..=0xf7 => (3, lead & 0x07),
        0xf8..=0xfb => (4, lead & 0x03),
        _ => (5, lead & 0x01),
    };
    let code = tail.get(..more).and_then(|bytes| {
        bytes
            .iter()
            .try_fold(u32::from(bits), |code, &b| (b & 0xc0 == 0x80).then(|| code << 6 | u32::from(b & 0x3f)))
    });
    match code {
        // A lead byte was replaced, what it led is left: `^` and `n` are a dot with stray bits.
        Some(0xfffd) if matches!(tail.get(more), Some(b'^' | b'n')) => Unit::odd(Kind::Wild, more + 2),
        Some(code) if code < 0x80 => Unit::odd(ascii(code).unwrap_or(Kind::Wild), more + 1),
        Some(code) => match look_alike(code) {
            Some(kind) => Unit::odd(kind, more + 1),
            None => Unit { kind: Kind::Byte, len: more + 1, odd: false },
        },
        None => Unit::plain(Kind::Byte),
    }
}

fn ascii(code: u32) -> Option<Kind> {
    match code {
        0x2e => Some(Kind::Dot),
        0x2f | 0x5c => Some(Kind::Separator),
        _ => None,
    }
}

/// Characters that best-fit mappings and file systems turn into a dot or a separator.
fn look_alike(code: u32) -> Option<Kind> {
    match code {
        0x2e | 0x2024 | 0xff0e => Some(Kind::Dot),
        0x2f | 0x5c | 0x2044 | 0x2215 | 0x2216 | 0x29f8 | 0xff0f | 0xff3c | 0xefc8 | 0xf025 => {
            Some(Kind::Separator)
        }
        0xfffd => Some(Kind::Wild),
        _ => None,
    }
}
