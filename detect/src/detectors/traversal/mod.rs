//! TRAVERSAL: reads a value as a path and reports one that leaves its folder or names a file nobody should ask for.
//!
//! Catches climbs (`..`) in every spelling that reaches it: mixed and doubled separators, overlong and invalid UTF-8,
//! look-alike characters, `0x2e` as text, `..;`, dots with control bytes between, rows of dots, `/././` padding; and
//! the system and secret files of `files.txt`, from the root, behind a climb or as the whole value; `::$DATA`.
//! Deliberately misses: one plain `../` to a page or an asset (`../images/logo.png`), `a/../b`, paths within prose
//! that name nothing secret, Windows paths to ordinary files.
//! False-positive risk: applications that send server paths as parameters (file managers, IDEs in the browser).
//! Vectors: `vectors/traversal`, `vectors/privatefile`.

mod files;
mod path;
pub(crate) mod private;
mod units;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::lists;
use crate::signal::{Location, Tag};
use crate::value::{Finding, Value};

use self::files::Weight;
use self::path::{Chain, Chains, Edge, Reading};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "traversal", words: WORDS, possible, inspect };

/// The row for files that are named with their folder: their names are everyday words, which need a separator.
pub(crate) const FOLDERS: Detector =
    Detector { name: "traversal-folders", words: &files::LAST, possible: in_folder, inspect };

/// Marks of a climb; the rest are names of files.
const MARKS: [&str; 20] = [
    "..", ".?", "?.", "??", "./.", ".\\.", "0x2e", "%u2024", "%uff0e", "%u002e", ".\0", ".\u{1}", "\u{2024}",
    "\u{ff0e}", "\u{fffd}", ".0x", "0x2f", "0x5c", "%2%e", "::$data",
];
const WORDS: &[&str] = &lists::concat::<{ MARKS.len() + files::BARE.len() }>(&MARKS, &files::BARE);

/// Extensions of what pages and modules refer to beside them.
const ASSETS: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "bmp", "css", "scss", "less", "js", "mjs",
    "cjs", "jsx", "ts", "tsx", "vue", "svelte", "json", "map", "md", "mdx", "html", "htm", "woff", "woff2",
    "ttf", "mp3", "mp4", "webm", "wasm", "pdf", "rs", "go", "py", "rb", "java", "kt", "h", "hpp", "c", "cpp",
    "dart", "swift",
];

/// Extensions of configuration, logs, keys, data and backups.
const SECRETS: &[&str] = &[
    "ini",
    "conf",
    "cnf",
    "cfg",
    "config",
    "log",
    "env",
    "key",
    "pem",
    "pfx",
    "p12",
    "bak",
    "old",
    "orig",
    "save",
    "swp",
    "sql",
    "db",
    "sqlite",
    "mdb",
    "inc",
    "properties",
    "htaccess",
    "htpasswd",
    "passwd",
    "pdb",
    "history",
];

fn possible(features: Features, word: bool) -> bool {
    // Control bytes between dots are dropped by some readers.
    word || (features.any(Features::DOT | Features::BANG) && features.any(Features::NUL | Features::CONTROL))
}

fn in_folder(features: Features, word: bool) -> bool {
    word && features.any(Features::SEPARATORS)
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    // A path without a mark of a climb and without a known file is just a path.
    if !possible(value.features, value.word) {
        return None;
    }
    let reading = match value.field.location {
        Location::Path => Reading::RequestPath,
        _ => Reading::Value,
    };
    if let Some(at) = stream(value.bytes) {
        return Some(Finding {
            tag: Tag::Traversal,
            detector: "TRAVERSAL-STREAM",
            span: at..value.bytes.len(),
        });
    }
    let mut chains = Chains::new(value.bytes, reading);
    while let Some(chain) = chains.next(steps) {
        let detector = match reading {
            Reading::RequestPath => judge_request_path(&chain),
            Reading::Value => judge(&chain, value.bytes),
        };
        if let Some(detector) = detector {
            return Some(Finding { tag: Tag::Traversal, detector, span: chain.span });
        }
    }
    None
}

