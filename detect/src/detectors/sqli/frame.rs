//! The stack of the recogniser: a frame for each open parenthesis, and what its current term is made of.

use crate::detectors::sqli::words::Word;

/// What the operands of a term are, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bits(u8);

impl Bits {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NUMBER: Self = Self(1);
    pub(super) const TEXT: Self = Self(2);
    pub(super) const NAME: Self = Self(4);
    /// A function that databases have.
    pub(super) const CALL: Self = Self(8);
    /// A sub-select.
    pub(super) const QUERY: Self = Self(16);
    /// A variable, `null`, `true`, `*`.
    pub(super) const OTHER: Self = Self(32);

    pub(super) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether anything else than `other` is in the set.
    pub(super) fn beyond(self, other: Self) -> bool {
        self.0 & !other.0 != 0
    }
}

/// Where in a query a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Outside all parentheses, in the application's expression.
    Base,
    /// In parentheses.
    Group,
    /// In the parentheses of a call.
    Arguments,
    /// Between `case` and `end`.
    Case,
    /// In a select list.
    Items,
    /// Behind `from`.
    Tables,
    /// Behind `where`, `having`, `on`.
    Condition,
    /// Behind `order by`, `group by`.
    Sort,
    /// Behind `limit`, `offset`.
    Limit,
}

/// How the frame was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// By a plain parenthesis.
    Plainly,
    /// By a call of a function nobody knows.
    Unknown,
    /// By a call of a function that databases have.
    Known,
    /// By a call of a function that delays, reads, writes or runs; not yet counted.
    Dangerous,
    /// By such a call, counted.
    Counted,
}

/// One open parenthesis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) mode: Mode,
    pub(super) call: Opened,
    /// The operands of the current term, or of its right side.
    pub(super) right: Bits,
    /// The operands left of a comparison.
    pub(super) left: Bits,
    /// All operands so far.
    pub(super) all: Bits,
    pub(super) compares: bool,
    /// The comparison is a sign, not a word.
    pub(super) sign: bool,
    /// A logic operator stands before the current term or behind it.
    pub(super) joined: bool,
    /// `between` waits for its `and`.
    pub(super) between: bool,
    /// The current item or table has an alias.
    pub(super) alias: bool,
}

/// A finished term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) left: Bits,
    pub(super) right: Bits,
    pub(super) compares: bool,
    pub(super) alias: bool,
}

impl Frame {
    pub(super) fn of(mode: Mode) -> Self {
        Self {
            mode,
            call: Opened::Plainly,
            right: Bits::NONE,
            left: Bits::NONE,
            all: Bits::NONE,
            compares: false,
            sign: false,
            joined: false,
            between: false,
            alias: false,
        }
    }

    /// The frame of a call of the function `word`.
    pub(super) fn call(word: Word) -> Self {
        let call = match word {
            Word::Danger => Opened::Dangerous,
            Word::Function
            | Word::Probe
            | Word::Niladic
            | Word::Object
            | Word::If
            | Word::Join
            | Word::Replace
            | Word::Like => Opened::Known,
            _ => Opened::Unknown,
        };
        Self { call, ..Self::of(Mode::Arguments) }
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.right == Bits::NONE && self.all == Bits::NONE && !self.compares
    }

    /// Whether this operand makes the frame's call one to count; true once.
    pub(super) fn dangerous(&mut self) -> bool {
        let first = self.call == Opened::Dangerous;
        if first {
            self.call = Opened::Counted;
        }
        first
    }

    pub(super) fn compare(&mut self) {
        self.left.add(self.right);
        self.right = Bits::NONE;
        self.compares = true;
    }

    pub(super) fn end_term(&mut self) -> Term {
        let term = Term { left: self.left, right: self.right, compares: self.compares, alias: self.alias };
        self.all = self.all.with(self.left).with(self.right);
        (self.left, self.right, self.compares, self.alias) = (Bits::NONE, Bits::NONE, false, false);
        (self.between, self.sign) = (false, false);
        term
    }

    /// What the closed frame is as an operand.
    pub(super) fn result(self) -> Bits {
        match (self.call, self.mode) {
            (Opened::Known | Opened::Dangerous | Opened::Counted, _) => Bits::CALL,
            (Opened::Unknown, _) => Bits::NAME,
            (Opened::Plainly, Mode::Group | Mode::Base | Mode::Arguments) => self.all,
            (Opened::Plainly, Mode::Case) => Bits::QUERY,
            (Opened::Plainly, _) => Bits::QUERY,
        }
    }
}

/// The stack. Frames beyond its size share the last place, so that depth costs nothing and hides nothing.
#[derive(Debug)]
pub(super) struct Frames {
    frames: [Frame; SIZE],
    depth: usize,
}

const SIZE: usize = 24;

impl Frames {
    pub(super) fn new() -> Self {
        Self { frames: [Frame::of(Mode::Base); SIZE], depth: 0 }
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn top(&mut self) -> &mut Frame {
        &mut self.frames[self.depth.min(SIZE - 1)]
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.depth += 1;
        *self.top() = frame;
    }

    pub(super) fn pop(&mut self) -> Frame {
        let frame = *self.top();
        self.depth = self.depth.saturating_sub(1);
        frame
    }

    /// Drops all frames: a new statement begins.
    pub(super) fn reset(&mut self) {
        self.depth = 0;
        *self.top() = Frame::of(Mode::Base);
    }
}
