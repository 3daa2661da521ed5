//! Virtual patches: the requests of published vulnerabilities, as data, off until switched on.
//!
//! `patches.txt` holds one patch a paragraph: its id and title, then one alternative a line, each a list of conditions
//! that must all hold. A patch raises [`Tag::VirtualPatch`] with its id as the detector; it never blocks by itself.

mod matcher;

use crate::engine::Inspection;
use crate::patches::matcher::{Condition, Parts};
use crate::request::Request;
use crate::scan;
use crate::signal::{Location, Tag};

/// The table of all patches.
const TABLE: &str = include_str!("patches.txt");

/// A published vulnerability and how its requests look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its id, `CVE-2021-44228`.
    pub id: &'static str,
    /// What it protects.
    pub title: &'static str,
    alternatives: Vec<Vec<Condition>>,
}

/// A name that is no patch's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPatch {
    /// The name.
    pub id: String,
}

impl std::fmt::Display for UnknownPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no virtual patch is called {}", self.id)
    }
}

impl std::error::Error for UnknownPatch {}

impl Patch {
    /// Every patch, in the table's order.
    pub fn all() -> Vec<Self> {
        pieces(TABLE, "\n\n").filter_map(Self::parse).collect()
    }

    /// The patch called `id`, in any case.
    pub fn find(id: &str) -> Option<Self> {
        Self::all().into_iter().find(|patch| patch.id.eq_ignore_ascii_case(id))
    }

    fn parse(paragraph: &'static str) -> Option<Self> {
        let mut lines = paragraph.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (id, title) = lines.next()?.split_once(' ')?;
        let alternatives = lines.map(|line| pieces(line, " & ").map(Condition::parse).collect::<Option<_>>());
        Some(Self { id, title, alternatives: alternatives.collect::<Option<_>>()? })
    }
}

/// What stands between each two of `between`. The standard library's own searcher is larger than all that reads the table,
/// and in the filter it would be there for nothing else.
fn pieces<'t>(text: &'t str, between: &'t str) -> impl Iterator<Item = &'t str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = scan::find(text.as_bytes(), between.as_bytes());
        rest = at.and_then(|at| text.get(at + between.len()..));
        text.get(..at.unwrap_or(text.len()))
    })
}

/// Raises a signal for each of `patches` that `request` matches.
pub(crate) fn inspect(patches: &[Patch], request: &Request<'_>, inspection: &mut Inspection<'_>) {
    if patches.is_empty() {
        return;
    }
    let parts = Parts::read(request, inspection.budgets().body_bytes);
    for patch in patches {
        let matched =
            patch.alternatives.iter().any(|all| all.iter().all(|condition| condition.holds(&parts)));
        if matched {
            inspection.note(Tag::VirtualPatch, Location::Request, patch.id, patch.title.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Patch, TABLE};

    #[test]
    fn every_paragraph_of_the_table_is_a_patch() {
        let ids = TABLE.lines().filter(|line| line.starts_with("CVE-")).count();
        let patches = Patch::all();
        assert_eq!(patches.len(), ids);
        assert!(patches.iter().all(|patch| !patch.alternatives.is_empty()), "a patch without a condition");
    }
}
