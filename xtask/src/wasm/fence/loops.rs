//! Loops that the host's compiler would unroll.

use std::collections::HashSet;

use walrus::ir::{
    BinaryOp, Binop, Drop, Instr, InstrLocId, InstrSeq, InstrSeqId, LocalGet, Loop, Visitor, dfs_in_order,
};
use walrus::{FunctionId, LocalFunction, Module, ValType};

/// Keeps V8 from unrolling short loops.
///
/// It copies the body of every innermost loop of fewer than 80 operations until there are 240 of them or four bodies
/// (`LoopUnrollingAnalyzer::kWasmMaxLoopSizeForPartialUnrolling`), and no loop of more. It counts before it throws away
/// what nobody uses. So each short loop begins with operations whose result is dropped: they make it long, and leave no
/// code. `f64.copysign` is the instruction that becomes most of them.
pub(super) fn pad(module: &mut Module) {
    let functions: Vec<FunctionId> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for id in functions {
        let short = short_loops(module.funcs.get(id).kind.unwrap_local());
        if short.is_empty() {
            continue;
        }
        let local = module.locals.add(ValType::F64);
        let builder = module.funcs.get_mut(id).kind.unwrap_local_mut().builder_mut();
        for body in short {
            let mut body = builder.instr_seq(body);
            body.instr_at(0, Drop {});
            for _ in 0..LINKS {
                body.instr_at(0, Binop { op: BinaryOp::F64Copysign }).instr_at(0, LocalGet { local });
            }
            body.instr_at(0, LocalGet { local });
        }
    }
}

/// The bodies of the innermost loops that may be short enough to be unrolled.
fn short_loops(function: &LocalFunction) -> Vec<InstrSeqId> {
    let mut loops = Loops::default();
    dfs_in_order(&mut loops, function, function.entry_block());
    loops.short
}

#[derive(Default)]
struct Loops {
    bodies: HashSet<InstrSeqId>,
    /// The loops around the instruction that comes next, the outermost first.
    open: Vec<Open>,
    short: Vec<InstrSeqId>,
}

struct Open {
    instructions: usize,
    innermost: bool,
}

impl<'f> Visitor<'f> for Loops {
    fn visit_loop(&mut self, it: &Loop) {
        self.bodies.insert(it.seq);
    }

    fn visit_instr(&mut self, _: &'f Instr, _: &'f InstrLocId) {
        // Of an outer loop nothing but that it is one counts.
        if let Some(open) = self.open.last_mut() {
            open.instructions += 1;
        }
    }

    fn start_instr_seq(&mut self, sequence: &'f InstrSeq) {
        if self.bodies.contains(&sequence.id()) {
            if let Some(around) = self.open.last_mut() {
                around.innermost = false;
            }
            self.open.push(Open { instructions: 0, innermost: true });
        }
    }

    fn end_instr_seq(&mut self, sequence: &'f InstrSeq) {
        if self.bodies.contains(&sequence.id())
            && let Some(open) = self.open.pop()
            && open.innermost
            && open.instructions < SHORT
        {
            self.short.push(sequence.id());
        }
    }
}

/// In instructions; most become an operation, some none.
const SHORT: usize = 100;

/// `f64.copysign` becomes nine operations or ten.
const LINKS: usize = 8;

#[cfg(test)]
mod tests {
    use walrus::FunctionBuilder;

    use super::*;

    #[test]
    fn lengthens_innermost_short_loops_alone() {
        // Two loops, of which the second one is within a third.
        let (mut module, function) = module(&[4, SHORT]);
        assert_eq!(lengths(&module, function), [4, SHORT, 1]);
        pad(&mut module);
        assert_eq!(lengths(&module, function), [4 + 2 * LINKS + 2, SHORT, 1]);
        assert!(Module::from_buffer(&module.emit_wasm()).is_ok());
    }

    #[test]
    fn leaves_functions_without_loops_as_they_are() {
        let (mut module, _) = module(&[]);
        let before = module.emit_wasm();
        pad(&mut module);
        assert_eq!(module.emit_wasm(), before);
    }

    /// A function with loops of so many instructions; the last one is all there is in another loop.
    fn module(loops: &[usize]) -> (Module, FunctionId) {
        let mut module = Module::default();
        let mut builder = FunctionBuilder::new(&mut module.types, &[], &[]);
        let filled = |length: usize| {
            move |body: &mut walrus::InstrSeqBuilder<'_>| {
                for _ in 0..length / 2 {
                    body.i32_const(1).drop();
                }
            }
        };
        if let [others @ .., last] = loops {
            for length in others {
                builder.func_body().loop_(None, filled(*length));
            }
            builder.func_body().loop_(None, |outer| {
                outer.loop_(None, filled(*last));
            });
        }
        let function = builder.finish(Vec::new(), &mut module.funcs);
        (module, function)
    }

    /// The instructions in each loop and in no loop within it, inner ones first.
    fn lengths(module: &Module, function: FunctionId) -> Vec<usize> {
        #[derive(Default)]
        struct Lengths(Loops, Vec<usize>);
        impl<'f> Visitor<'f> for Lengths {
            fn visit_loop(&mut self, it: &Loop) {
                self.0.visit_loop(it);
            }
            fn visit_instr(&mut self, instr: &'f Instr, at: &'f InstrLocId) {
                self.0.visit_instr(instr, at);
            }
            fn start_instr_seq(&mut self, sequence: &'f InstrSeq) {
                self.0.start_instr_seq(sequence);
            }
            fn end_instr_seq(&mut self, sequence: &'f InstrSeq) {
                if self.0.bodies.contains(&sequence.id()) {
                    self.1.extend(self.0.open.last().map(|open| open.instructions));
                }
                self.0.end_instr_seq(sequence);
            }
        }
        let local = module.funcs.get(function).kind.unwrap_local();
        let mut lengths = Lengths::default();
        dfs_in_order(&mut lengths, local, local.entry_block());
        lengths.1
    }
}
