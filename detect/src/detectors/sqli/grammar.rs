//! The recogniser: a push-down automaton over the tokens that knows where an operand is due and where an operator.
//!
//! It builds no tree. It needs no recursion, reads each token once, and notes what [`Facts`] hold. Contexts differ
//! only in the state it starts in: a value that lands where a number belongs starts with an operand, the rest of a
//! value that closed a string starts behind one.

use crate::budget::Steps;
use crate::detectors::sqli::facts::{Facts, Statement, Stop};
use crate::detectors::sqli::frame::{Bits, Frame, Frames, Mode, Opened};
use crate::detectors::sqli::lex::Lexer;
use crate::detectors::sqli::statement;
use crate::detectors::sqli::token::{Kind, Token};
use crate::detectors::sqli::words::Word;

/// What the automaton expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A number, name, `(`, ...
    Operand,
    /// An operator, clause or the end.
    Operator,
}

/// Reads from where `lexer` stands to the end, or to where the value is no SQL.
pub(super) fn read(lexer: &mut Lexer<'_>, steps: &mut Steps, state: State, first: Bits) -> Facts {
    let mut grammar = Grammar {
        lexer,
        facts: Facts::default(),
        frames: Frames::new(),
        state,
        before: START,
        compared: None,
    };
    grammar.frames.top().right = first;
    if state == State::Operand {
        grammar.opening();
    }
    let stop = loop {
        if !steps.take(1) {
            break Stop::Broken;
        }
        let token = grammar.lexer.next();
        grammar.facts.end = token.start;
        if token.kind == Kind::End {
            break if grammar.state == State::Operator { Stop::Whole } else { Stop::Due };
        }
        let before = std::mem::replace(&mut grammar.before, token);
        let next = match grammar.state {
            State::Operand => grammar.operand(token),
            State::Operator => grammar.operator(token, before),
        };
        match next {
            Some(state) => grammar.state = state,
            None => break Stop::Broken,
        }
    };
    grammar.finish(stop)
}

/// What stands before the first token.
const START: Token = Token { kind: Kind::Other, start: 0, end: 0 };

/// Whether `word` goes on with an expression or query that stands before it.
pub(super) fn continues(word: Word) -> bool {
    matches!(
        word,
        Word::Logic
            | Word::Arithmetic
            | Word::Like
            | Word::Sounds
            | Word::Between
            | Word::In
            | Word::Is
            | Word::IsNull
            | Word::Union
            | Word::Where
            | Word::Group
            | Word::Order
            | Word::Having
            | Word::Limit
            | Word::Into
            | Word::Procedure
            | Word::As
            | Word::Collate
            | Word::From
            | Word::Direction
    )
}

pub(super) struct Grammar<'g, 'a> {
    pub(super) lexer: &'g mut Lexer<'a>,
    pub(super) facts: Facts,
    pub(super) frames: Frames,
    state: State,
    /// The token before.
    before: Token,
    /// The operand left of the comparison just read.
    pub(super) compared: Option<Token>,
}

impl Grammar<'_, '_> {
    /// Sees whether the value starts with a statement.
    fn opening(&mut self) {
        let mut ahead = *self.lexer;
        let token = ahead.next();
        let Kind::Name(word) = token.kind else { return };
        if word == Word::Select {
            self.facts.opening = Statement::Weak;
        } else {
            self.facts.opening = statement::read(&mut ahead, word);
        }
    }

    fn finish(mut self, stop: Stop) -> Facts {
        self.facts.stop = stop;
        if stop == Stop::Broken {
            // A comparison that broke off within a call of the database's functions is no prose.
            let mut cut = false;
            while self.frames.depth() > 0 {
                self.frames.pop();
                cut |= self.frames.top().compares && !self.frames.top().left.has(Bits::NAME);
            }
            self.facts.cut = cut && self.facts.functions > 0;
        } else {
            if stop == Stop::Due {
                let depth = self.frames.depth();
                let call = self.frames.top().call;
                let known = matches!(call, Opened::Known | Opened::Dangerous);
                self.facts.open_call = known && depth == 1 && self.frames.top().is_fresh();
                while self.frames.depth() > 0 && self.frames.top().is_fresh() {
                    self.frames.pop();
                }
                let top = self.frames.top();
                self.facts.open = top.sign && top.right == Bits::NONE;
                self.facts.open_hard = self.facts.open && !top.left.has(Bits::NAME);
            }
            while self.frames.depth() > 0 {
                self.end_term();
                self.frames.pop();
            }
            self.end_term();
        }
        self.facts
    }

