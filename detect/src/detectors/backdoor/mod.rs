//! BACKDOOR: a request for a file that only a web shell is called.
//!
//! Catches the path's last file name, whole and in any case, where it is in `shells.txt`; also with a path parameter or
//! a trailing slash after it.
//!
//! Deliberately misses: shells under an everyday name, names in parameters.
//!
//! False-positive risk: a site that really serves `shell.php`. Vectors: `vectors/request/backdoor.jsonl`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::lists;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "backdoor",
    words: &[".php", ".phtml", ".asp", ".jsp", ".cfm", ".cgi", ".pl", ".ashx", ".py"],
    possible: |_, word| word,
    inspect,
};

const SHELLS: &[&str] = lists::list!("shells.txt");

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    if value.field.location != Location::Path || value.field.part != Part::Whole {
        return None;
    }
    let mut start = 0;
    for segment in value.bytes.split(|&byte| byte == b'/') {
        let file = segment.split(|&byte| byte == b';').next().unwrap_or_default();
        // Only a name with an extension can be in the table.
        if file.contains(&b'.') && steps.take(1) && lists::holds(SHELLS, file) {
            return Some(Finding {
                tag: Tag::Backdoor,
                detector: "WEB-SHELL",
                span: start..start + file.len(),
            });
        }
        start += segment.len() + 1;
    }
    None
}
