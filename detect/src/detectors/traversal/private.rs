//! PRIVATEFILE: a request's path that asks for a file a server keeps for itself, such as `.git/config` or `.env`.
//!
//! An anomaly: it says that somebody looks for leftovers, not that a hole is there. A dot file near the root, for which
//! no visitor ever asks, is TRAVERSAL as well. Only the request's path is read; the same names in parameters are
//! [TRAVERSAL](super)'s.
//! Deliberately misses: names that applications do serve (`config.json`, `backup.zip` of a download area).
//! Vectors: unit tests here, since the shared vectors are query values.

use std::ops::Range;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::lists;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Part, Value};

const TEXT: &str = include_str!("private.txt");
const NAMES: [&str; lists::count(TEXT)] = lists::lines(TEXT);

/// The row for secrets that no visitor asks for, which are an attack.
pub(crate) const SECRETS: Detector =
    Detector { name: "privatefile-secrets", words: &NAMES, possible, inspect: inspect_secret };

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "privatefile", words: &NAMES, possible, inspect };

fn possible(features: Features, word: bool) -> bool {
    word && features.any(Features::SLASH | Features::DOT)
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    find(value, steps).map(|span| Finding { tag: Tag::PrivateFile, detector: "PRIVATEFILE", span })
}

/// A dot file near the root: a site has no link to one. Code hosts show them below a folder of their own.
fn inspect_secret(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let span = find(value, steps)?;
    let (before, rest) = value.bytes.split_at_checked(span.start)?;
    let name = rest.get(..span.len())?;
    let folders = before.split(|&byte| byte == b'/').filter(|folder| !folder.is_empty());
    let hosted = folders.clone().any(|folder| HOSTS.contains(&folder)) || folders.count() > 2;
    let plain = PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain));
    // What `git clone` asks for.
    let cloned = [&b"/info/refs"[..], b"/git-upload-pack", b"/git-receive-pack"];
    let clones = rest.get(span.len()..).is_some_and(|path| cloned.contains(&path));
    let secret = (name.starts_with(b".") || is_environment(name)) && !hosted && !plain && !clones;
    secret.then_some(Finding { tag: Tag::Traversal, detector: "TRAVERSAL-SECRET", span })
}

/// Folders below which code hosts, editors and file managers show any file.
const HOSTS: [&[u8]; 16] = [
    b"blob",
    b"src",
    b"source",
    b"tree",
    b"raw",
    b"browse",
    b"edit",
    b"file",
    b"files",
    b"commits",
    b"contents",
    b"blame",
    b"-",
    b"repos",
    b"dav",
    b"webdav",
];

/// Dot files that file systems and shells make by themselves.
const PLAIN: [&[u8]; 3] = [b".ds_store", b".profile", b".history"];

fn find(value: &Value<'_>, steps: &mut Steps) -> Option<Range<usize>> {
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
        let known =
            NAMES.iter().any(|name| matches(name, segment, last)) || (last && is_environment(segment));
        let end = start + segment.len();
        if known {
            return Some(start..end);
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

/// An environment file under a name of its own: `secrets.env`, `prod.env`.
fn is_environment(segment: &[u8]) -> bool {
    segment.len() > 4 && segment.to_ascii_lowercase().ends_with(b".env")
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
        for target in [
            "/app/WEB-INF/lib/",
            "/wp-config.php.bak",
            "/x/blob/main/.gitlab-ci.yml",
            "/team/tool/src/branch/main/.env",
            "/.DS_Store",
            "/x/.git/info/refs?service=git-upload-pack",
        ] {
            assert_eq!(raised(target), [Tag::PrivateFile], "{target}");
            assert_eq!(Tag::PrivateFile.kind(), Kind::Anomaly);
        }
    }

    #[test]
    fn dot_files_near_the_root_are_asked_for_by_nobody() {
        for target in [
            "/.git/HEAD",
            "/app/.env",
            "/blog/.HTACCESS~",
            "/.aws/credentials",
            "/.env.production.bak",
            "/etc/prod.env",
        ] {
            let mut found = raised(target);
            found.sort();
            assert_eq!(found, [Tag::Traversal, Tag::PrivateFile], "{target}");
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
