//! SSI: server-side includes and edge-side includes.
//!
//! Catches `<!--#directive` of Apache, nginx and IIS for every directive they know, and ESI elements (`<esi:include>`,
//! `<!--esi`), which caches and CDNs run on the way back.
//!
//! Deliberately misses: editors' folding marks (`<!--#region-->`) and comments that merely start with `#`.
//!
//! False-positive risk: people who edit templates of such servers in a web form. Vectors: `vectors/ssi`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::{Cursor, starts_with_ignore_case};
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "ssi",
    words: &["<!--", "esi:"],
    possible: |features, word| word && features.any(Features::LT),
    inspect,
};

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    for open in memchr::memchr_iter(b'<', bytes) {
        if !steps.take(1) {
            return None;
        }
        let rest = bytes.get(open..)?;
        if let Some((detector, length)) = directive(rest).or_else(|| edge(rest)) {
            return Some(Finding { tag: Tag::Ssi, detector, span: open..open + length });
        }
    }
    None
}

/// `<!--#directive`; servers take white space before the directive, and a form's decoder may have left a `+`.
fn directive(rest: &[u8]) -> Option<(&'static str, usize)> {
    let mut cursor = Cursor::new(rest);
    if !cursor.eat(b"<!--") {
        return None;
    }
    cursor.take_while(|byte| byte <= b' ');
    if !cursor.eat(b"#") {
        return None;
    }
    cursor.take_while(|byte| byte <= b' ');
    let name = cursor.take_while(|byte| byte.is_ascii_alphabetic());
    let known = DIRECTIVES.iter().any(|directive| directive.eq_ignore_ascii_case(name));
    let ends = cursor.peek().is_none_or(|byte| byte <= b' ' || matches!(byte, b'+' | b'-' | b'"'));
    (known && ends).then_some(("SSI-DIRECTIVE", cursor.at()))
}

/// `<esi:element` and the comment whose content only an ESI processor sees.
fn edge(rest: &[u8]) -> Option<(&'static str, usize)> {
    if starts_with_ignore_case(rest, b"<!--esi") {
        let ends = rest.get(7).is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b'<');
        return ends.then_some(("SSI-ESI", 7));
    }
    let mut cursor = Cursor::new(rest);
    if !cursor.eat_ignore_case(b"<esi:") && !cursor.eat_ignore_case(b"</esi:") {
        return None;
    }
    let name = cursor.take_while(|byte| byte.is_ascii_alphabetic());
    ELEMENTS.iter().any(|element| element.eq_ignore_ascii_case(name)).then_some(("SSI-ESI", cursor.at()))
}

const DIRECTIVES: [&[u8]; 15] = [
    b"echo",
    b"exec",
    b"include",
    b"config",
    b"set",
    b"printenv",
    b"fsize",
    b"flastmod",
    b"if",
    b"elif",
    b"else",
    b"endif",
    b"block",
    b"perl",
    b"odbc",
];

const ELEMENTS: [&[u8]; 16] = [
    b"include",
    b"inline",
    b"vars",
    b"remove",
    b"comment",
    b"choose",
    b"when",
    b"otherwise",
    b"try",
    b"attempt",
    b"except",
    b"assign",
    b"eval",
    b"debug",
    b"function",
    b"foreach",
];
