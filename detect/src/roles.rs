//! Which detectors read what: a place of their own, a document as a whole, or the same as another row of the table.

use crate::detectors::DETECTORS;
use crate::signal::Location;
use crate::value::{Field, Part};

/// Sets of detectors, a bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Roles {
    /// Those that read markup as a whole.
    pub(crate) markup: u64,
    /// Those that read nothing but a `User-Agent`.
    agent: u64,
    /// Those that read nothing but the whole path of a request.
    path: u64,
    /// Those whose words are of use only where words count alone: they read one place, or ask for no word elsewhere.
    pub(crate) alone: u64,
    /// Those whose words are of no use in a value that can make them fire without one.
    pub(crate) bare: u64,
    /// Those to whom a number is the name of a folder, and only below `proc`.
    pub(crate) numbers: u64,
    /// Rows of the table for one detector under different conditions: any of them finds what the others do.
    twins: u64,
}

impl Roles {
    /// Finds the detectors by their names.
    pub(crate) fn new() -> Self {
        let (agent, path) = (bits(AGENT), bits(PATH));
        Self {
            markup: bits(MARKUP),
            agent,
            path,
            alone: agent | path | bits(WORDLESS),
            bare: bits(BARE),
            numbers: bits(NUMBERS),
            twins: bits(TWINS),
        }
    }

    /// The detectors that read one place only.
    pub(crate) fn placed(&self) -> u64 {
        self.agent | self.path
    }

    /// Those of them that do not read the place of `field`.
    pub(crate) fn elsewhere(&self, field: &Field<'_>) -> u64 {
        match (field.location, field.part) {
            (Location::UserAgent, _) => self.path,
            (Location::Path, Part::Whole) => self.agent,
            _ => self.placed(),
        }
    }

    /// Leaves of twins in `able` the first.
    pub(crate) fn once(&self, able: u64) -> u64 {
        let twins = able & self.twins;
        able & !twins | twins & twins.wrapping_neg()
    }

    /// The detectors that have nothing to add to what the one at `index` has found.
    pub(crate) fn done(&self, index: usize) -> u64 {
        if self.twins >> index & 1 == 1 { self.twins } else { 1 << index }
    }
}

/// XML's own detectors: the others read its text and attributes, where its tags would be an alarm a line.
const MARKUP: &[&str] = &["xxe"];
const AGENT: &[&str] = &["tools-agents", "tools-scanners", "tools-bots", "tools-bad-bots"];
const PATH: &[&str] = &["privatefile", "privatefile-secrets", "backdoor", "tools-probes"];
const WORDLESS: &[&str] = &["code"];
const BARE: &[&str] = &["sqli"];
const NUMBERS: &[&str] = &["traversal-folders"];
const TWINS: &[&str] = &["traversal", "traversal-folders"];

/// The detectors with these names, a bit each.
fn bits(names: &[&str]) -> u64 {
    let named = DETECTORS.iter().enumerate().filter(|(_, detector)| names.contains(&detector.name));
    named.fold(0, |bits, (index, _)| bits | 1 << index)
}

#[cfg(test)]
mod tests {
    use super::{AGENT, BARE, MARKUP, NUMBERS, PATH, TWINS, WORDLESS, bits};

    #[test]
    fn every_name_is_a_detector() {
        for names in [MARKUP, AGENT, PATH, WORDLESS, BARE, NUMBERS, TWINS] {
            assert_eq!(bits(names).count_ones() as usize, names.len(), "{names:?}");
        }
    }
}
