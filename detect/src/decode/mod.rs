//! Decoding to a fixed point: every plain form that a field can take on its way to an interpreter.

mod base64;
mod percent;
mod quoted_printable;

use std::borrow::Cow;

use crate::engine::Inspection;
use crate::value::{Field, Wire};

pub(crate) use self::base64::decode as base64;
pub(crate) use self::quoted_printable::decode as quoted_printable;
pub(crate) use self::utf16::decode_utf7 as utf7;

/// The value as the place it stands in decodes it.
pub(crate) fn plain<'a>(field: &Field<'a>) -> Cow<'a, [u8]> {
    match field.wire {
        Wire::Plain => Cow::Borrowed(field.raw),
        Wire::Percent => percent::decode(field.raw, percent::Plus::Itself),
        Wire::Form => percent::decode(field.raw, percent::Plus::Space),
    }
}

/// Calls `each` once with every distinct form of `field`: as received, as its place decodes it, and as further
/// decoders find it, within the budget for forms and decoded bytes.
pub(crate) fn forms<'e>(
    field: &Field<'_>,
    inspection: &mut Inspection<'e>,
    mut each: impl FnMut(&mut Inspection<'e>, &[u8]),
) {
    let mut form = plain(field);
    for _ in 0..inspection.budgets().forms {
        each(inspection, &form);
        let next = match percent::decode(&form, percent::Plus::Itself) {
            Cow::Borrowed(_) => return,
            Cow::Owned(next) => next,
        };
        if !inspection.take_decoded(next.len()) {
            return;
        }
        form = Cow::Owned(next);
    }
}
