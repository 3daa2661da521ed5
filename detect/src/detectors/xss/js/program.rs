//! Whether tokens are a program: operands and operators must alternate, as they must for any engine to run a script.

use std::ops::Range;

use crate::budget::Steps;
use crate::detectors::xss::js::lex::{Lexer, Token};
use crate::detectors::xss::js::sinks::{self, Callee, Strength};

/// Where in a script the value is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Where a statement or expression may start.
    Statement,
    /// Right behind a string that the value has closed.
    AfterString,
}

/// A call, assignment or read that does harm.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    pub(super) strength: Strength,
    pub(super) span: Range<usize>,
}

/// The strongest sink of the program that starts at `at`; none where it is no program.
pub(super) fn program(bytes: &[u8], at: usize, start: Start, steps: &mut Steps) -> Option<Sink> {
    let mut reader = Reader::new(bytes, at, start);
    reader.run(steps).then_some(reader.sink).flatten()
}

/// The strongest sink of a parameter's name, which an assignment follows: `document.cookie` of `document.cookie=x`.
pub(super) fn assigned(name: &[u8], steps: &mut Steps) -> Option<Sink> {
    let mut reader = Reader::new(name, 0, Start::Statement);
    let parses = reader.run(steps) && !reader.operand;
    reader.assign(&(name.len()..name.len()));
    parses.then_some(reader.sink).flatten()
}

/// Whether the bytes are a program at all.
pub(super) fn parses(bytes: &[u8], steps: &mut Steps) -> bool {
    Reader::new(bytes, 0, Start::Statement).run(steps)
}

