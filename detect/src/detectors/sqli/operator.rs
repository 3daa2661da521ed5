//! What may follow an operand: operators, commas, the end of parentheses and of statements.

use crate::detectors::sqli::frame::{Bits, Frame, Mode};
use crate::detectors::sqli::grammar::{Grammar, State};
use crate::detectors::sqli::statement;
use crate::detectors::sqli::token::{Kind, Token};
use crate::detectors::sqli::words::Word;

impl Grammar<'_, '_> {
    pub(super) fn operator(&mut self, token: Token, before: Token) -> Option<State> {
        let mode = self.frames.top().mode;
        match token.kind {
            Kind::Compare => {
                self.compared = Some(before);
                self.frames.top().sign = true;
                self.compare()
            }
            Kind::Unary => match self.lexer.peek().kind {
                Kind::Compare | Kind::Star => {
                    self.lexer.next();
                    self.compare()
                }
                _ => self.compare(),
            },
            Kind::Sign | Kind::Star | Kind::Arithmetic | Kind::Assign => {
                self.facts.arithmetic = self.facts.arithmetic.saturating_add(1);
                Some(State::Operand)
            }
            Kind::Logic => self.logic(),
            Kind::Cast => {
                self.facts.casts = self.facts.casts.saturating_add(1);
                let kind = self.lexer.next();
                if self.lexer.text(kind).eq_ignore_ascii_case(b"double") {
                    // Of two words: `double precision`.
                    self.lexer.next();
                }
                matches!(kind.kind, Kind::Name(_)).then_some(State::Operator)
            }
            Kind::Open if self.lexer.peek().kind == Kind::Name(Word::Union) => {
                self.frames.push(Frame::of(Mode::Group));
                Some(State::Operator)
            }
            Kind::Open if matches!(self.lexer.peek().kind, Kind::Name(Word::Select)) => {
                self.facts.select.adjacent = true;
                self.open();
                Some(State::Operand)
            }
            Kind::Close => self.close(),
            Kind::CloseBrace | Kind::CloseBracket if self.frames.depth() > 0 => self.close(),
            Kind::OpenBracket => {
                self.frames.push(Frame::of(Mode::Group));
                Some(State::Operand)
            }
            Kind::Comma => self.comma(mode),
            Kind::Semicolon => self.semicolon(),
            Kind::Dot => match self.lexer.next().kind {
                Kind::Name(_) | Kind::Star => Some(State::Operator),
                _ => None,
            },
            Kind::Text if before.kind == Kind::Text || mode == Mode::Arguments => Some(State::Operator),
            Kind::Text if matches!(mode, Mode::Items | Mode::Tables) => Some(State::Operator),
            // PostgreSQL's `?` asks whether a key exists.
            Kind::Variable if self.facts.casts > 0 || (self.facts.logic > 0 && self.asks_for_key(token)) => {
                self.compare()
            }
            Kind::Number | Kind::Variable if mode == Mode::Arguments => Some(State::Operator),
            Kind::Name(word) => self.operator_word(word, mode),
            _ => None,
        }
    }

    fn operator_word(&mut self, word: Word, mode: Mode) -> Option<State> {
        match word {
            Word::Logic => self.logic(),
            Word::Arithmetic => {
                self.facts.arithmetic = self.facts.arithmetic.saturating_add(1);
                Some(State::Operand)
            }
            Word::Like => self.compare(),
            Word::Sounds => {
                (self.lexer.next().kind == Kind::Name(Word::Like)).then_some(())?;
                self.compare()
            }
            Word::Not => match self.lexer.next().kind {
                Kind::Name(Word::Like) => self.compare(),
                Kind::Name(Word::In) => self.within(),
                Kind::Name(Word::Between) => self.between(),
                Kind::Name(Word::Constant) => {
                    self.compare();
                    self.value(Bits::OTHER)
                }
                _ => None,
            },
            Word::In => self.within(),
            Word::Between => self.between(),
            Word::Is => self.is(),
            Word::IsNull => {
                self.compare();
                self.value(Bits::OTHER)
            }
            Word::Collate => {
                self.facts.clauses.collate |= self.frames.depth() == 0;
                matches!(self.lexer.next().kind, Kind::Name(_) | Kind::Text).then_some(State::Operator)
            }
            Word::Escape => {
                // `or name like x escape 'y'`
                self.facts.clauses.certain |= self.facts.logic > 0;
                (self.lexer.next().kind == Kind::Text).then_some(State::Operator)
            }
            Word::When | Word::Then | Word::Else if mode == Mode::Case => {
                self.facts.cases = self.facts.cases.saturating_add(u16::from(word == Word::Then));
                self.end_term();
                Some(State::Operand)
            }
            Word::EndCase if mode == Mode::Case => self.close(),
            Word::From if mode == Mode::Arguments => Some(State::Operand),
            Word::For if mode == Mode::Arguments => Some(State::Operand),
            _ => self.clause(word, mode),
        }
    }