    fn operand(&mut self, token: Token) -> Option<State> {
        if let (Some(left), Kind::Name(_)) = (self.compared.take(), token.kind) {
            let same = self.lexer.text(left).eq_ignore_ascii_case(self.lexer.text(token));
            self.facts.same |= same;
        }
        let mode = self.frames.top().mode;
        match token.kind {
            Kind::Number => {
                if mode == Mode::Tables {
                    return None;
                }
                self.value(Bits::NUMBER)
            }
            Kind::Text => {
                if mode == Mode::Tables && self.frames.top().right != Bits::NONE {
                    return None;
                }
                self.value(Bits::TEXT)
            }
            Kind::Variable => {
                self.facts.variable = true;
                self.value(Bits::OTHER)
            }
            Kind::Open => {
                self.open();
                Some(State::Operand)
            }
            Kind::OpenBrace => {
                // ODBC and MySQL: {d '2020-01-01'}, {fn user()}, {x 1}.
                match self.lexer.next().kind {
                    Kind::Name(_) => {
                        self.frames.push(Frame::of(Mode::Group));
                        Some(State::Operand)
                    }
                    _ => None,
                }
            }
            Kind::Sign | Kind::Unary => Some(State::Operand),
            Kind::Star if matches!(mode, Mode::Items | Mode::Arguments) => self.value(Bits::OTHER),
            Kind::Close | Kind::CloseBrace
                if matches!(mode, Mode::Group | Mode::Arguments) && self.frames.top().is_fresh() =>
            {
                self.frames.top().right.add(Bits::OTHER);
                self.close()
            }
            Kind::Name(word) => self.operand_word(token, word, mode),
            _ => None,
        }
    }

    fn operand_word(&mut self, token: Token, word: Word, mode: Mode) -> Option<State> {
        match word {
            _ if self.is_array(token) => self.value(Bits::TEXT),
            Word::Select => {
                if self.facts.logic > 0 && self.frames.depth() == 0 {
                    // No dialect takes it, yet attackers send it.
                    self.facts.select.nested = self.facts.select.nested.saturating_add(1);
                }
                self.select();
                Some(State::Operand)
            }
            Word::Case => {
                self.frames.push(Frame::of(Mode::Case));
                Some(State::Operand)
            }
            Word::When if mode == Mode::Case => Some(State::Operand),
            Word::Not => Some(State::Operand),
            Word::Prefix => {
                self.facts.prefixed = true;
                Some(State::Operand)
            }
            Word::Union => self.union(),
            Word::All | Word::Distinct => Some(State::Operand),
            Word::Top if mode == Mode::Items && self.lexer.peek().kind == Kind::Number => {
                self.lexer.next();
                Some(State::Operand)
            }
            Word::Constant => self.value(Bits::OTHER),
            _ if self.calls(token, word) => {
                self.call(word);
                Some(State::Operand)
            }
            Word::Niladic => self.value(Bits::CALL),
            Word::Plain
            | Word::Quoted
            | Word::Technical
            | Word::Function
            | Word::Probe
            | Word::Danger
            | Word::Catalogue
            | Word::Sensitive
            | Word::Determiner
            | Word::Object
            | Word::Limit
            | Word::If
            | Word::Handler
            | Word::Begin
            | Word::Show
            | Word::Backup
            | Word::Sounds
            | Word::Top
            | Word::Copy
            | Word::Call => {
                match word {
                    Word::Technical | Word::Quoted => self.facts.technical = true,
                    Word::Sensitive => self.facts.sensitive = true,
                    Word::Catalogue => self.facts.catalogue = true,
                    // `from a` and `select the`: an article is no name of a table or column.
                    Word::Determiner if mode == Mode::Tables => self.facts.select.prose = true,
                    Word::Determiner if mode == Mode::Items => {
                        self.facts.select.prose |= matches!(self.lexer.peek().kind, Kind::Name(_));
                    }
                    _ => {}
                }
                if mode == Mode::Tables {
                    self.facts.select.tables = self.facts.select.tables.saturating_add(1);
                }
                self.value(Bits::NAME)
            }
            _ => None,
        }
    }

