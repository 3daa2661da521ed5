//! Virtual patches: the requests of published vulnerabilities, as data, off until switched on.
//!
//! `patches.txt` holds one patch a paragraph: its id and title, then one alternative a line, each a list of conditions
//! that must all hold. A patch raises [`Tag::VirtualPatch`] with its id as the detector; it never blocks by itself.

mod matcher;

use crate::engine::Inspection;
use crate::patches::matcher::{Condition, Parts};
use crate::request::Request;
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
        TABLE.split("\n\n").filter_map(Self::parse).collect()
    }

    /// The patch called `id`, in any case.
    pub fn find(id: &str) -> Option<Self> {
        Self::all().into_iter().find(|patch| patch.id.eq_ignore_ascii_case(id))
    }

    fn parse(paragraph: &'static str) -> Option<Self> {
        let mut lines = paragraph.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (id, title) = lines.next()?.split_once(' ')?;
        let alternatives = lines.map(|line| line.split(" & ").map(Condition::parse).collect::<Option<_>>());
        Some(Self { id, title, alternatives: alternatives.collect::<Option<_>>()? })
    }
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
