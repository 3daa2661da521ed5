//! USERAGENT, SCANNER, SUSPECTED-BOT and SUSPECTED-BAD-BOT: programs by the names and marks they send themselves.
//!
//! Catches attack tools named in the User-Agent (`agents.txt`), their probe paths (`probes.txt`) and their own headers
//! (`headers.txt`); commercial scanners (`scanners.txt`, an anomaly); libraries and headless browsers (`bots.txt`,
//! a fact, never an attack); site rippers (`bad-bots.txt`, an anomaly). Names stand as whole words.
//!
//! Deliberately misses: tools that call themselves a browser; tool names anywhere but in the User-Agent.
//!
//! False-positive risk: an authorised scan of one's own. Vectors: `vectors/request/tools.jsonl`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::lists;
use crate::scan;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Part, Value};

/// The row for attack tools.
pub(crate) const AGENTS: Detector = Detector {
    name: "tools-agents",
    words: AGENT_NAMES,
    possible: |_, word| word,
    inspect: |value, steps| agent(value, steps, AGENT_NAMES, (Tag::Useragent, "TOOL-AGENT")),
};

/// The row for scanners.
pub(crate) const SCANNERS: Detector = Detector {
    name: "tools-scanners",
    words: SCANNER_NAMES,
    possible: |_, word| word,
    inspect: |value, steps| agent(value, steps, SCANNER_NAMES, (Tag::Scanner, "SCANNER-AGENT")),
};

/// The row for libraries and headless browsers.
pub(crate) const BOTS: Detector = Detector {
    name: "tools-bots",
    words: BOT_NAMES,
    possible: |_, word| word,
    inspect: |value, steps| agent(value, steps, BOT_NAMES, (Tag::SuspectedBot, "PROGRAM-AGENT")),
};

/// The row for site rippers.
pub(crate) const BAD_BOTS: Detector = Detector {
    name: "tools-bad-bots",
    words: BAD_BOT_NAMES,
    possible: |_, word| word,
    inspect: |value, steps| agent(value, steps, BAD_BOT_NAMES, (Tag::SuspectedBadBot, "RIPPER-AGENT")),
};

/// The row for probe paths.
pub(crate) const PROBES: Detector =
    Detector { name: "tools-probes", words: PROBE_PATHS, possible: |_, word| word, inspect: probe };

const AGENT_NAMES: &[&str] = lists::list!("agents.txt");
const SCANNER_NAMES: &[&str] = lists::list!("scanners.txt");
const BOT_NAMES: &[&str] = lists::list!("bots.txt");
const BAD_BOT_NAMES: &[&str] = lists::list!("bad-bots.txt");
const PROBE_PATHS: &[&str] = lists::list!("probes.txt");
const HEADERS: &[&str] = lists::list!("headers.txt");

/// Whether `name` is a header that an attack tool adds.
pub(super) fn is_tool_header(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'x' | b'X' | b'a' | b'A')) && name.len() > 6 && lists::holds(HEADERS, name)
}

fn agent(
    value: &Value<'_>,
    steps: &mut Steps,
    names: &'static [&'static str],
    (tag, detector): (Tag, &'static str),
) -> Option<Finding> {
    if value.field.location != Location::UserAgent {
        return None;
    }
    let span = find(value.bytes, names, steps, |text, at, name| {
        let letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        let bounded = !name.ends_with(|last: char| last.is_ascii_alphanumeric());
        (!letter(before) || name.starts_with('(')) && (bounded || !letter(text.get(at + name.len())))
    })?;
    Some(Finding { tag, detector, span })
}

fn probe(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    if value.field.location != Location::Path || value.field.part != Part::Whole {
        return None;
    }
    let span = find(value.bytes, PROBE_PATHS, steps, |_, _, _| true)?;
    Some(Finding { tag: Tag::Useragent, detector: "TOOL-PROBE", span })
}

/// The first of `names` that stands in `bytes` the way `fits` asks. Reached only where one of them was seen.
fn find(
    bytes: &[u8],
    names: &'static [&'static str],
    steps: &mut Steps,
    fits: impl Fn(&[u8], usize, &str) -> bool,
) -> Option<std::ops::Range<usize>> {
    let lower = bytes.to_ascii_lowercase();
    names.iter().find_map(|name| {
        if !steps.take(1 + lower.len() / 64) {
            return None;
        }
        let at = scan::find_all(&lower, name.as_bytes()).find(|&at| fits(&lower, at, name))?;
        Some(at..at + name.len())
    })
}
