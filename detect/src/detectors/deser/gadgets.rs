//! Class names of known gadget chains, plain and inside base64.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::lists;
use crate::scan;
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The row for names as they are.
pub(crate) const PLAIN: Detector =
    Detector { name: "deser-gadgets", words: GADGETS, possible: |_, word| word, inspect: plain };

/// The row for names inside base64.
pub(crate) const ENCODED: Detector =
    Detector { name: "deser-fragments", words: FRAGMENTS, possible: |_, word| word, inspect: encoded };

const GADGETS: &[&str] = lists::list!("gadgets.txt");
const FRAGMENTS: &[&str] = lists::list!("fragments.txt");
/// Fragments shorter than this occur by chance and count only as a whole value.
const SHORT: usize = 12;

fn plain(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    // Reached only where one of the words was seen.
    let lower = value.bytes.to_ascii_lowercase();
    GADGETS.iter().find_map(|name| {
        if !steps.take(1 + lower.len() / 64) {
            return None;
        }
        let start = scan::find_all(&lower, name.as_bytes()).find(|&at| stands_alone(&lower, at, name))?;
        Some(Finding { tag: Tag::Deserialization, detector: "GADGET-CLASS", span: start..start + name.len() })
    })
}

/// Whether the name at `at` is a whole identifier that is not called in a stack trace.
fn stands_alone(text: &[u8], at: usize, name: &str) -> bool {
    let is_letter =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let open_start = name.starts_with(|first: char| !first.is_ascii_alphanumeric());
    let open_end = name.ends_with(|last: char| !last.is_ascii_alphanumeric());
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    let rest = text.get(at + name.len()..).unwrap_or_default();
    let method = rest.strip_prefix(b".").is_some_and(|rest| {
        let word = rest.iter().take_while(|byte| is_letter(Some(byte))).count();
        word > 0 && (rest.get(word) == Some(&b'(') || rest.starts_with(b"java:"))
    });
    (open_start || !is_letter(before)) && (open_end || !is_letter(rest.first())) && !method
}

fn encoded(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let whole = bytes.trim_ascii();
    let whole = whole.strip_suffix(b"==").or_else(|| whole.strip_suffix(b"=")).unwrap_or(whole);
    FRAGMENTS.iter().find_map(|fragment| {
        if !steps.take(1 + bytes.len() / 64) {
            return None;
        }
        let start = scan::find(bytes, fragment.as_bytes())?;
        if fragment.len() < SHORT && whole.len() > fragment.len() + 3 {
            return None;
        }
        let span = start..start + fragment.len();
        Some(Finding { tag: Tag::Deserialization, detector: "GADGET-BASE64", span })
    })
}

#[cfg(test)]
mod tests {
    use super::FRAGMENTS;

    /// Base64 of `name` after `shift` bytes, without the letters that its neighbours share.
    fn fragment(name: &[u8], shift: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bytes = [&vec![0; shift][..], name].concat();
        let bits: Vec<u8> =
            bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        let letters = bits.chunks_exact(6).map(|six| six.iter().fold(0, |sum, bit| sum << 1 | bit));
        letters.skip((shift * 8).div_ceil(6)).map(|six| char::from(ALPHABET[usize::from(six)])).collect()
    }

    #[test]
    fn the_table_holds_each_name_at_each_alignment() {
        let mut expected = Vec::new();
        for line in include_str!("fragments.txt").lines().skip(2) {
            if let Some(name) = line.strip_prefix("# ") {
                let lower = name.to_ascii_lowercase();
                let mut spellings = vec![name, lower.as_str()];
                spellings.dedup();
                for spelling in spellings {
                    expected.extend((0..3).map(|shift| fragment(spelling.as_bytes(), shift)));
                }
            }
        }
        assert_eq!(FRAGMENTS, expected);
    }
}
