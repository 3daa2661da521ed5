//! XXE: XML that makes its parser fetch, include or blow up, read declaration by declaration.
//!
//! Catches external entities (`<!ENTITY x SYSTEM ...`, `PUBLIC`, parameter entities, with broken or doubled quotes),
//! declarations hidden in entity values, entity expansion bombs, a DOCTYPE whose external subset lies on a host that
//! publishes no well-known DTD, XInclude, and style sheets that read documents or run code. None of it needs the
//! document around it to be well formed.
//!
//! Deliberately misses: a DOCTYPE of a well-known DTD (`dtd-hosts.txt`) or of a relative one, internal entities that
//! only abbreviate (drawing programs write them), references to entities that nobody declares, schema locations.
//!
//! False-positive risks: a partner's own DTD host (add it to the table), posts that quote the attack.
//! Vectors: `vectors/xxe`.

mod xslt;

use memchr::memchr;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::lists;
use crate::scan::{self, Cursor, starts_with_ignore_case};
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "xxe",
    words: &["<!doctype", "<!entity", ":include", "xsl:", "<![cdata[<", "<![cdata[>"],
    possible: |_, word| word,
    inspect,
};

/// Hosts that publish the DTDs of everyday documents.
const DTD_HOSTS: &[&str] = lists::list!("dtd-hosts.txt");
/// References in one entity's value from which on it multiplies.
const REFERENCES: usize = 8;

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let mut cursor = Cursor::new(bytes);
    let (mut multiplying, mut split_markup) = (0, 0);
    while let Some(ahead) = memchr(b'<', cursor.rest()) {
        if !steps.take(1) {
            return None;
        }
        cursor.skip(ahead);
        let start = cursor.at();
        cursor.skip(1);
        let idea = if cursor.eat_ignore_case(b"!ENTITY") {
            match entity(&mut cursor) {
                Entity::External => Some((Tag::Xxe, "XXE-ENTITY")),
                Entity::Internal { references } => {
                    multiplying += usize::from(references >= 2);
                    (multiplying >= 2 || references >= REFERENCES).then_some((Tag::Xxe, "XXE-EXPANSION"))
                }
            }
        } else if cursor.eat_ignore_case(b"!DOCTYPE") {
            foreign_subset(&mut cursor).then_some((Tag::Xxe, "XXE-DOCTYPE"))
        } else if cursor.eat_ignore_case(b"![CDATA[") {
            split_markup += usize::from(single_bracket(cursor.rest()));
            (split_markup >= 2).then_some((Tag::Xss, "CDATA-MARKUP"))
        } else {
            element(&mut cursor, bytes)
        };
        if let Some((tag, detector)) = idea {
            return Some(Finding { tag, detector, span: start..cursor.at() });
        }
    }
    None
}

/// What an entity declaration declares.
enum Entity {
    /// Text to be fetched.
    External,
    /// Text given here.
    Internal {
        /// How many other entities it refers to.
        references: usize,
    },
}

/// Reads a declaration after `<!ENTITY`; the cursor stays before an internal value, which may hide declarations.
fn entity(cursor: &mut Cursor<'_>) -> Entity {
    skip_space(cursor);
    // In an entity value, the percent sign of a parameter entity must itself be written as a reference.
    let percent =
        [&b"%"[..], b"&#x25;", b"&#37;", b"&#x0025;"].iter().any(|form| cursor.eat_ignore_case(form));
    if percent {
        skip_space(cursor);
    }
    let name = cursor.take_while(|byte| !is_space(byte) && !is_quote(byte) && byte != b'>' && byte != b'<');
    let is_keyword =
        |word: &[u8]| word.eq_ignore_ascii_case(b"SYSTEM") || word.eq_ignore_ascii_case(b"PUBLIC");
    skip_space(cursor);
    if cursor.peek().is_some_and(is_quote) && !is_keyword(name) {
        return Entity::Internal { references: references(cursor.rest()) };
    }
    let word = cursor.take_while(|byte| byte.is_ascii_alphabetic());
    skip_space(cursor);
    let quoted = cursor.peek().is_some_and(is_quote)
        || cursor.eat_ignore_case(b"&#")
        || cursor.eat_ignore_case(b"&quot")
        || cursor.eat_ignore_case(b"&apos");
    if quoted && (is_keyword(word) || is_keyword(name)) {
        literal(cursor);
        return Entity::External;
    }
    Entity::Internal { references: 0 }
}

