//! SMUGGLING: a second request hidden behind a line break in a value or body.
//!
//! Catches a whole request line (`GET /x HTTP/1.1`) that begins a line of a value: in a query, path, cookie or header
//! anywhere; in a body where only a chunk's end, an empty line or one bare token stands before it.
//!
//! Deliberately misses: request lines in logs and reports that people post, whose text has words before them, and
//! those that open a text. Conflicting Content-Length and Transfer-Encoding are BHH.
//!
//! False-positive risk: a posted note of one word above a pasted request. Vectors: `vectors/smuggling`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::detectors::lines;
use crate::features::Features;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "smuggling",
    words: &["http/"],
    // Folded breaks are letters outside ASCII.
    possible: |features, word| word && features.any(Features::LINE | Features::HIGH),
    inspect,
};

const METHODS: [&[u8]; 19] = [
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"PATCH",
    b"OPTIONS",
    b"TRACE",
    b"TRACK",
    b"CONNECT",
    b"PRI",
    b"DEBUG",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
];

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let text = value.field.location == Location::Post;
    let first = lines::first(value.bytes).trim_ascii();
    let bare = !first.iter().any(|&byte| byte == b' ' || byte == b'\t');
    for (index, line) in lines::after_breaks(value.bytes).enumerate() {
        if !steps.take(1) || text && (!bare || index > 3) {
            return None;
        }
        if is_request_line(line.text) {
            let span = line.at..line.at + line.text.len();
            return Some(Finding { tag: Tag::Smuggling, detector: "SMUGGLED-REQUEST", span });
        }
    }
    None
}

fn is_request_line(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    METHODS.iter().any(|known| known.eq_ignore_ascii_case(method))
        && target.first().is_some_and(|first| first.is_ascii_alphanumeric() || matches!(first, b'/' | b'*'))
        && version.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"))
        && version.get(5).is_some_and(u8::is_ascii_digit)
}
