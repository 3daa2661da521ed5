//! The allow list and the block list of addresses.

use std::sync::Arc;

use jiff::Timestamp;

use crate::ip::Pattern;
use crate::read::Reader;
use crate::source::{Kind, Node};

/// An entry of an allow or block list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) pattern: Pattern,
    /// As it was written, for explanations.
    pub(crate) source: Arc<str>,
    /// When it is over, in milliseconds since 1970.
    pub(crate) expires: Option<u64>,
}

/// Reads an entry: `{source, note, expires}`, or the bare address.
pub(crate) fn address(reader: &mut Reader, node: &Node) -> Option<Address> {
    let (source, expires) = match &node.kind {
        Kind::Text(_) => (reader.text(node)?, None),
        _ => {
            let object = reader.object(node)?;
            let source = object.text(reader, "source");
            let expires = object.read(reader, "expires", time);
            object.finish(reader, &["note"]);
            let Some(source) = source else {
                if object.take("source").is_none() {
                    reader.problem(node, "needs a source");
                }
                return None;
            };
            (source, expires.flatten())
        }
    };
    match Pattern::parse(&source) {
        Some(pattern) => Some(Address { pattern, source: source.into(), expires }),
        None => {
            reader.problem(node, format!("{source:?} is neither an address nor a network"));
            None
        }
    }
}

/// Reads a time (RFC 3339); the empty text is none.
pub(crate) fn time(reader: &mut Reader, node: &Node) -> Option<Option<u64>> {
    let text = reader.text(node)?;
    if text.is_empty() {
        return Some(None);
    }
    match text.parse::<Timestamp>() {
        Ok(time) => Some(Some(u64::try_from(time.as_millisecond()).unwrap_or_default())),
        Err(_) => {
            reader.problem(node, format!("{text:?} is no time like 2026-12-31T23:59:59Z"));
            None
        }
    }
}
