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

#[cfg(test)]
mod tests {
    use super::{contains, lines};

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
}
