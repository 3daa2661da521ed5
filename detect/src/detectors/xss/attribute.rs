//! Attributes: which names and values make an element run script, inside a tag or in the rest of one.

use crate::budget::Steps;
use crate::detectors::xss::Hit;
use crate::detectors::xss::css;
use crate::detectors::xss::tag::{self, Attribute, Name};
use crate::detectors::xss::url::Plain;
use crate::lists;

/// The idea by which `attribute` of an element runs script, if it does.
pub(super) fn runs(attribute: &Attribute<'_>) -> Option<&'static str> {
    let name = attribute.name.bytes();
    let value = attribute.value;
    if name.starts_with(b"on") && (is_event(name) || (name.len() > 4 && is_word(name) && calls(value))) {
        return Some("XSS-EVENT");
    }
    match name {
        b"style" => {
            (css::runs(value) || css::ambiguous(value) || css::obfuscated(value)).then_some("XSS-STYLE")
        }
        b"datasrc" | b"dataformatas" | b"datafld" => Some("XSS-ATTRIBUTE"),
        b"attributename" => animates_script(value).then_some("XSS-ATTRIBUTE"),
        b"srcdoc" => (!value.is_empty()).then_some("XSS-ATTRIBUTE"),
        b"fscommand" | b"seeksegmenttime" => Some("XSS-EVENT"),
        b"allowscriptaccess" => Plain::new(value).bytes().starts_with(b"always").then_some("XSS-ATTRIBUTE"),
        // Words for people: a colon after "JavaScript" is punctuation there.
        b"title" | b"alt" | b"placeholder" | b"label" | b"summary" | b"caption" => None,
        b"content" | b"value" | b"values" | b"to" | b"from" | b"by" => listed(value),
        _ => Plain::new(value).runs().then_some("XSS-URL"),
    }
}

/// Values that hold more than a URL: `0;url=javascript:..` and animation lists.
fn listed(value: &[u8]) -> Option<&'static str> {
    let plain = Plain::new(value);
    let mut parts = plain.bytes().split(|byte| matches!(byte, b';' | b'=' | b','));
    let script = parts.any(|part| part.starts_with(b"javascript:") || part.starts_with(b"vbscript:"));
    (plain.runs() || script).then_some("XSS-URL")
}

/// `<set attributeName=..>` that writes a script-bearing attribute of its parent.
fn animates_script(value: &[u8]) -> bool {
    let plain = Plain::new(value);
    let name = plain.bytes();
    name.starts_with(b"on") || matches!(name, b"href" | b"xlink:href" | b"innerhtml" | b"src" | b"outerhtml")
}

/// Finds an event handler or style attribute wherever one could continue a tag: `x" onfocus=alert(1) autofocus`.
///
/// A style's declarations are read at each `style=`, a step a byte.
pub(super) fn loose(bytes: &[u8], steps: &mut Steps) -> Option<Hit> {
    memchr::memchr_iter(b'=', bytes).find_map(|equals| {
        let before = bytes.get(..equals)?;
        let named = trim_end(before);
        let length = named.iter().rev().take(48).take_while(|byte| byte.is_ascii_alphabetic()).count();
        if !(5..48).contains(&length) {
            return None;
        }
        let (head, name) = named.split_at_checked(named.len() - length)?;
        if !head.last().is_none_or(|&byte| starts_attribute(byte)) {
            return None;
        }
        let value = bytes.get(equals + 1..)?;
        // Behind a quote at the very start the name alone says what the value is for.
        let closes = matches!(head, [b'"' | b'\'' | b'`', spaces @ ..] if spaces.iter().all(|&byte| tag::is_space(byte)));
        let fires = if closes && is_event(Name::new(name).bytes()) {
            true
        } else if name.eq_ignore_ascii_case(b"style") {
            let style = until_close(value);
            steps.take(style.len()) && css::runs(style)
        } else {
            is_event(Name::new(name).bytes()) && is_code(until_close(value))
        };
        if !fires {
            return None;
        }
        let detector =
            if name.len() == 5 && name.eq_ignore_ascii_case(b"style") { "XSS-STYLE" } else { "XSS-EVENT" };
        Hit::new(detector, head.len()..(equals + 1 + until_close(value).len()).min(bytes.len()))
    })
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().rev().take(16).take_while(|&&byte| tag::is_space(byte)).count();
    bytes.get(..bytes.len() - spaces).unwrap_or_default()
}

fn starts_attribute(byte: u8) -> bool {
    tag::is_space(byte)
        || matches!(byte, b'"' | b'\'' | b'`' | b'/' | b'>' | b'+' | b';' | b'\\')
        || byte >= 0x80
}

/// The value up to its closing quote, or to the tag's end.
fn until_close(value: &[u8]) -> &[u8] {
    let spaces = value.iter().take(16).take_while(|&&byte| tag::is_space(byte)).count();
    let value = value.get(spaces..).unwrap_or_default();
    let value = value.get(..value.len().min(512)).unwrap_or_default();
    let (value, end) = match value.split_first() {
        Some((quote @ (b'"' | b'\'' | b'`'), rest)) => (rest, memchr::memchr(*quote, rest)),
        _ => (value, memchr::memchr(b'>', value)),
    };
    end.and_then(|end| value.get(..end)).unwrap_or(value)
}

/// Whether a value does something: a call, an assignment, a member, or a reference or escape that hides one.
fn is_code(value: &[u8]) -> bool {
    let strong = |byte: &u8| matches!(byte, b'(' | b'`' | b'[' | b'\\' | b'{');
    let value = value.trim_ascii();
    // A sign at the end assigns nothing: it belongs to the next attribute.
    let assigns = memchr::memchr(b'=', value).is_some_and(|at| at > 0 && at + 1 < value.len());
    assigns
        || value.iter().any(strong)
        || crate::scan::find(value, b"&#").is_some()
        || crate::scan::find(value, b"&lpar").is_some()
        || Plain::new(value).bytes().starts_with(b"javascript:")
        || Plain::new(value).bytes().starts_with(b"vbs")
}

/// Whether a value calls or assigns something with the names and signs where code has them, not text.
fn calls(value: &[u8]) -> bool {
    let joined = |pair: &[u8]| matches!(pair, [name, b'(' | b'`' | b'='] if name.is_ascii_alphanumeric());
    value.windows(2).any(joined)
        || crate::scan::find(value, b"&#").is_some()
        || crate::scan::find(value, b"&lpar").is_some()
        || Plain::new(value).bytes().starts_with(b"javascript:")
}

fn is_word(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_alphabetic)
}

/// Whether `name`, in lower case, is an event handler that a browser has or had.
fn is_event(name: &[u8]) -> bool {
    name.starts_with(b"on") && EVENTS.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
}

/// In the order of their bytes.
const EVENTS: &[&str] = lists::list!("events.txt");

#[cfg(test)]
mod tests {
    use super::EVENTS;

    #[test]
    fn the_table_of_events_is_sorted_and_lower_case() {
        assert!(EVENTS.is_sorted());
        assert!(
            EVENTS
                .iter()
                .all(|event| event.starts_with("on") && event.bytes().all(|b| b.is_ascii_lowercase()))
        );
    }
}
