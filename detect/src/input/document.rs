//! Values that hold a document again: JSON in a form field, in a cookie, in another JSON string.

use crate::decode;
use crate::engine::Inspection;
use crate::input::{graphql, json};
use crate::value::{Field, Part, Wire};

/// Hands on `field`; where its value is a whole document, what the document holds instead.
pub(crate) fn value(field: &Field<'_>, inspection: &mut Inspection<'_>) {
    if field.name == b"query" && query(field, inspection).is_some() {
        return;
    }
    document_or_text(field, inspection);
}

fn document_or_text(field: &Field<'_>, inspection: &mut Inspection<'_>) {
    match opening(field.raw, field.wire) {
        Opening::Plain => return inspection.field(field),
        Opening::Json => {
            let plain = decode::plain(field);
            if is_json(&plain, inspection) && nested(&plain, field, inspection) {
                return;
            }
        }
        Opening::Base64 => {
            for json in base64_documents(&decode::plain(field)) {
                if inspection.take_decoded(json.len()) && is_json(&json, inspection) {
                    nested(&json, field, inspection);
                }
            }
        }
    }
    inspection.field(field);
}

/// Hands on every key and string of the JSON in `bytes`; `field` says where it stood.
pub(crate) fn json(bytes: &[u8], field: &Field<'_>, inspection: &mut Inspection<'_>) -> json::End {
    let depth = inspection.budgets().depth;
    let mut envelope = graphql::Envelope::default();
    let end = json::walk(bytes, depth, &mut |token| {
        let name = if token.name.is_empty() { field.name } else { token.name };
        let inner = Field { part: token.part, name, raw: token.text, ..*field };
        if token.part != Part::Value {
            return inspection.field(&inner);
        }
        envelope.string(name, token.text);
        let operations = if name == b"query" { query(&inner, inspection) } else { None };
        match operations {
            Some(operations) => envelope.document(operations),
            None => document_or_text(&inner, inspection),
        }
    });
    envelope.finish(field.location, inspection);
    end
}

/// Reads `field` as a GraphQL document; none if it is none, and nothing was handed on.
pub(crate) fn query(field: &Field<'_>, inspection: &mut Inspection<'_>) -> Option<graphql::Operations> {
    let plain = decode::plain(field);
    graphql::inspect(&Field { wire: Wire::Plain, ..*field }, &plain, inspection)
}

fn is_json(bytes: &[u8], inspection: &Inspection<'_>) -> bool {
    json::is_document(bytes, inspection.budgets().depth)
}

fn nested(bytes: &[u8], field: &Field<'_>, inspection: &mut Inspection<'_>) -> bool {
    if !inspection.enter() {
        return false;
    }
    json(bytes, &Field { wire: Wire::Plain, ..*field }, inspection);
    inspection.leave();
    true
}

/// What the first bytes of a value promise.
enum Opening {
    Plain,
    Json,
    /// Base64 of a JSON object or array: state in cookies, tokens (RFC 7519).
    Base64,
}

fn opening(raw: &[u8], wire: Wire) -> Opening {
    match raw.trim_ascii_start() {
        [b'{' | b'[', ..] => Opening::Json,
        [b'%', b'7', b'B' | b'b', ..] | [b'%', b'5', b'B' | b'b', ..] if wire != Wire::Plain => Opening::Json,
        [b'e', b'y' | b'w', _, _, _, _, _, _, ..] | [b'W', b'3' | b'y', _, _, _, _, _, _, ..] => {
            Opening::Base64
        }
        _ => Opening::Plain,
    }
}

/// The texts that `value`, or each part of it between dots, decodes to.
fn base64_documents(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    value.split(|&byte| byte == b'.').take(2).filter_map(decode::base64)
}
