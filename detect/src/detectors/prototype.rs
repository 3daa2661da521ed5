//! PROTOTYPE-POLLUTION: keys that reach an object's prototype.
//!
//! Catches `__proto__` and `constructor.prototype` as a key: in the names of parameters and of JSON members, in the
//! bracket and dot paths that query parsers expand, and in text that holds such a path or JSON member.
//!
//! Deliberately misses: the words in prose and in code (`Foo.prototype.bar = ..`), where no parser makes keys of them.
//!
//! False-positive risk: hardly any; forms do not name fields so. Vectors: `vectors/prototype`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::scan::{self, starts_with_ignore_case};
use crate::signal::Tag;
use crate::value::{Finding, Part, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "prototype",
    words: &["__proto__", "prototype"],
    possible: |_: Features, word| word,
    inspect,
};

fn inspect(value: &Value<'_>, _steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let is_name = value.field.part == Part::Name;
    let proto = scan::find_all(bytes, PROTO).find(|&at| is_key(bytes, at, at + PROTO.len(), is_name));
    let span = match proto {
        Some(at) => at..at + PROTO.len(),
        None => constructor(bytes, is_name)?,
    };
    Some(Finding { tag: Tag::PrototypePollution, detector: "PROTO-KEY", span })
}

/// `constructor` whose member `prototype` follows as a path: `[constructor][prototype]`, `constructor.prototype`.
fn constructor(bytes: &[u8], is_name: bool) -> Option<std::ops::Range<usize>> {
    scan::find_all(bytes, CONSTRUCTOR).find_map(|at| {
        let after = at + CONSTRUCTOR.len();
        let rest = bytes.get(after..)?;
        let joint =
            rest.iter().take(4).take_while(|byte| matches!(byte, b']' | b'[' | b'.' | b'"' | b'\'')).count();
        let starts = joint > 0 && rest.get(joint..).is_some_and(|rest| rest.starts_with(b"prototype"));
        let end = after + joint + b"prototype".len();
        let bracketed = rest.starts_with(b"]") || rest.starts_with(b"[");
        (starts && (is_name || bracketed) && is_key(bytes, at, end, is_name)).then_some(at..end)
    })
}

/// Whether the word between `from` and `to` stands as a key does: as a whole name or a part of a path in one, and in
/// text as a quoted JSON member or a part of a bracket path.
fn is_key(bytes: &[u8], from: usize, to: usize, is_name: bool) -> bool {
    let before = from.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    let after = bytes.get(to..).unwrap_or_default();
    let path = |byte: Option<u8>| matches!(byte, None | Some(b'[' | b']' | b'.' | b'"' | b'\'' | b'/'));
    if is_name {
        return path(before) && path(after.first().copied());
    }
    let member = matches!(before, Some(b'"' | b'\''))
        && after.get(1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
        && after.first().copied() == before;
    let bracket = before == Some(b'[') && after.starts_with(b"]") || after.starts_with(b"[");
    let assigned = after.starts_with(b".")
        && !matches!(before, Some(b'.' | b')'))
        && after.iter().take(64).any(|&byte| byte == b'=')
        && !after.iter().take(64).any(|&byte| byte == b' ' || byte == b'(');
    // A word after `constructor` has been read already.
    member
        || bracket
        || assigned
        || starts_with_ignore_case(bytes.get(from..to).unwrap_or_default(), b"constructor]")
        || starts_with_ignore_case(bytes.get(from..to).unwrap_or_default(), b"constructor[")
}

const PROTO: &[u8] = b"__proto__";
const CONSTRUCTOR: &[u8] = b"constructor";