    /// Takes PostgreSQL's `array['a', 'b']`.
    fn is_array(&mut self, token: Token) -> bool {
        if self.lexer.byte() != Some(b'[') || !self.lexer.text(token).eq_ignore_ascii_case(b"array") {
            return false;
        }
        self.lexer.cursor.take_while(|byte| byte != b']');
        self.lexer.cursor.skip(1);
        true
    }

    /// Whether the name `token` calls a function: prose sets a space before its parentheses.
    fn calls(&self, token: Token, word: Word) -> bool {
        let callable = matches!(
            word,
            Word::Plain
                | Word::Quoted
                | Word::Technical
                | Word::Function
                | Word::Probe
                | Word::Danger
                | Word::Niladic
                | Word::Sensitive
                | Word::Catalogue
                | Word::If
                | Word::Join
                | Word::Insert
                | Word::Replace
                | Word::Values
                | Word::Object
                | Word::Like
                | Word::Arithmetic
        );
        let known = matches!(
            word,
            Word::Function | Word::Probe | Word::Danger | Word::Niladic | Word::If | Word::Like
        );
        callable
            && (self.lexer.byte() == Some(b'(') || (known && self.lexer.peek().kind == Kind::Open))
            && token.end > token.start
    }

    /// Enters the parentheses of a call of `word`.
    fn call(&mut self, word: Word) {
        let within = self.frames.top().call != Opened::Plainly;
        let frame = Frame::call(word);
        if self.frames.top().mode == Mode::Tables {
            self.facts.select.tables = self.facts.select.tables.saturating_add(1);
        }
        if frame.call != Opened::Unknown {
            self.facts.functions = self.facts.functions.saturating_add(1);
            self.facts.probes += u16::from(matches!(word, Word::Probe | Word::Niladic) && within);
        }
        self.frames.push(frame);
        self.lexer.next();
    }

    /// Notes an operand.
    pub(super) fn value(&mut self, bits: Bits) -> Option<State> {
        self.facts.named |= bits.has(Bits::NAME);
        let frame = self.frames.top();
        frame.right.add(bits);
        if frame.dangerous() {
            self.facts.danger = self.facts.danger.saturating_add(1);
        }
        Some(State::Operator)
    }

    pub(super) fn open(&mut self) {
        let tables = self.frames.top().mode == Mode::Tables;
        if let Kind::Name(Word::Select | Word::Values | Word::With) = self.lexer.peek().kind {
            self.facts.select.nested = self.facts.select.nested.saturating_add(1);
            self.frames.push(Frame::of(Mode::Group));
        } else {
            self.frames.push(Frame::of(if tables { Mode::Tables } else { Mode::Group }));
        }
    }

    /// Closes a parenthesis the value opened, or one of the application's.
    pub(super) fn close(&mut self) -> Option<State> {
        self.end_term();
        if self.frames.depth() == 0 {
            self.facts.closes = self.facts.closes.saturating_add(1);
            let frame = self.frames.top();
            frame.right = frame.all;
            if frame.mode != Mode::Base {
                *frame = Frame { right: Bits::OTHER, ..Frame::of(Mode::Base) };
            }
            return Some(State::Operator);
        }
        let bits = self.frames.pop().result();
        self.value(bits)
    }

    /// Begins a select list in the frame on top.
    pub(super) fn select(&mut self) {
        self.facts.select.count = self.facts.select.count.saturating_add(1);
        let frame = self.frames.top();
        *frame = Frame { all: frame.all, call: frame.call, ..Frame::of(Mode::Items) };
        if let Kind::Name(Word::All | Word::Distinct) = self.lexer.peek().kind {
            self.lexer.next();
        }
    }
}
