//! Word tables kept as data files: one word a line, lower case, `#` starts a comment line.

use memchr::memmem;

/// The longest word a table may hold.
const LONGEST: usize = 96;

/// Whether `word`, in any case, is a line of `table`. Linear in the table; callers ask only for plausible words.
pub(crate) fn contains(table: &str, word: &[u8]) -> bool {
    let mut line = [b'\n'; LONGEST + 2];
    let Some(room) = line.get_mut(1..=word.len()) else { return false };
    if word.is_empty() || word.len() > LONGEST || word.contains(&b'\n') {
        return false;
    }
    room.copy_from_slice(word);
    room.make_ascii_lowercase();
    line.get(..word.len() + 2).is_some_and(|line| memmem::find(table.as_bytes(), line).is_some())
}

/// The words of `table`, for building and for tests.
pub(crate) fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// How many words `table` holds.
pub(crate) const fn count(table: &str) -> usize {
    let mut words = 0;
    let mut rest = table.as_bytes();
    while let Some((word, tail)) = next_line(rest) {
        words += is_word(word) as usize;
        rest = tail;
    }
    words
}

/// The words of `table` as an array, for tables that the automaton of all detectors reads too.
pub(crate) const fn words<const N: usize>(table: &'static str) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    let mut rest = table.as_bytes();
    while let Some((word, tail)) = next_line(rest) {
        if is_word(word)
            && at < N
            && let Ok(word) = std::str::from_utf8(word)
        {
            words[at] = word;
            at += 1;
        }
        rest = tail;
    }
    words
}

const fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let mut end = 0;
    while end < text.len() && text[end] != b'\n' {
        end += 1;
    }
    let (line, tail) = text.split_at(end);
    Some((line, if let [_, tail @ ..] = tail { tail } else { tail }))
}

const fn is_word(line: &[u8]) -> bool {
    !line.is_empty() && line[0] != b'#'
}

#[cfg(test)]
mod tests {
    use super::{contains, count, lines, words};

    const TABLE: &str = "# a comment\nalpha\nbeta.php\n";

    #[test]
    fn finds_whole_lines_in_any_case() {
        assert!(contains(TABLE, b"Alpha") && contains(TABLE, b"BETA.PHP"));
    }

    #[test]
    fn refuses_parts_of_lines_and_line_ends() {
        for word in [&b"alph"[..], b"lpha", b"", b"alpha\nbeta.php", &[b'a'; 200]] {
            assert!(!contains(TABLE, word), "{word:?}");
        }
    }

    #[test]
    fn lines_leave_out_comments() {
        assert_eq!(lines(TABLE).collect::<Vec<_>>(), ["alpha", "beta.php"]);
    }

    #[test]
    fn words_are_the_lines() {
        const WORDS: [&str; count(TABLE)] = words(TABLE);
        assert_eq!(lines(TABLE).collect::<Vec<_>>(), WORDS);
    }
}
