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
    let mut keys = Keys::default();
    let mut strings = Strings::default();
    let end = json::walk(bytes, depth, &mut |token| {
        let name = if token.name.is_empty() { field.name } else { token.name };
        let inner = Field { part: token.part, name, raw: token.text, ..*field };
        if token.part != Part::Value {
            // Where everything is listed, all of them are wanted.
            let itself = std::ptr::eq(name, token.text);
            let again = itself && keys.repeats(name) && !inspection.lists();
            return if again { inspection.repeated() } else { inspection.field(&inner) };
        }
        envelope.string(name, token.text);
        let operations = if name == b"query" { query(&inner, inspection) } else { None };
        match operations {
            Some(operations) => envelope.document(operations),
            None if strings.knows(name, token.text) && !inspection.lists() => inspection.repeated(),
            None => {
                let before = inspection.findings();
                document_or_text(&inner, inspection);
                if inspection.findings() == before {
                    strings.keep(name, token.text);
                }
            }
        }
    });
    envelope.finish(field.location, inspection);
    end
}

/// Short keys that have been handed on: the elements of an array mostly have the same ones, and to find the same again
/// says nothing new.
#[derive(Default)]
struct Keys {
    kept: [Key; 16],
}

#[derive(Clone, Copy, Default)]
struct Key {
    bytes: [u8; 23],
    length: u8,
}

impl Keys {
    /// Whether `key` is known; where it is not, it replaces another.
    fn repeats(&mut self, key: &[u8]) -> bool {
        let (Some(&first), Some(&last), Ok(length)) = (key.first(), key.last(), u8::try_from(key.len()))
        else {
            return false;
        };
        let slot = first.wrapping_mul(7) ^ last.wrapping_mul(5) ^ length.wrapping_mul(3);
        let Some(kept) = self.kept.get_mut(usize::from(slot % 16)) else { return false };
        if kept.length == length && kept.bytes.starts_with(key) {
            return true;
        }
        if let Some(room) = kept.bytes.get_mut(..key.len()) {
            room.copy_from_slice(key);
            kept.length = length;
        }
        false
    }
}

/// Short strings that have been handed on, each with the key that it stood under, and in which nothing was found: what
/// the elements of an array say is mostly one of a few things.
struct Strings {
    kept: [Kept; 32],
}

#[derive(Clone, Copy)]
struct Kept {
    /// The key, and the string behind it.
    bytes: [u8; 62],
    key: u8,
    length: u8,
}

impl Default for Strings {
    fn default() -> Self {
        Self { kept: [Kept { bytes: [0; 62], key: 0, length: 0 }; 32] }
    }
}

impl Strings {
    /// Whether `text` came under `key` before.
    fn knows(&self, key: &[u8], text: &[u8]) -> bool {
        self.kept.get(Self::slot(key, text)).is_some_and(|kept| {
            let (from, to) = (usize::from(kept.key), usize::from(kept.length));
            kept.bytes.get(from..to).is_some_and(|kept| kept == text)
                && kept.bytes.get(..from).is_some_and(|kept| kept == key)
        })
    }

    /// Keeps `text` in the place of another, if it is short.
    fn keep(&mut self, key: &[u8], text: &[u8]) {
        let (Some(place), Ok(from)) = (self.kept.get_mut(Self::slot(key, text)), u8::try_from(key.len()))
        else {
            return;
        };
        let mut kept = Kept { key: from, ..*place };
        if let Some((name, rest)) = kept.bytes.split_at_mut_checked(key.len())
            && let Some(room) = rest.get_mut(..text.len())
            && let Ok(length) = u8::try_from(text.len())
        {
            name.copy_from_slice(key);
            room.copy_from_slice(text);
            kept.length = from + length;
            *place = kept;
        }
    }

    #[inline(always)]
    fn slot(key: &[u8], text: &[u8]) -> usize {
        let [first, last] = [text.first(), text.last()].map(|byte| byte.copied().unwrap_or_default());
        let [long, under] = [text.len(), key.len()].map(|length| u8::try_from(length).unwrap_or(u8::MAX));
        let mixed = u32::from_le_bytes([first, last, long, under]).wrapping_mul(0x9e37_79b1);
        // The upper bits are the best mixed: as many as number the places.
        usize::try_from(mixed >> 27).unwrap_or_default()
    }
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
