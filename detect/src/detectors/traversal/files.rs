//! Which files an attacker asks for.

use std::cmp::Ordering;

use crate::lists::{self, Shapes};

const TEXT: &str = include_str!("files.txt");
const FILES: [&str; lists::count(TEXT)] = lists::lines(TEXT);

/// The last segment of each, for the word pass; a bare `! name` keeps its class in front.
pub(crate) const LAST: [&str; FILES.len()] = lists::tails(&lists::tails(&FILES, b' '), b'/');

/// Those that are named without a folder.
pub(crate) const BARE: [&str; lists::count_without(&FILES, b'/')] = lists::without(&FILES, &LAST, b'/');

/// How much naming a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Decides where the value as a whole is the path.
    Whole,
    /// Decides wherever the path does not stand in prose.
    Anywhere,
}

/// What the table says of the segments read so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The file itself.
    File(Weight),
    /// A folder whose content is meant.
    Folder,
}

/// Looks up a path whose last segments are `last` and, going up, `parents`; `separated` says whether a separator stands
/// before it: a name without one is in no folder, not even the root.
pub(crate) fn look_up(last: &[u8], parents: &Parents<'_>, separated: bool) -> Option<Match> {
    if !may_be_file(last) {
        return None;
    }
    let first = LAST.partition_point(|known| compare(known.as_bytes(), last) == Ordering::Less);
    let mut best = None;
    for (entry, known) in FILES.iter().zip(LAST.iter()).skip(first) {
        if compare(known.as_bytes(), last) != Ordering::Equal {
            break;
        }
        let (class, path) = entry.split_once(' ').unwrap_or_default();
        if !parents.end_with(path) || path.contains('/') && !separated {
            continue;
        }
        match class {
            "!" => return Some(Match::File(Weight::Anywhere)),
            "+" => best = Some(Match::File(Weight::Whole)),
            _ => best = best.or(Some(Match::Folder)),
        }
    }
    best
}

/// Whether the table may hold `name`; most words are no name of it.
pub(crate) fn may_be_file(name: &[u8]) -> bool {
    SHAPES.may_hold(name)
}

static SHAPES: Shapes = Shapes::of(&LAST);

/// The segments above the current one, nearest last; only the nearest few are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parents<'a> {
    kept: [&'a [u8]; 3],
    count: usize,
}

impl<'a> Parents<'a> {
    /// Goes one folder down.
    pub(crate) fn push(&mut self, name: &'a [u8]) {
        let [_, nearer, nearest] = self.kept;
        self.kept = [nearer, nearest, name];
        self.count = self.count.saturating_add(1);
    }

    /// Starts again at a root.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the folders of `path`, which ends in a file, are the nearest ones here.
    fn end_with(&self, path: &str) -> bool {
        let (rooted, path) = match path.strip_prefix('/') {
            Some(path) => (true, path),
            None => (false, path),
        };
        let wanted = path.rsplit('/').skip(1);
        let mut matched = 0;
        for folder in wanted {
            let Some(here) = self.kept.iter().rev().nth(matched) else { return false };
            if matched >= self.count || !here.eq_ignore_ascii_case(folder.as_bytes()) {
                return false;
            }
            matched += 1;
        }
        !rooted || matched == self.count
    }
}

fn compare(known: &[u8], name: &[u8]) -> Ordering {
    known.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_lower_case() {
        assert!(LAST.is_sorted());
        assert!(FILES.iter().all(|line| *line == line.to_ascii_lowercase()));
        assert!(FILES.iter().all(|line| ["! ", "+ ", "d "].iter().any(|class| line.starts_with(class))));
        assert!(FILES.iter().all(|line| line.split('/').count() <= 5));
    }

    #[test]
    fn a_rooted_entry_needs_its_root() {
        let mut parents = Parents::default();
        parents.push(b"ETC");
        assert_eq!(look_up(b"Issue", &parents, true), Some(Match::File(Weight::Whole)));
        assert_eq!(look_up(b"passwd", &parents, true), Some(Match::File(Weight::Anywhere)));
        assert_eq!(look_up(b"nothing", &parents, true), None);
        parents.clear();
        assert_eq!(look_up(b"php.ini", &parents, true), Some(Match::File(Weight::Whole)));
        assert_eq!(look_up(b"php.ini", &parents, false), None);
        parents.push(b"my");
        parents.push(b"etc");
        assert_eq!(look_up(b"issue", &parents, true), None);
    }
}
