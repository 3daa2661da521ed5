//! Functions that the host's compiler would copy into others.

use walrus::ir::Value;
use walrus::{FunctionBuilder, FunctionId, FunctionKind, InstrSeqBuilder, Module};

/// Keeps V8 from copying functions into others.
///
/// It puts the called function in the place of every call it meets, in the order in which they are written, until what it
/// has copied is three times as long as the function was (`InliningTree::NoLiftoffBudget`). What the compiler that made
/// the module has left to copy are mostly the ways into a panic.
///
/// So the first calls that it meets are ones that are never made, to functions that are long and do nothing: from the
/// longest on each is half as long as the one before it, so that those that fit use all up but for the last one's length.
/// They are copied, leave no code, and nothing else may be. A compiler that does not copy sees a branch never taken.
pub(super) fn prevent(module: &mut Module) {
    let large: Vec<_> = module
        .funcs
        .iter_local()
        .filter(|(_, local)| local.size() >= LARGE)
        .map(|(id, local)| (id, local.size()))
        .collect();
    let lengths = std::iter::successors(Some(LONGEST), |length| Some(length / 2));
    let decoys: Vec<_> = lengths
        .take_while(|length| *length >= SHORTEST)
        .map(|length| (u64::from(length), decoy(module, length)))
        .collect();
    for (id, size) in large {
        let FunctionKind::Local(local) = &mut module.funcs.get_mut(id).kind else { continue };
        let mut body = local.builder_mut().func_body();
        let fitting = decoys.iter().filter(|(length, _)| *length <= size * MOST_BYTES);
        let call = |then: &mut InstrSeqBuilder<'_>| {
            for (_, decoy) in fitting {
                then.call(*decoy);
            }
        };
        body.if_else_at(0, None, call, |_| {}).const_at(0, Value::I32(0));
    }
}

/// Adds a function of about so many bytes that returns at once; behind that is one instruction with a long operand.
fn decoy(module: &mut Module, length: u16) -> FunctionId {
    let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
    let mut body = builder.func_body();
    let end = body.id();
    let targets = vec![end; usize::from(length - FRAME)].into_boxed_slice();
    body.return_().i32_const(0).br_table(targets, end);
    builder.finish(Vec::new(), &mut module.funcs)
}

/// In bytes. The most targets that an instruction may have are 65520; three times the longest function is less than all
/// decoys together.
const LONGEST: u16 = 32_768;
const SHORTEST: u16 = 16;

/// What a decoy has beside its targets.
const FRAME: u16 = 10;

/// In instructions. What is smaller is called, not worth a decoy.
const LARGE: u64 = 20;

/// Three times what an instruction takes.
const MOST_BYTES: u64 = 9;

#[cfg(test)]
mod tests {
    use walrus::ir::Instr;

    use super::*;

    #[test]
    fn begins_large_functions_with_calls_that_are_never_made() {
        let (mut module, small, large) = module_of_two();
        prevent(&mut module);
        assert_eq!(calls(&module, small), None);
        // 200 instructions are at most 600 bytes, and may be copied to three times as many.
        assert_eq!(calls(&module, large), Some(7));
        let bytes = module.emit_wasm();
        assert!(Module::from_buffer(&bytes).is_ok());
    }

    #[test]
    fn decoys_are_as_long_as_they_are_said_to_be() {
        for length in [SHORTEST, 64, 256, LONGEST] {
            let mut module = Module::default();
            let empty = module.emit_wasm().len();
            let decoy = decoy(&mut module, length);
            module.exports.add("decoy", decoy);
            let added = module.emit_wasm().len() - empty;
            // The sections' heads, the type and the export are the rest.
            assert!((0..60).contains(&(added - usize::from(length))), "{length}: {added}");
        }
    }

    fn module_of_two() -> (Module, FunctionId, FunctionId) {
        let mut module = Module::default();
        let [small, large] = [9, 100].map(|length| {
            let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
            for _ in 0..length {
                builder.func_body().i32_const(1).drop();
            }
            builder.finish(Vec::new(), &mut module.funcs)
        });
        (module, small, large)
    }

    /// How many calls there are in the branch that a function begins with.
    fn calls(module: &Module, function: FunctionId) -> Option<usize> {
        let local = module.funcs.get(function).kind.unwrap_local();
        let begun = local.block(local.entry_block()).instrs.get(1);
        let Some((Instr::IfElse(branch), _)) = begun else { return None };
        Some(local.block(branch.consequent).instrs.len())
    }
}
