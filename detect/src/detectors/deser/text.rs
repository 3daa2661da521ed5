//! Text formats that name the class to construct: YAML tags, typed JSON, XStream.

use crate::detectors::deser::Place;
use crate::scan::{self, Cursor, starts_with_ignore_case};
use crate::value::{Part, Value};

/// Roots of package names that belong to the Java platform and what is usually beside it.
const ROOTS: [&[u8]; 8] = [
    b"java.",
    b"javax.",
    b"com.sun.",
    b"sun.",
    b"jdk.",
    b"org.apache.",
    b"org.springframework.",
    b"com.mchange.",
];

/// `!!python/object/apply:os.system`, `!ruby/object:Gem::Installer`, `!!javax.script.ScriptEngineManager [`.
pub(super) fn yaml(bytes: &[u8]) -> Option<Place> {
    const KINDS: [&[u8]; 10] = [
        b"python/object",
        b"python/name:",
        b"python/module:",
        b"ruby/object",
        b"ruby/hash",
        b"ruby/struct",
        b"ruby/marshalable",
        b"js/function",
        b"js/undefined",
        b"perl/",
    ];
    let mut cursor = Cursor::new(bytes);
    while let Some(ahead) = memchr::memchr(b'!', cursor.rest()) {
        cursor.skip(ahead);
        let start = cursor.at();
        cursor.skip(1);
        let global = cursor.eat(b"!") || cursor.eat(b"<tag:yaml.org,2002:");
        if KINDS.iter().any(|kind| cursor.eat(kind)) {
            return Some(("YAML-TAG", start, cursor.at()));
        }
        let class = cursor.take_while(is_class);
        let dots = class.iter().filter(|&&byte| byte == b'.').count();
        let opens = matches!(cursor.peek(), None | Some(b' ' | b'[' | b'{' | b'>' | b'\n' | b'\r'));
        if global && dots >= 2 && opens && platform(class) {
            return Some(("YAML-TAG", start, cursor.at()));
        }
        cursor.seek(start + 1 + usize::from(global));
    }
    None
}

/// A JSON value under a key that fastjson or Jackson take for the class.
pub(super) fn typed(value: &Value<'_>) -> Option<Place> {
    let keys = [&b"@type"[..], b"@class", b"javaClass", b"$type"];
    let class = value.bytes;
    let whole = value.field.part == Part::Value && class.iter().all(|&byte| is_class(byte));
    let named = keys.iter().any(|key| value.field.name.eq_ignore_ascii_case(key));
    if whole && named && platform(class) {
        return Some(("JSON-TYPE", 0, class.len()));
    }
    // The same in a text that is not read as JSON.
    keys.iter().find_map(|key| {
        scan::find_all(class, key).find_map(|at| {
            let mut cursor = Cursor::new(class);
            cursor.seek(at + key.len());
            cursor.take_while(|byte| b"\"'\\: \t\r\n".contains(&byte));
            let from = cursor.at();
            let quoted = class.get(at + key.len()).is_some_and(|byte| b"\"'\\".contains(byte));
            (quoted && from >= at + key.len() + 2 && platform(cursor.rest())).then_some((
                "JSON-TYPE",
                at,
                from,
            ))
        })
    })
}

/// `<x serialization='custom'>` or `<dynamic-proxy>` with a handler.
pub(super) fn xstream(bytes: &[u8]) -> Option<Place> {
    const MARKS: [&[u8]; 3] = [b"serialization='custom'", b"serialization=\"custom\"", b"<dynamic-proxy>"];
    MARKS.iter().find_map(|mark| scan::find(bytes, mark).map(|at| ("XSTREAM", at, at + mark.len())))
}

fn platform(class: &[u8]) -> bool {
    ROOTS.iter().any(|root| starts_with_ignore_case(class, root))
}

fn is_class(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')
}