/// Where `::$DATA` begins, which on NTFS names the content of the file before it and hides what kind of file it is.
fn stream(bytes: &[u8]) -> Option<usize> {
    const DATA: &[u8] = b"::$data";
    let at = bytes.len().checked_sub(DATA.len())?;
    let (name, end) = bytes.split_at_checked(at)?;
    let file = name.iter().rev().take(8).any(|&byte| byte == b'.') && !name.contains(&b' ');
    (file && end.eq_ignore_ascii_case(DATA)).then_some(at)
}

fn judge_request_path(chain: &Chain) -> Option<&'static str> {
    if chain.escapes {
        return Some("TRAVERSAL-CLIMB");
    }
    if chain.odd > 0 || chain.joined {
        return Some("TRAVERSAL-ODD-CLIMB");
    }
    if chain.padded || chain.stays >= 6 {
        return Some("TRAVERSAL-PADDING");
    }
    (chain.file == Some(Weight::Anywhere)).then_some("TRAVERSAL-FILE")
}

fn judge(chain: &Chain, bytes: &[u8]) -> Option<&'static str> {
    let leads = chain.before == Edge::Value;
    let whole = leads && chain.after != Edge::Space;
    let file = match chain.file {
        Some(Weight::Anywhere) => chain.before != Edge::Space || chain.climbs > 0,
        Some(Weight::Whole) => whole || chain.climbs > 0,
        None => false,
    };
    if file {
        return Some("TRAVERSAL-FILE");
    }
    if leads && (chain.padded || chain.stays >= 6 || chain.ellipses >= 3) {
        return Some("TRAVERSAL-PADDING");
    }
    let extension = Extension::of(bytes.get(chain.name.clone()).unwrap_or_default());
    let asset = extension == Extension::Asset && chain.climbs <= 4;
    if chain.odd >= 2 || (chain.odd == 1 && whole && chain.escapes && !chain.name.is_empty() && !asset) {
        return Some("TRAVERSAL-ODD-CLIMB");
    }
    let climbs = match (chain.climbs, extension) {
        (0, _) => false,
        (1, Extension::Secret) => whole && chain.escapes,
        (1, _) if chain.system => whole && chain.escapes,
        (1, _) if is_settings(bytes.get(chain.name.clone()).unwrap_or_default()) => whole && chain.escapes,
        // `../Program Files/..`
        (1, _) if chain.after == Edge::Space => {
            let rest = bytes.get(chain.span.end..).unwrap_or_default();
            leads && chain.escapes && PROGRAMS.iter().any(|folder| rest.starts_with(folder))
        }
        (1, _) => false,
        (2..=4, Extension::Asset) => false,
        (2, _) => leads,
        (_, _) => chain.before != Edge::Space,
    };
    climbs.then_some("TRAVERSAL-CLIMB")
}

/// What follows `Program` in a path, with the separator.
const PROGRAMS: [&[u8]; 4] = [b" Files/", b" Files\\", b" Files (x86)", b" files/"];

/// Whether `name` is a script that holds an application's settings: `config.php`, `users.db.php`.
fn is_settings(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return false };
    let (stem, extension) = (name.get(..dot).unwrap_or_default(), name.get(dot + 1..).unwrap_or_default());
    let is = |list: &[&[u8]], word: &[u8]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    let last = stem.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    is(SCRIPTS, extension) && is(SETTINGS, last)
}

/// Extensions of scripts that a server runs rather than shows.
const SCRIPTS: &[&[u8]] =
    &[b"php", b"php3", b"php5", b"phtml", b"asp", b"aspx", b"jsp", b"cfm", b"pl", b"cgi"];
/// Names of scripts that hold settings.
const SETTINGS: &[&[u8]] = &[
    b"config",
    b"configuration",
    b"settings",
    b"database",
    b"db",
    b"dbconfig",
    b"wp-config",
    b"conn",
    b"connect",
    b"connection",
    b"secrets",
    b"credentials",
    b"passwords",
];

/// What kind of file a name's extension speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    Asset,
    Secret,
    Other,
}

impl Extension {
    fn of(name: &[u8]) -> Self {
        let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return Self::Other };
        if dot == 0 {
            return Self::Secret;
        }
        let extension = name.get(dot + 1..).unwrap_or_default();
        let is = |known: &&str| extension.eq_ignore_ascii_case(known.as_bytes());
        if ASSETS.iter().any(is) {
            Self::Asset
        } else if SECRETS.iter().any(is) {
            Self::Secret
        } else {
            Self::Other
        }
    }
}
