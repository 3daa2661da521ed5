//! Functions that the host's compiler would copy into others.

use walrus::ir::Value;
use walrus::{FunctionBuilder, FunctionId, FunctionKind, InstrSeqBuilder, Module};

/// Keeps V8 from copying functions into others.
///
/// It puts the called function in the place of every call it meets, in the order in which they are written, until a
/// function has three times its length or holds [`MOST_COPIES`]. What the compiler that made the module has left to copy
/// are mostly the ways into a panic.
///
/// So the first call that it meets is one that is never made, to a function that makes that many calls of nothing: they
/// are copied, leave no code, and nothing else may be. A compiler that does not copy sees a branch never taken.
pub(super) fn prevent(module: &mut Module) {
    let large: Vec<_> =
        module.funcs.iter_local().filter(|(_, local)| local.size() >= LARGE).map(|(id, _)| id).collect();
    let nothing = function(module, None);
    let decoy = function(module, Some(nothing));
    for id in large {
        let FunctionKind::Local(local) = &mut module.funcs.get_mut(id).kind else { continue };
        let mut body = local.builder_mut().func_body();
        let call = |then: &mut InstrSeqBuilder<'_>| {
            then.call(decoy);
        };
        body.if_else_at(0, None, call, |_| {}).const_at(0, Value::I32(0));
    }
}

/// Adds a function that calls another so often that the limit of copies is met; or that does nothing.
fn function(module: &mut Module, called: Option<FunctionId>) -> FunctionId {
    let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
    let mut body = builder.func_body();
    for called in called.into_iter().cycle().take(MOST_COPIES) {
        body.call(called);
    }
    builder.finish(Vec::new(), &mut module.funcs)
}

/// As many calls as V8 replaces in one function (`InliningTree::kMaxInlinedCount`).
const MOST_COPIES: usize = 60;

/// In instructions. A smaller function grows by little, and is too small for the decoy to be copied.
const LARGE: u64 = 25;

#[cfg(test)]
mod tests {
    use walrus::ir::Instr;

    use super::*;

    #[test]
    fn begins_large_functions_with_a_call_that_is_never_made() {
        let (mut module, small, large) = module_of_two();
        prevent(&mut module);
        assert_eq!(instructions(&module, small), [false; 24]);
        let begun = instructions(&module, large);
        assert_eq!(begun.len(), 202);
        assert!(begun[1] && begun.iter().filter(|it| **it).count() == 1);
        let bytes = module.emit_wasm();
        assert!(Module::from_buffer(&bytes).is_ok());
    }

    fn module_of_two() -> (Module, FunctionId, FunctionId) {
        let mut module = Module::default();
        let [small, large] = [12, 100].map(|length| {
            let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
            for _ in 0..length {
                builder.func_body().i32_const(1).drop();
            }
            builder.finish(Vec::new(), &mut module.funcs)
        });
        (module, small, large)
    }

    /// Of each instruction in a function's outermost block, whether it is a branch.
    fn instructions(module: &Module, function: FunctionId) -> Vec<bool> {
        let local = module.funcs.get(function).kind.unwrap_local();
        let block = local.block(local.entry_block());
        block.instrs.iter().map(|(instr, _)| matches!(instr, Instr::IfElse(_))).collect()
    }
}