    /// `is null`, but not the lawyers' `is null and void`.
    fn is(&mut self) -> Option<State> {
        let mut ahead = *self.lexer;
        let words = [ahead.next(), ahead.next(), ahead.next()].map(|token| self.lexer.text(token));
        let [null, and, void] = words;
        let idiom = null.eq_ignore_ascii_case(b"null")
            && and.eq_ignore_ascii_case(b"and")
            && void.eq_ignore_ascii_case(b"void");
        if idiom { None } else { self.compare() }
    }

    /// PostgreSQL's operators on JSON: `?`, `?|`, `?&`, `@?`, `@@`.
    fn asks_for_key(&mut self, token: Token) -> bool {
        let text = self.lexer.text(token);
        if matches!(text, b"@" | b"@@") {
            let mark = self.lexer.byte() == Some(b'?');
            if mark {
                self.lexer.next();
            }
            return mark || text == b"@@";
        }
        text.starts_with(b"?")
    }

    pub(super) fn compare(&mut self) -> Option<State> {
        self.frames.top().compare();
        Some(State::Operand)
    }

    fn within(&mut self) -> Option<State> {
        // Full-text search: `in boolean mode)`.
        let mut ahead = *self.lexer;
        let words = [ahead.next(), ahead.next()];
        if words.iter().all(|token| matches!(token.kind, Kind::Name(_))) {
            let [first, second] = words.map(|token| self.lexer.text(token));
            if second.eq_ignore_ascii_case(b"mode") && first.eq_ignore_ascii_case(b"boolean") {
                *self.lexer = ahead;
                self.facts.clauses.certain = true;
                return Some(State::Operator);
            }
        }
        (self.lexer.peek().kind == Kind::Open).then_some(())?;
        self.compare()
    }

    fn between(&mut self) -> Option<State> {
        self.frames.top().between = true;
        self.compare()
    }

    fn logic(&mut self) -> Option<State> {
        let frame = self.frames.top();
        if frame.between {
            frame.between = false;
            return Some(State::Operand);
        }
        frame.joined = true;
        self.end_term();
        let frame = self.frames.top();
        if frame.mode == Mode::Tables {
            frame.mode = Mode::Condition;
        }
        frame.joined = true;
        self.facts.logic = self.facts.logic.saturating_add(1);
        Some(State::Operand)
    }

    fn comma(&mut self, mode: Mode) -> Option<State> {
        match mode {
            Mode::Base => self.facts.commas = self.facts.commas.saturating_add(1),
            Mode::Sort => self.facts.clauses.sorted_hard = true,
            Mode::Condition | Mode::Case => return None,
            Mode::Group | Mode::Arguments | Mode::Items | Mode::Tables | Mode::Limit => {}
        }
        self.end_term();
        Some(State::Operand)
    }

    fn semicolon(&mut self) -> Option<State> {
        self.facts.semicolons = self.facts.semicolons.saturating_add(1);
        self.end_term();
        self.frames.reset();
        while self.lexer.peek().kind == Kind::Semicolon {
            self.lexer.next();
        }
        let mut ahead = *self.lexer;
        match ahead.next().kind {
            Kind::End => Some(State::Operator),
            Kind::Name(Word::Select) => {
                self.facts.select.stacked = true;
                Some(State::Operand)
            }
            Kind::Name(word) => {
                let sure = statement::read(&mut ahead, word);
                self.facts.stacked = self.facts.stacked.max(sure);
                Some(State::Operand)
            }
            Kind::Open => {
                self.facts.select.stacked |= ahead.next().kind == Kind::Name(Word::Select);
                Some(State::Operand)
            }
            _ => None,
        }
    }
}
