//! Decoding to a fixed point: every plain form that a field can take on its way to an interpreter.

mod percent;

use std::borrow::Cow;

use crate::engine::Inspection;
use crate::value::{Field, Wire};

/// Calls `each` once with every distinct form of `field`: as received, as its place decodes it, and as further
/// decoders find it, within the budget for forms and decoded bytes.
pub(crate) fn forms<'e>(
    field: &Field<'_>,
    inspection: &mut Inspection<'e>,
    mut each: impl FnMut(&mut Inspection<'e>, &[u8]),
) {
    let mut form: Cow<'_, [u8]> = match field.wire {
        Wire::Plain => Cow::Borrowed(field.raw),
        Wire::Percent => percent::decode(field.raw, percent::Plus::Itself),
        Wire::Form => percent::decode(field.raw, percent::Plus::Space),
    };
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
