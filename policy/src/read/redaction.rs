//! Redactions of the operator, and links to other tools.

use crate::read::Reader;
use crate::redact::{Place, Redaction};
use crate::source::{Kind, Node};

/// Reads an item of `redactions`.
pub(crate) fn redaction(reader: &mut Reader, node: &Node) -> Option<Redaction> {
    let object = reader.object(node)?;
    let field = object.text(reader, "field");
    let place = object.read_any(reader, &["redactionType", "type"], |reader, node| match &node.kind {
        Kind::Int(_) => match reader.int(node, 0..=2)? {
            0 => Some(Place::Parameter),
            1 => Some(Place::RequestHeader),
            _ => Some(Place::ResponseHeader),
        },
        _ => {
            let words = [
                ("requestParameter", Place::Parameter),
                ("requestHeader", Place::RequestHeader),
                ("responseHeader", Place::ResponseHeader),
                ("0", Place::Parameter),
                ("1", Place::RequestHeader),
                ("2", Place::ResponseHeader),
            ];
            reader.choice(node, "type of redaction", &words)
        }
    });
    object.finish(reader, &[]);
    for (key, is_there) in [("field", field.is_some()), ("redactionType", place.is_some())] {
        if !is_there && object.take(key).is_none() && object.take("type").is_none() {
            reader.problem(node, format!("needs {key}"));
        }
    }
    Some(Redaction { field: field?.to_ascii_lowercase(), place: place? })
}

/// Reads an item of `headerLinks`, which are a console's.
pub(crate) fn header_link(reader: &mut Reader, node: &Node) -> Option<()> {
    let object = reader.object(node)?;
    for key in ["type", "name", "linkName", "link"] {
        object.text(reader, key);
    }
    object.finish(reader, &[]);
    Some(())
}
