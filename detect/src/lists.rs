//! Data files as constant arrays: a line an entry, `#` starts a comment line.

use crate::scan::same;

/// The entries of a data file beside the source, as a constant `&[&str]`.
macro_rules! list {
    ($file:literal) => {{
        const TEXT: &str = include_str!($file);
        const ENTRIES: [&str; $crate::lists::count(TEXT)] = $crate::lists::lines(TEXT);
        &ENTRIES
    }};
}
pub(crate) use list;

/// Whether `word`, in any case, is one of `entries`, which are short lists: each is compared.
pub(crate) fn holds(entries: &[&str], word: &[u8]) -> bool {
    entries.iter().any(|entry| same(entry.as_bytes(), word))
}

/// How many entries `text` has.
pub(crate) const fn count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut entries) = (0, 0);
    while at < bytes.len() {
        let end = line_end(bytes, at);
        if is_entry(bytes, at, end) {
            entries += 1;
        }
        at = end + 1;
    }
    entries
}

/// The entries of `text`; `N` is its [`count`].
pub(crate) const fn lines<const N: usize>(text: &str) -> [&str; N] {
    let bytes = text.as_bytes();
    let mut out = [""; N];
    let (mut at, mut entry) = (0, 0);
    while at < bytes.len() && entry < N {
        let end = line_end(bytes, at);
        if is_entry(bytes, at, end) {
            assert!(
                !bytes[at].is_ascii_whitespace() && !bytes[end - 1].is_ascii_whitespace(),
                "blanks around an entry"
            );
            out[entry] = slice(text, at, end);
            entry += 1;
        }
        at = end + 1;
    }
    out
}

/// Each of `entries` from behind its last `separator`.
pub(crate) const fn tails<'a, const N: usize>(entries: &[&'a str; N], separator: u8) -> [&'a str; N] {
    let mut out = [""; N];
    let mut entry = 0;
    while entry < N {
        let bytes = entries[entry].as_bytes();
        let mut at = bytes.len();
        while at > 0 && bytes[at - 1] != separator {
            at -= 1;
        }
        out[entry] = slice(entries[entry], at, bytes.len());
        entry += 1;
    }
    out
}

/// Each of `entries` up to its first `separator`.
pub(crate) const fn heads<'a, const N: usize>(entries: &[&'a str; N], separator: u8) -> [&'a str; N] {
    let mut out = [""; N];
    let mut entry = 0;
    while entry < N {
        let bytes = entries[entry].as_bytes();
        let mut at = 0;
        while at < bytes.len() && bytes[at] != separator {
            at += 1;
        }
        out[entry] = slice(entries[entry], 0, at);
        entry += 1;
    }
    out
}

/// How many of `entries` have no `byte`.
pub(crate) const fn count_without(entries: &[&str], byte: u8) -> usize {
    let (mut entry, mut count) = (0, 0);
    while entry < entries.len() {
        count += !has(entries[entry], byte) as usize;
        entry += 1;
    }
    count
}

/// Those of `names` whose entry has no `byte`; `N` is the entries' [`count_without`].
pub(crate) const fn without<const N: usize>(
    entries: &[&str],
    names: &[&'static str],
    byte: u8,
) -> [&'static str; N] {
    let mut out = [""; N];
    let (mut entry, mut at) = (0, 0);
    while entry < entries.len() && at < N {
        if !has(entries[entry], byte) {
            out[at] = names[entry];
            at += 1;
        }
        entry += 1;
    }
    out
}

const fn has(entry: &str, byte: u8) -> bool {
    let bytes = entry.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

const fn slice(text: &str, from: usize, to: usize) -> &str {
    text.split_at(to).0.split_at(from).1
}

const fn line_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'\n' {
        at += 1;
    }
    at
}

const fn is_entry(bytes: &[u8], at: usize, end: usize) -> bool {
    at < end && bytes[at] != b'#'
}

/// One table behind the other; `N` is the sum of their lengths.
pub(crate) const fn concat<const N: usize>(
    head: &[&'static str],
    tail: &[&'static str],
) -> [&'static str; N] {
    let mut out = [""; N];
    let mut at = 0;
    while at < N {
        out[at] = if at < head.len() { head[at] } else { tail[at - head.len()] };
        at += 1;
    }
    out
}

/// The shapes of a table's names: rules out most words without a search.
#[derive(Debug)]
pub(crate) struct Shapes {
    /// The lengths of the names that start with each byte, a bit each.
    first: [u64; 256],
    /// The lengths of those that end in it.
    last: [u64; 256],
}

impl Shapes {
    /// The shapes of `names`, which are in lower case.
    pub(crate) const fn of(names: &[&str]) -> Self {
        let mut shapes = Self { first: [0; 256], last: [0; 256] };
        let mut entry = 0;
        while entry < names.len() {
            let name = names[entry].as_bytes();
            if !name.is_empty() {
                shapes.first[name[0] as usize] |= length_bit(name.len());
                shapes.last[name[name.len() - 1] as usize] |= length_bit(name.len());
            }
            entry += 1;
        }
        shapes
    }

    /// Whether the table may hold `name`, in any case.
    pub(crate) fn may_hold(&self, name: &[u8]) -> bool {
        let (Some(first), Some(last)) = (name.first(), name.last()) else { return false };
        let (first, last) = (first.to_ascii_lowercase(), last.to_ascii_lowercase());
        self.first[usize::from(first)] & self.last[usize::from(last)] & length_bit(name.len()) != 0
    }

    /// Whether a name of the table starts with `byte`, in any case.
    pub(crate) fn may_start(&self, byte: u8) -> bool {
        self.first[usize::from(byte.to_ascii_lowercase())] != 0
    }
}

/// All lengths from 63 on share a bit.
const fn length_bit(length: usize) -> u64 {
    1 << if length < 63 { length } else { 63 }
}

#[cfg(test)]
mod tests {
    use super::{Shapes, holds};

    #[test]
    fn lists_hold_whole_entries_in_any_case() {
        let entries: &[&str] = &["alpha", "beta.php"];
        assert!(holds(entries, b"Alpha") && holds(entries, b"BETA.PHP"));
        for other in [&b"alph"[..], b"lpha", b"", b"alpha\nbeta.php"] {
            assert!(!holds(entries, other), "{other:?}");
        }
    }

    #[test]
    fn shapes_hold_every_name_of_their_table_in_any_case() {
        let long = "x".repeat(200);
        let names = ["id", "cat", "get-item", long.as_str()];
        let shapes = Shapes::of(&names);
        for name in names {
            assert!(
                shapes.may_hold(name.as_bytes()) && shapes.may_hold(name.to_uppercase().as_bytes()),
                "{name}"
            );
        }
        for other in ["", "i", "cats", "dog", "cab"] {
            assert!(!shapes.may_hold(other.as_bytes()), "{other}");
        }
    }
}
