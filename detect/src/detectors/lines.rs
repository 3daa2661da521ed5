//! Lines that stand after a line break inside a value, for the detectors of line-based protocols.

use memchr::memchr3;

/// One line after a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its offset in the value.
    pub(super) at: usize,
    /// Its bytes up to the next break.
    pub(super) text: &'a [u8],
    /// The break before it.
    pub(super) after: Break,
}

/// How a line break is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// CR alone, which no editor writes any more.
    Cr,
    /// LF alone.
    Lf,
    /// CR LF.
    CrLf,
    /// Letters that become CR or LF where a server cuts their code points to a byte (U+560D, U+560A).
    Folded,
}

/// What stands before the first break.
pub(super) fn first(bytes: &[u8]) -> &[u8] {
    find(bytes, 0).map_or(bytes, |(at, _, _)| bytes.get(..at).unwrap_or_default())
}

/// The lines after each break, empty ones too.
pub(super) fn after_breaks(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut next = find(bytes, 0);
    std::iter::from_fn(move || {
        let (at, length, after) = next?;
        let start = at + length;
        next = find(bytes, start);
        let end = next.map_or(bytes.len(), |(at, _, _)| at);
        Some(Line { at: start, text: bytes.get(start..end).unwrap_or_default(), after })
    })
}

/// The next break: its offset, length and kind.
fn find(bytes: &[u8], from: usize) -> Option<(usize, usize, Break)> {
    let mut at = from;
    loop {
        at += memchr3(b'\r', b'\n', 0xe5, bytes.get(at..)?)?;
        match bytes.get(at..)? {
            [b'\r', b'\n', ..] => return Some((at, 2, Break::CrLf)),
            [b'\r', ..] => return Some((at, 1, Break::Cr)),
            [b'\n', ..] => return Some((at, 1, Break::Lf)),
            [0xe5, 0x98, 0x8a | 0x8d, 0xe5, 0x98, 0x8a | 0x8d, ..] => return Some((at, 6, Break::Folded)),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Break, after_breaks, first};

    #[test]
    fn cuts_at_every_kind_of_break() {
        let text = "one\r\ntwo\rthree\nfour嘊嘍five".as_bytes();
        let lines: Vec<_> = after_breaks(text).map(|line| (line.text, line.after)).collect();
        assert_eq!(first(text), b"one");
        assert_eq!(
            lines,
            [
                (&b"two"[..], Break::CrLf),
                (b"three", Break::Cr),
                (b"four", Break::Lf),
                (b"five", Break::Folded)
            ]
        );
    }

    #[test]
    fn ends_with_an_empty_line_after_a_last_break() {
        assert_eq!(after_breaks(b"x\n").map(|line| line.text).collect::<Vec<_>>(), [b""]);
        assert_eq!(after_breaks("嘊x國".as_bytes()).count(), 0);
    }
}
