//! LOG4J-JNDI: lookups that Log4j before 2.16 would resolve, read the way its substitutor reads them.
//!
//! Catches `${jndi:...}` in any spelling that resolves to it: nested lookups (`${lower:j}`, `${::-j}`, `${env:X:-j}`,
//! `${date:'j'}`, ...), also unclosed or closed too early; lookups that spell something out letter by letter, whatever
//! the word; nesting that nobody writes by hand; and the string lookups of Commons Text that run code
//! (`${script:javascript:...}`, CVE-2022-42889). Escapes around the braces are the decoders' work.
//!
//! Deliberately misses: lookups that only read (`${env:HOME}`), and `jndi:ldap://` without an opening `${`, which
//! Log4j prints as it is.
//!
//! False-positive risk: a post that quotes the attack. `${name}` and `${name:-default}` of shells, build files and
//! template literals stay silent. Vectors: `vectors/log4j`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::scan::{Cursor, starts_with_ignore_case};
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector =
    Detector { name: "jndi", words: &["${", "$&lbrace"], possible: |_, word| word, inspect };

/// Lookups inside lookups; real payloads need three or four.
const DEPTH: usize = 48;
/// Lookups that yield one or two letters within one other lookup, from which on it is spelled, not written.
const SPELLED: usize = 3;

/// A lookup that is still open.
struct Frame {
    /// Where `${` stands in the value.
    start: usize,
    /// Where its content begins in the resolved text.
    content: usize,
    /// How many lookups within it yielded a letter or two.
    letters: usize,
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let mut cursor = Cursor::new(value.bytes);
    let mut text: Vec<u8> = Vec::new();
    let mut open: Vec<Frame> = Vec::new();
    let finding = |tag, detector, start, end| Some(Finding { tag, detector, span: start..end });
    while !cursor.is_empty() && steps.take(1) {
        let start = cursor.at();
        if cursor.eat(b"${") || cursor.eat_ignore_case(b"$&lbrace") {
            cursor.eat(b";");
            if open.len() >= DEPTH {
                return finding(Tag::Log4jJndi, "LOG4J-DEPTH", start, cursor.at());
            }
            open.push(Frame { start, content: text.len(), letters: 0 });
        } else if cursor.eat(b"}") {
            let Some(frame) = open.pop() else { continue };
            let content = text.get(frame.content..).unwrap_or_default();
            if let Some((tag, detector)) = verdict(content, frame.letters) {
                return finding(tag, detector, frame.start, cursor.at());
            }
            steps.take(content.len());
            let resolved = resolve(content);
            if let (Some(parent), Resolved::Text(letters)) = (open.last_mut(), &resolved) {
                parent.letters += usize::from((1..=2).contains(&letters.len()));
            }
            text.truncate(frame.content);
            if let Resolved::Text(resolved) = resolved {
                text.extend_from_slice(&resolved);
            }
        } else {
            let plain = cursor.take_while(|byte| byte != b'$' && byte != b'}');
            if open.is_empty() {
                text.clear();
            } else {
                text.extend_from_slice(plain);
            }
            if cursor.at() == start {
                text.extend(cursor.bump());
            }
        }
    }
    // What is still open is read as if it were closed: the rest may stand in the next field of the same log line.
    open.iter().rev().find_map(|frame| {
        let (tag, detector) = verdict(text.get(frame.content..).unwrap_or_default(), frame.letters)?;
        finding(tag, detector, frame.start, value.bytes.len())
    })
}

/// What a lookup with this content, everything within it resolved, would do.
fn verdict(content: &[u8], letters: usize) -> Option<(Tag, &'static str)> {
    let content = content.trim_ascii_start();
    if jndi(content) {
        return Some((Tag::Log4jJndi, "LOG4J-JNDI"));
    }
    if letters >= SPELLED {
        return Some((Tag::Log4jJndi, "LOG4J-SPELLED"));
    }
    code(content).then_some((Tag::CodeInjection, "TEXT-LOOKUP"))
}

/// Whether `content` starts with `jndi:`, also with a dotless or dotted i that Java's case mapping makes one.
fn jndi(content: &[u8]) -> bool {
    let Some(rest) = content.get(3..).filter(|_| starts_with_ignore_case(content, b"jnd")) else {
        return false;
    };
    [&b"i:"[..], b"I:", "ı:".as_bytes(), "İ:".as_bytes()].iter().any(|end| rest.starts_with(end))
}

/// Whether `content` is a Commons Text lookup that runs code or calls out.
fn code(content: &[u8]) -> bool {
    const ENGINES: [&[u8]; 7] =
        [b"javascript:", b"js:", b"ecmascript:", b"nashorn:", b"groovy:", b"jexl:", b"rhino:"];
    const KINDS: [&[u8]; 3] = [b"address", b"name", b"canonical"];
    let after =
        |prefix: &[u8]| content.get(prefix.len()..).filter(|_| starts_with_ignore_case(content, prefix));
    let starts = |rest: &[u8], words: &[&[u8]]| words.iter().any(|word| starts_with_ignore_case(rest, word));
    if let Some(rest) = after(b"script:") {
        return starts(rest, &ENGINES);
    }
    if let Some(rest) = after(b"dns:") {
        return starts(rest, &KINDS) && rest.contains(&b'|');
    }
    after(b"url:").is_some_and(|rest| starts(rest, &[b"utf", b"iso-8859", b"us-ascii"]))
}

/// What a lookup yields where the engine can tell.
enum Resolved {
    /// This text.
    Text(Vec<u8>),
    /// Something only the server knows, or nothing.
    Unknown,
}

/// Resolves `prefix:key:-default`. Environment and property lookups are taken as unset, so their default counts.
fn resolve(content: &[u8]) -> Resolved {
    let split = content.windows(2).position(|pair| pair == b":-");
    let (name, default) = match split {
        Some(at) => (content.get(..at).unwrap_or_default(), content.get(at + 2..)),
        None => (content, None),
    };
    let colon = name.iter().position(|&byte| byte == b':');
    let (prefix, key) = match colon {
        Some(at) => (name.get(..at).unwrap_or_default(), name.get(at + 1..).unwrap_or_default()),
        None => (name, &[][..]),
    };
    let known = |word: &[u8]| prefix.trim_ascii().eq_ignore_ascii_case(word) && !key.is_empty();
    if known(b"lower") {
        Resolved::Text(key.to_ascii_lowercase())
    } else if known(b"upper") {
        Resolved::Text(key.to_ascii_uppercase())
    } else if known(b"date") && key.contains(&b'\'') {
        // A quoted part of a date pattern stands for itself.
        Resolved::Text(key.split(|&byte| byte == b'\'').skip(1).step_by(2).flatten().copied().collect())
    } else {
        default.map_or(Resolved::Unknown, |default| Resolved::Text(default.to_vec()))
    }
}