/// Counts the references to declared entities in the quoted value at the start of `rest`.
fn references(rest: &[u8]) -> usize {
    let Some((&quote, value)) = rest.split_first() else { return 0 };
    let end = memchr(quote, value).unwrap_or(value.len());
    let mut cursor = Cursor::new(value.get(..end).unwrap_or_default());
    let mut count = 0;
    while let Some(byte) = cursor.bump() {
        if byte == b'&' || byte == b'%' {
            let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
            let predefined = matches!(name, b"lt" | b"gt" | b"amp" | b"quot" | b"apos" | b"nbsp");
            count += usize::from(!name.is_empty() && !predefined && cursor.peek() == Some(b';'));
        }
        if count >= REFERENCES {
            break;
        }
    }
    count
}

/// Whether the DOCTYPE at the cursor takes its external subset from somewhere unusual.
fn foreign_subset(cursor: &mut Cursor<'_>) -> bool {
    skip_space(cursor);
    let name = cursor.take_while(|byte| !is_space(byte) && !is_quote(byte) && !b"[<>".contains(&byte));
    skip_space(cursor);
    let system = match cursor.take_while(|byte| byte.is_ascii_alphabetic()) {
        word if word.eq_ignore_ascii_case(b"SYSTEM") => external_id(cursor),
        word if word.eq_ignore_ascii_case(b"PUBLIC") => {
            external_id(cursor);
            external_id(cursor)
        }
        b"" if name.eq_ignore_ascii_case(b"SYSTEM") => external_id(cursor),
        _ => None,
    };
    system.is_some_and(foreign)
}

fn external_id<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    skip_space(cursor);
    cursor.peek().filter(|&byte| is_quote(byte))?;
    Some(literal(cursor))
}

/// Whether `uri` is absolute and not a well-known DTD.
fn foreign(uri: &[u8]) -> bool {
    let uri = uri.trim_ascii();
    let scheme = uri.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    let (scheme, rest) = match scheme {
        Some(at) if at > 1 && uri.get(at) == Some(&b':') => uri.split_at(at),
        _ => (&[][..], uri),
    };
    let web = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    if !web && !scheme.is_empty() {
        return !["about", "urn", "cid"].iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    }
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let Some(authority) = rest.strip_prefix(b"//").or_else(|| rest.strip_prefix(b"\\\\")) else {
        return web;
    };
    let end = authority.iter().position(|byte| b"/\\?#:".contains(byte)).unwrap_or(authority.len());
    let host = authority.get(..end).unwrap_or_default();
    let host = if starts_with_ignore_case(host, b"www.") { host.get(4..).unwrap_or_default() } else { host };
    !lists::holds(DTD_HOSTS, host)
}

/// XInclude and style sheet elements.
fn element(cursor: &mut Cursor<'_>, document: &[u8]) -> Option<(Tag, &'static str)> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let prefix = cursor.take_while(is_name);
    if prefix.is_empty() || !cursor.eat(b":") {
        return None;
    }
    let name = cursor.take_while(is_name);
    let style_sheet = prefix.eq_ignore_ascii_case(b"xsl");
    if !style_sheet && !name.eq_ignore_ascii_case(b"include") {
        return None;
    }
    let attributes = cursor.take_while(|byte| byte != b'>');
    if style_sheet {
        return xslt::element(name, attributes, foreign);
    }
    let includes = attribute(attributes, b"href").is_some()
        && (prefix.eq_ignore_ascii_case(b"xi") || scan::find(document, b"XInclude").is_some());
    includes.then_some((Tag::Xxe, "XXE-XINCLUDE"))
}

/// The value of the attribute called `name` in the text of a tag.
fn attribute<'a>(attributes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut cursor = Cursor::new(attributes);
    loop {
        cursor.take_while(|byte| is_space(byte) || byte == b'/');
        let found = cursor.take_while(|byte| !is_space(byte) && byte != b'=' && !is_quote(byte));
        skip_space(&mut cursor);
        if cursor.eat(b"=") {
            skip_space(&mut cursor);
            let value = if cursor.peek().is_some_and(is_quote) {
                literal(&mut cursor)
            } else {
                cursor.take_while(|byte| !is_space(byte))
            };
            if found.eq_ignore_ascii_case(name) {
                return Some(value);
            }
        } else if found.is_empty() {
            cursor.bump()?;
        }
    }
}

/// Takes a quoted literal; quotes doubled on their way through a CSV file or a shell count as one.
fn literal<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    let Some(quote) = cursor.peek().filter(|&byte| is_quote(byte)) else { return &[] };
    cursor.take_while(|byte| byte == quote);
    let text = cursor.take_while(|byte| byte != quote);
    cursor.skip(1);
    text
}

/// Whether the CDATA section whose content starts here holds a single angle bracket: markup cut up to hide it.
fn single_bracket(content: &[u8]) -> bool {
    content.starts_with(b"<]]>") || content.starts_with(b">]]>")
}

fn skip_space(cursor: &mut Cursor<'_>) {
    cursor.take_while(is_space);
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b || byte == 0
}

fn is_quote(byte: u8) -> bool {
    byte == b'"' || byte == b'\''
}
