//! Data files as constant arrays: a line an entry, `#` starts a comment line.

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
