//! Sparing Envoy most of what it does before it serves.
//!
//! Envoy compiles the whole module when it starts, with V8's best compiler and without having seen it run. That compiler
//! copies what is called into the callers and every short loop into three or four, wherever they are; of a module whose
//! compiler has already done so where it pays, it makes twice the code in more than twice the time.

mod copies;
mod loops;

use walrus::Module;

/// Keeps V8 from both.
pub(super) fn raise(module: &mut Module) {
    loops::pad(module);
    copies::prevent(module);
}
