//! Clauses: `union`, `where`, `order by`, `into outfile` and their kin, aliases, and statements run on.

use crate::detectors::sqli::facts::Union;
use crate::detectors::sqli::frame::{Bits, Frame, Mode, Opened};
use crate::detectors::sqli::grammar::{Grammar, State};
use crate::detectors::sqli::statement;
use crate::detectors::sqli::token::Kind;
use crate::detectors::sqli::words::Word;

impl Grammar<'_, '_> {
    /// Reads what starts a clause, an alias or a run-on statement.
    pub(super) fn clause(&mut self, word: Word, mode: Mode) -> Option<State> {
        match word {
            Word::Union => self.union(),
            Word::From if mode == Mode::Items => self.enter(Mode::Tables),
            // The rest of a query whose beginning the application wrote: `1) from users where`.
            Word::From if mode == Mode::Base => {
                self.facts.clauses.tables = true;
                self.enter(Mode::Tables)
            }
            Word::Where if matches!(mode, Mode::Items | Mode::Tables | Mode::Base) => {
                self.facts.clauses.conditions |= mode == Mode::Base;
                self.enter(Mode::Condition)
            }
            Word::Having => {
                self.facts.clauses.conditions |= self.frames.depth() == 0;
                self.enter(Mode::Condition)
            }
            Word::Group | Word::Order => {
                (self.lexer.next().kind == Kind::Name(Word::By)).then_some(())?;
                self.enter(Mode::Sort)
            }
            Word::Limit => self.enter(Mode::Limit),
            Word::Into => self.into(),
            Word::For => {
                // `for update`, `for share`.
                let token = self.lexer.next();
                let share = self.lexer.text(token).eq_ignore_ascii_case(b"share");
                (share || token.kind == Kind::Name(Word::Update)).then_some(State::Operator)
            }
            Word::Procedure => {
                let token = self.lexer.next();
                let adjacent = self.lexer.byte() == Some(b'(');
                let analyse = [&b"analyse"[..], b"analyze"]
                    .iter()
                    .any(|name| self.lexer.text(token).eq_ignore_ascii_case(name));
                ((adjacent || analyse) && self.lexer.next().kind == Kind::Open).then_some(())?;
                matches!(token.kind, Kind::Name(_)).then_some(())?;
                self.facts.clauses.certain = true;
                self.frames.push(Frame::call(Word::Function));
                Some(State::Operand)
            }
            Word::As if matches!(mode, Mode::Items | Mode::Tables | Mode::Base | Mode::Arguments) => {
                match self.lexer.next().kind {
                    Kind::Name(_) if mode == Mode::Arguments => {
                        if self.lexer.peek().kind == Kind::Open {
                            self.lexer.next();
                            self.frames.push(Frame::of(Mode::Group));
                            return Some(State::Operand);
                        }
                        Some(State::Operator)
                    }
                    Kind::Name(_) | Kind::Text => Some(State::Operator),
                    _ => None,
                }
            }
            Word::Join if mode == Mode::Tables => {
                while let Kind::Name(Word::Join) = self.lexer.peek().kind {
                    self.lexer.next();
                }
                Some(State::Operand)
            }
            Word::On | Word::Using if mode == Mode::Tables => self.enter(Mode::Condition),
            Word::Direction if matches!(mode, Mode::Sort | Mode::Base) => Some(State::Operator),
            _ if mode == Mode::Arguments && self.frames.top().call != Opened::Counted => {
                match self.lexer.peek().kind {
                    Kind::Close | Kind::Comma | Kind::Name(_) | Kind::Text => Some(State::Operator),
                    _ => Some(State::Operand),
                }
            }
            Word::Plain
            | Word::Quoted
            | Word::Technical
            | Word::Sensitive
            | Word::Function
            | Word::Probe
            | Word::Object
            | Word::Determiner
                if matches!(mode, Mode::Items | Mode::Tables) && !self.frames.top().alias =>
            {
                self.frames.top().alias = true;
                self.facts.select.aliases = self.facts.select.aliases.saturating_add(1);
                Some(State::Operator)
            }
            _ if mode == Mode::Group && self.frames.top().right == Bits::QUERY => Some(State::Operator),
            _ => self.run_on(word),
        }
    }

    fn enter(&mut self, mode: Mode) -> Option<State> {
        self.end_term();
        let frame = self.frames.top();
        *frame = Frame { all: frame.all, call: frame.call, ..Frame::of(mode) };
        Some(State::Operand)
    }

    pub(super) fn union(&mut self) -> Option<State> {
        self.end_term();
        self.facts.union = self.facts.union.max(Union::Begun);
        let mut exact = self.lexer.version_comment;
        loop {
            let token = self.lexer.next();
            match token.kind {
                Kind::Name(Word::All | Word::Distinct) => exact = true,
                // A `+` that nobody decoded.
                Kind::Sign => {}
                Kind::Open => {
                    exact = true;
                    self.frames.push(Frame::of(Mode::Group));
                }
                Kind::Name(Word::Select | Word::Values) => {
                    let reached = if exact { Union::Exact } else { Union::Select };
                    self.facts.union = self.facts.union.max(reached);
                    self.select();
                    return Some(State::Operand);
                }
                _ => return None,
            }
        }
    }

    fn into(&mut self) -> Option<State> {
        self.end_term();
        match self.lexer.next().kind {
            Kind::Name(Word::OutFile) => {
                let mut token = self.lexer.next();
                if token.kind == Kind::Open {
                    token = self.lexer.next();
                }
                self.facts.clauses.file = token.kind == Kind::Text;
                self.facts.clauses.file.then_some(State::Operator)
            }
            Kind::Variable | Kind::Name(_) => self.enter(Mode::Tables).map(|_| State::Operator),
            _ => None,
        }
    }

    /// SQL Server takes a further statement without a `;` between.
    fn run_on(&mut self, word: Word) -> Option<State> {
        let mut ahead = *self.lexer;
        let sure = statement::read(&mut ahead, word);
        self.facts.stacked = self.facts.stacked.max(sure);
        None
    }
}