struct Reader<'a> {
    bytes: &'a [u8],
    lexer: Lexer<'a>,
    /// An operand is expected.
    operand: bool,
    /// The first token must close or continue what the value broke out of.
    first: bool,
    /// Bit n: the parenthesis at depth n belongs to `if`, `for`, ..., so that a statement follows it.
    heads: u64,
    /// Bit n: the bracket at depth n is an index whose call would hide the name of what it calls.
    hidden: u64,
    /// Bit n: the parenthesis at depth n holds the arguments of a member's call.
    calls: u64,
    /// Bit n: what the index at depth n belongs to is an array.
    lists: u64,
    /// Bit n: the bracket at depth n groups or lists; a name in it stays callable: `(alert)(1)`.
    groups: u64,
    depth: u32,
    /// What a call here would call.
    callee: Callee<'a>,
    word: Option<Range<usize>>,
    /// What an assignment is to, and a name that has been given what runs text.
    target: Option<&'a [u8]>,
    alias: Option<&'a [u8]>,
    /// What was found needs no more grammar.
    accepted: bool,
    sink: Option<Sink>,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], at: usize, start: Start) -> Self {
        let after = start == Start::AfterString;
        Self {
            bytes,
            lexer: Lexer::new(bytes, at),
            operand: !after,
            first: after,
            heads: 0,
            hidden: 0,
            calls: 0,
            lists: 0,
            groups: 0,
            depth: 0,
            callee: Callee::Nothing,
            word: None,
            target: None,
            alias: None,
            accepted: false,
            sink: None,
        }
    }

    /// Reads to the end; false at the first token that no program could hold there.
    fn run(&mut self, steps: &mut Steps) -> bool {
        let mut head = false;
        while let Some((token, span)) = self.lexer.next(self.operand) {
            if !steps.take(1) {
                return false;
            }
            // The script element ends here, and with it the program.
            if token == Token::Binary
                && self.bytes.get(span.start..).is_some_and(|rest| rest.starts_with(b"</"))
            {
                return true;
            }
            let grammatical = if self.operand {
                self.operand(token, &span, &mut head)
            } else {
                self.operator(token, &span, &mut head)
            };
            if !grammatical || self.accepted {
                return grammatical;
            }
            self.first = false;
        }
        true
    }

    /// Takes a token where an operand is expected.
    fn operand(&mut self, token: Token, span: &Range<usize>, head: &mut bool) -> bool {
        let text = self.bytes.get(span.clone()).unwrap_or_default();
        match token {
            Token::Word if is_prefix_keyword(text) => {
                *head =
                    matches!(text, b"if" | b"for" | b"while" | b"with" | b"switch" | b"catch" | b"function");
                self.callee = Callee::Nothing;
            }
            Token::Word => {
                self.operand = false;
                if let Some(target) = self.target.take().filter(|_| sinks::runs(text)) {
                    self.alias = Some(target);
                }
                // `[1].map(alert)` calls what it is given.
                if self.depth > 0
                    && self.calls & self.bit() != 0
                    && sinks::runs(text)
                    && self.closes(span.end)
                {
                    self.found(Strength::Alone, span.start, span.end);
                }
                self.callee = Callee::Word(text);
                self.word = Some(span.clone());
                if !*head {
                    // `function name(` keeps its head for the parenthesis.
                    return true;
                }
            }
            Token::Literal | Token::Template => {
                self.operand = false;
                self.callee = Callee::Literal;
                self.word = Some(span.clone());
            }
            Token::Open(bracket) => {
                self.callee = Callee::Nothing;
                self.open(bracket, head, Role::Group);
            }
            Token::Close(bracket) => self.close(bracket),
            Token::Sign | Token::Prefix | Token::Step | Token::Semicolon | Token::Comma => {}
            // `case x:` and labels end where a statement starts.
            Token::Choice | Token::Binary | Token::Assign | Token::Dot | Token::Arrow | Token::Bad => {
                return false;
            }
        }
        true
    }

    /// Takes a token where an operator is expected.
    fn operator(&mut self, token: Token, span: &Range<usize>, head: &mut bool) -> bool {
        let text = self.bytes.get(span.clone()).unwrap_or_default();
        match token {
            Token::Word if matches!(text, b"in" | b"of" | b"instanceof" | b"as") => self.operand = true,
            Token::Word | Token::Literal | Token::Prefix => {
                // A statement may start on a new line, or behind a block.
                if self.first || !(self.lexer.new_line || matches!(self.callee, Callee::Block)) {
                    return false;
                }
                self.operand = true;
                return self.operand(token, span, head);
            }
            Token::Template => {
                self.call(sinks::tag(&self.callee), span);
                // What a template substitutes is not followed, so nothing behind it is judged.
                self.accepted = self.sink.as_ref().is_some_and(|sink| sink.strength == Strength::Alone);
            }
            Token::Open(b'(') => {
                if self.first {
                    return false;
                }
                self.call(sinks::call(&self.callee), span);
                self.open(b'(', head, Role::Call);
            }
            Token::Open(bracket) => {
                if self.first {
                    return false;
                }
                let role = if bracket == b'[' { self.index() } else { Role::Call };
                self.open(bracket, head, role);
            }
            Token::Close(bracket) => self.close(bracket),
            Token::Dot => return self.member(),
            Token::Assign => {
                self.assign(span);
                self.operand = true;
            }
            Token::Step => {}
            Token::Semicolon | Token::Comma | Token::Choice | Token::Sign | Token::Binary | Token::Arrow => {
                self.operand = true;
                self.callee = Callee::Nothing;
            }
            Token::Bad => return false,
        }
        true
    }

    /// The name behind a dot; `?.(` and `?.[` also stand there.
    fn member(&mut self) -> bool {
        match self.lexer.next(true) {
            Some((Token::Word, span)) => {
                let name = self.bytes.get(span.clone()).unwrap_or_default();
                self.callee = self.callee.member(name);
                if let Some(strength) = sinks::read(&self.callee, self.depth > 0) {
                    self.found(strength, span.start, span.end);
                }
                true
            }
            Some((Token::Open(bracket), span)) => {
                if bracket == b'(' {
                    self.call(sinks::call(&self.callee), &span);
                }
                let role = if bracket == b'[' { self.index() } else { Role::Call };
                self.open(bracket, &mut false, role);
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Notes a call whose parenthesis or template is at `span`.
    fn call(&mut self, strength: Option<Strength>, span: &Range<usize>) {
        let given = self.bytes.get(span.end..).unwrap_or_default().trim_ascii_start();
        let template = self.bytes.get(span.start) == Some(&b'`');
        let text = matches!(given, [b'\'' | b'"' | b'`' | b'/', ..]);
        let aliased = matches!(self.callee, Callee::Word(name) if self.alias == Some(name));
        let remote = self.callee == Callee::Word(b"import") && sinks::is_remote(given);
        let strength = if aliased || remote { Some(Strength::Alone) } else { strength };
        let Some(strength) = strength else { return };
        // "prompt (optional)" and "function `f`" are prose; a probe leaves a space there at most before a string.
        let named = matches!(self.callee, Callee::Word(_));
        let gap = named
            && self.bytes.get(..span.start).is_some_and(|head| head.ends_with(b" "))
            && (template || !text);
        let timer = sinks::takes_text(&self.callee) && !template && !text;
        let strength = if gap || timer { Strength::BrokenOut } else { strength };
        let from = self.word.as_ref().map_or(span.start, |word| word.start);
        self.found(strength, from, span.end);
    }

    fn assign(&mut self, span: &Range<usize>) {
        if let Some(strength) = sinks::assign(&self.callee) {
            let from = self.word.as_ref().map_or(span.start, |word| word.start);
            self.found(strength, from, span.end);
        }
        self.target = match self.callee {
            Callee::Word(name) => Some(name),
            _ => None,
        };
    }

    fn bit(&self) -> u64 {
        1_u64.checked_shl(self.depth).unwrap_or(0)
    }

    /// Whether the list of arguments closes at `at`.
    fn closes(&self, at: usize) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b")"))
    }

    fn names(&self, word: &Range<usize>, test: fn(&[u8]) -> bool) -> bool {
        self.bytes
            .get(word.clone())
            .is_some_and(|word| matches!(word, [b'\'' | b'"' | b'`', ..]) && test(word))
    }

    fn found(&mut self, strength: Strength, from: usize, to: usize) {
        if self.sink.as_ref().is_none_or(|sink| sink.strength < strength) {
            self.sink = Some(Sink { strength, span: from.min(to)..to });
        }
    }

    fn index(&self) -> Role {
        if self.callee.hides_members() { Role::HidingIndex } else { Role::Index }
    }

    fn open(&mut self, bracket: u8, head: &mut bool, role: Role) {
        self.depth = self.depth.saturating_add(1);
        let bit = 1_u64.checked_shl(self.depth).unwrap_or(0);
        let set = |bits: u64, on: bool| if on { bits | bit } else { bits & !bit };
        self.heads = set(self.heads, *head && bracket == b'(');
        self.hidden = set(self.hidden, role == Role::HidingIndex);
        let member = matches!(self.callee, Callee::Member(_) | Callee::Global(_));
        self.calls = set(self.calls, role == Role::Call && member);
        self.lists = set(self.lists, self.callee == Callee::Array);
        self.groups = set(self.groups, role == Role::Group);
        *head = false;
        self.operand = true;
        self.callee = Callee::Nothing;
    }

    fn close(&mut self, bracket: u8) {
        let bit = 1_u64.checked_shl(self.depth).unwrap_or(0);
        self.depth = self.depth.saturating_sub(1);
        self.operand = false;
        let group = self.groups & bit != 0;
        self.callee = match bracket {
            b')' if self.heads & bit != 0 => Callee::Block,
            b')' if group => self.callee,
            b']' if group => Callee::Array,
            // `[text][reference](..)` is a link.
            b']' if self.hidden & bit != 0
                && self.lists & bit != 0
                && !self.word.as_ref().is_some_and(|word| self.names(word, |_| true)) =>
            {
                Callee::Nothing
            }
            b']' if self.hidden & bit != 0 => {
                if let Some(word) = self.word.clone().filter(|word| self.names(word, sinks::hidden_member)) {
                    self.found(Strength::Alone, word.start, word.end);
                }
                Callee::Computed
            }
            b']' if self.word.as_ref().is_some_and(|word| self.names(word, sinks::hidden_name)) => {
                Callee::Computed
            }
            b'}' => Callee::Block,
            _ => Callee::Nothing,
        };
    }
}

/// What an opening bracket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Groups an expression, lists an array, or starts a block.
    Group,
    /// Passes arguments, or starts a body.
    Call,
    /// Names a member.
    Index,
    /// Names a member of something whose members do harm.
    HidingIndex,
}

/// Keywords that an operand or a statement follows.
fn is_prefix_keyword(word: &[u8]) -> bool {
    matches!(
        word,
        b"var"
            | b"let"
            | b"const"
            | b"if"
            | b"else"
            | b"for"
            | b"while"
            | b"do"
            | b"return"
            | b"throw"
            | b"try"
            | b"finally"
            | b"new"
            | b"typeof"
            | b"void"
            | b"delete"
            | b"await"
            | b"yield"
            | b"case"
            | b"function"
            | b"async"
            | b"class"
            | b"extends"
            | b"with"
            | b"switch"
            | b"catch"
            | b"default"
            | b"export"
            | b"static"
    )
}
