//! OOB-DOMAIN: a domain to which testing tools and attackers let a server call back.
//!
//! Catches the domains of `domains.txt` and every name under them, wherever they stand. An anomaly: developers use some
//! of the same services.
//!
//! Deliberately misses: call-back servers under a domain of their own.
//!
//! False-positive risk: web hooks set up for a test. Vectors: `vectors/oob`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::lists;
use crate::scan;
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector =
    Detector { name: "oob", words: DOMAINS, possible: |_, word| word, inspect };

const DOMAINS: &[&str] = lists::list!("domains.txt");

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let lower = value.bytes.to_ascii_lowercase();
    DOMAINS.iter().find_map(|domain| {
        if !steps.take(1 + lower.len() / 64) {
            return None;
        }
        let start =
            scan::find_all(&lower, domain.as_bytes()).find(|&at| is_domain(&lower, at, domain.len()))?;
        Some(Finding { tag: Tag::OobDomain, detector: "OOB-DOMAIN", span: start..start + domain.len() })
    })
}

/// Whether the name at `at` is a domain of its own, not the middle of a longer label.
fn is_domain(text: &[u8], at: usize, length: usize) -> bool {
    let label = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    let rest = text.get(at + length..).unwrap_or_default();
    let goes_on = match rest {
        [b'.', next, ..] => label(next),
        [next, ..] => label(next),
        [] => false,
    };
    !before.is_some_and(label) && !goes_on
}
