//! The ends of terms: what a finished piece of an expression or list was made of.

use crate::detectors::sqli::frame::{Bits, Mode, Opened};
use crate::detectors::sqli::grammar::Grammar;

impl Grammar<'_, '_> {
    /// Ends the term that an operator, comma or clause closes, and notes what it was.
    pub(super) fn end_term(&mut self) {
        let frame = self.frames.top();
        let (mode, joined, called) = (frame.mode, frame.joined, frame.call == Opened::Known);
        let term = frame.end_term();
        let count = |count: &mut u16| *count = count.saturating_add(1);
        let all = term.left.with(term.right);
        if term.compares && term.right != Bits::NONE {
            let known = |bits: Bits| bits.has(Bits::CALL) || bits.has(Bits::QUERY);
            let named = |bits: Bits| bits.has(Bits::NAME) && !known(bits);
            match (named(term.left), named(term.right)) {
                (false, false) => {
                    count(&mut self.facts.hard);
                    if called {
                        count(&mut self.facts.tested);
                    } else if mode == Mode::Group {
                        count(&mut self.facts.grouped);
                    }
                }
                (true, true) => count(&mut self.facts.soft),
                _ if known(term.left) || known(term.right) => count(&mut self.facts.hard),
                (left, _) => {
                    count(&mut self.facts.half);
                    self.facts.assigned |= left;
                }
            }
            if mode == Mode::Condition {
                count(&mut self.facts.select.conditions);
            }
        } else if joined && all != Bits::NONE {
            if all.has(Bits::CALL) || all.has(Bits::QUERY) {
                count(&mut self.facts.calls);
            } else if all.has(Bits::NAME) {
                count(&mut self.facts.names);
            } else if all.has(Bits::TEXT) && !all.has(Bits::NUMBER) && !all.has(Bits::OTHER) {
                count(&mut self.facts.texts);
            } else {
                count(&mut self.facts.constants);
            }
        }
        match mode {
            Mode::Items if all != Bits::NONE => {
                count(&mut self.facts.select.items);
                let alone = term.alias && all == Bits::NUMBER;
                if all.beyond(Bits::NAME) && !alone {
                    count(&mut self.facts.select.hard);
                }
                if all.has(Bits::CALL) {
                    count(&mut self.facts.select.calls);
                }
            }
            Mode::Sort if all != Bits::NONE => {
                self.facts.clauses.sorted = true;
                self.facts.clauses.sorted_hard |= all.beyond(Bits::NAME);
            }
            Mode::Limit if all != Bits::NONE => self.facts.clauses.limit |= !all.has(Bits::NAME),
            _ => {}
        }
    }
}
