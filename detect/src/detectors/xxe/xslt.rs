//! Style sheets that read documents or run code: XSLT is a program, and some processors lend it the server.

use crate::detectors::xxe::attribute;
use crate::scan;
use crate::signal::Tag;

/// Functions that read another document, as they stand in a `select` or `test` expression.
const READERS: [&[u8]; 5] = [b"document(", b"unparsed-text", b"doc(", b"json-doc(", b"collection("];
/// Functions that run code or tell what would.
const RUNNERS: [&[u8]; 3] = [b"php:function", b"system-property(", b"eval("];
/// Namespaces that give a style sheet the host's language.
const BRIDGES: [&[u8]; 5] = [
    b"xml.apache.org/xalan/java",
    b"xml.apache.org/xslt/java",
    b"saxon.sf.net/java-type",
    b"java:java.",
    b"urn:schemas-microsoft-com:xslt",
];

/// Reads one `xsl:` element.
pub(super) fn element(
    name: &[u8],
    attributes: &[u8],
    foreign: impl Fn(&[u8]) -> bool,
) -> Option<(Tag, &'static str)> {
    let has = |text: &[u8], words: &[&[u8]]| words.iter().any(|word| scan::find(text, word).is_some());
    if matches!(name, b"include" | b"import") {
        return attribute(attributes, b"href").is_some_and(foreign).then_some((Tag::Xxe, "XSLT-IMPORT"));
    }
    if matches!(name, b"stylesheet" | b"transform") {
        return has(attributes, &BRIDGES).then_some((Tag::CodeInjection, "XSLT-BRIDGE"));
    }
    let expression =
        [&b"select"[..], b"test", b"use"].into_iter().find_map(|name| attribute(attributes, name))?;
    if has(expression, &RUNNERS) {
        Some((Tag::CodeInjection, "XSLT-CODE"))
    } else if has(expression, &READERS) {
        Some((Tag::Xxe, "XSLT-DOCUMENT"))
    } else {
        None
    }
}
