//! Values that hold a document again: JSON in a form field, in a cookie, in another JSON string.

use crate::decode;
use crate::engine::Inspection;
use crate::input::{graphql, json};
use crate::value::{Field, Part, Wire};

/// Hands on `field`; where its value is a whole JSON document, its keys and strings instead.
pub(crate) fn value(field: &Field<'_>, inspection: &mut Inspection<'_>) {
    if !may_open(field.raw, field.wire) || !inspection.enter() {
        return inspection.field(field);
    }
    let plain = decode::plain(field);
    let depth = inspection.budgets().depth;
    if json::is_document(&plain, depth) {
        json(&plain, &Field { wire: Wire::Plain, ..*field }, inspection);
    } else {
        inspection.field(field);
    }
    inspection.leave();
}

/// Hands on every key and string of the JSON in `bytes`; `field` says where it stood.
pub(crate) fn json(bytes: &[u8], field: &Field<'_>, inspection: &mut Inspection<'_>) -> json::End {
    let depth = inspection.budgets().depth;
    let mut operation = graphql::Operation::default();
    let end = json::walk(bytes, depth, &mut |token| {
        let name = if token.name.is_empty() { field.name } else { token.name };
        operation.token(&token, field.location, inspection);
        let inner = Field { part: token.part, name, raw: token.text, ..*field };
        match token.part {
            Part::Value => value(&inner, inspection),
            _ => inspection.field(&inner),
        }
    });
    operation.finish(field.location, inspection);
    end
}

fn may_open(raw: &[u8], wire: Wire) -> bool {
    match raw.trim_ascii_start() {
        [b'{' | b'[', ..] => true,
        [b'%', b'7', b'B' | b'b', ..] | [b'%', b'5', b'B' | b'b', ..] => wire != Wire::Plain,
        _ => false,
    }
}
