//! PRIVATEFILE: a request's path that asks for a file a server keeps for itself, such as `.git/config` or `.env`.
//!
//! An anomaly: it says that somebody looks for leftovers, not that a hole is there. Only the request's path is read;
//! the same names in parameters are [TRAVERSAL](super)'s.
//! Deliberately misses: names that applications do serve (`config.json`, `backup.zip` of a download area).
//! Vectors: unit tests here, since the shared vectors are query values.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::lists;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Part, Value};

const TEXT: &str = include_str!("private.txt");
const NAMES: [&str; lists::count(TEXT)] = lists::lines(TEXT);

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "privatefile", words: &NAMES, possible, inspect };

fn possible(features: Features, word: bool) -> bool {
    word && features.any(Features::SLASH | Features::DOT)
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    if value.field.location != Location::Path || value.field.part != Part::Whole {
        return None;
    }
    let mut start = 0;
    let mut segments = value.bytes.split(|&byte| byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        if !steps.take(1) {
            return None;
        }
        let last = segments.peek().is_none();
        let known = NAMES.iter().any(|name| matches(name, segment, last));
        let end = start + segment.len();
        if known {
            return Some(Finding { tag: Tag::PrivateFile, detector: "PRIVATEFILE", span: start..end });
        }
        start = end + 1;
    }
    None
}

/// Whether `segment` is the entry `name`, or an editor's or administrator's copy of it.
fn matches(name: &str, segment: &[u8], last: bool) -> bool {
    if let Some(folder) = name.strip_suffix('/') {
        return !last && segment.eq_ignore_ascii_case(folder.as_bytes());
    }
    let Some((head, tail)) = segment.split_at_checked(name.len()) else { return false };
    last && head.eq_ignore_ascii_case(name.as_bytes())
        && (tail.is_empty() || COPIES.iter().any(|copy| tail.eq_ignore_ascii_case(copy)))
}

/// What copies are called.
const COPIES: [&[u8]; 10] =
    [b"~", b".bak", b".old", b".orig", b".save", b".swp", b".swo", b".txt", b".zip", b".gz"];

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::request::{Header, Request};
    use crate::signal::{Kind, Tag};

    fn raised(target: &str) -> Vec<Tag> {
        let headers = [Header { name: b"user-agent", value: b"Mozilla/5.0" }];
        let request = Request { target: target.as_bytes(), headers: &headers, ..Request::default() };
        Engine::default().inspect(&request).iter().map(|signal| signal.tag).collect()
    }

    #[test]
    fn leftovers_and_secrets_are_private() {
        for target in
            ["/.git/HEAD", "/app/.env", "/app/WEB-INF/lib/", "/wp-config.php.bak", "/blog/.HTACCESS~"]
        {
            assert_eq!(raised(target), [Tag::PrivateFile], "{target}");
            assert_eq!(Tag::PrivateFile.kind(), Kind::Anomaly);
        }
    }

    #[test]
    fn what_applications_serve_is_not() {
        for target in ["/index.html", "/.well-known/security.txt", "/docs/.gitignore.html", "/env", "/my.git"]
        {
            assert_eq!(raised(target), [], "{target}");
        }
    }
}
