//! Statements other than `select`: whether what follows their first word is what the statement demands.

use crate::detectors::sqli::facts::Statement;
use crate::detectors::sqli::facts::Statement::{Absent, Sure, Weak};
use crate::detectors::sqli::lex::Lexer;
use crate::detectors::sqli::token::{Ending, Kind};
use crate::detectors::sqli::words::Word;

/// Judges the statement that began with `word`; `lexer` stands behind it.
pub(super) fn read(lexer: &mut Lexer<'_>, word: Word) -> Statement {
    match word {
        Word::Select => select(lexer),
        Word::Insert | Word::Replace | Word::Merge => insert(lexer, word),
        Word::Update => update(lexer),
        Word::Delete => delete(lexer),
        Word::Drop => drop(lexer),
        Word::Create => create(lexer),
        Word::Alter => alter(lexer),
        Word::Truncate => truncate(lexer),
        Word::Exec => exec(lexer),
        Word::Declare => declare(lexer),
        Word::Shutdown => ended(lexer, Weak),
        Word::Grant => grant(lexer),
        Word::Copy => copy(lexer),
        Word::Load => load(lexer),
        Word::Call | Word::Do => call(lexer),
        Word::Begin => begin(lexer),
        Word::If => branch(lexer),
        Word::WaitFor => wait(lexer),
        Word::Rename => sure(name_is(lexer, |word| word == Word::Object) && named(lexer)),
        Word::Set => set(lexer),
        Word::Prepare => sure(named(lexer) && name_is(lexer, |word| word == Word::From)),
        Word::Handler => sure(named(lexer) && text_is(lexer, &[b"open", b"read", b"close"])),
        Word::Attach => sure(text_is(lexer, &[b"database"]) && lexer.next().kind == Kind::Text),
        Word::Backup => sure(text_is(lexer, &[b"database", b"log"]) && named(lexer)),
        Word::Show => show(lexer),
        Word::Danger => danger(lexer),
        _ => Absent,
    }
}

/// `select` run on behind a finished expression.
fn select(lexer: &mut Lexer<'_>) -> Statement {
    match lexer.next().kind {
        // A quoted word `select` is followed by the quote that ends it.
        Kind::Text if matches!(lexer.ending, Ending::Text(_)) => Absent,
        Kind::Star | Kind::Number => match lexer.peek().kind {
            Kind::Text | Kind::Close | Kind::Arithmetic => Absent,
            Kind::Comma => {
                lexer.next();
                sure(lexer.peek().kind != Kind::End)
            }
            _ => Sure,
        },
        Kind::Variable | Kind::Text => Sure,
        Kind::Name(Word::Function | Word::Probe | Word::Danger) if lexer.peek().kind == Kind::Open => Sure,
        Kind::Name(Word::Union) => Sure,
        Kind::Name(_) => match lexer.next().kind {
            Kind::Comma => Sure,
            Kind::Name(Word::From) => Weak,
            _ => Absent,
        },
        _ => Absent,
    }
}

fn insert(lexer: &mut Lexer<'_>, word: Word) -> Statement {
    let mut token = lexer.next();
    // A sentence's "insert the card into": articles belong to no dialect.
    if token.kind == Kind::Name(Word::Determiner) {
        return Absent;
    }
    for _ in 0..2 {
        if token.kind != Kind::Name(Word::Into) && matches!(token.kind, Kind::Name(_)) {
            token = lexer.next();
        }
    }
    if token.kind != Kind::Name(Word::Into) || !named(lexer) {
        return Absent;
    }
    match lexer.next().kind {
        Kind::Open | Kind::Name(Word::Values | Word::Select | Word::Set) => Sure,
        Kind::Name(Word::Using) if word == Word::Merge => Sure,
        Kind::Name(Word::Exec) => Sure,
        _ => Absent,
    }
}

fn update(lexer: &mut Lexer<'_>) -> Statement {
    let set = named(lexer)
        && match lexer.next().kind {
            Kind::Name(Word::Set) => true,
            Kind::Name(_) => name_is(lexer, |word| word == Word::Set),
            _ => false,
        };
    sure(set && assigned(lexer))
}

fn delete(lexer: &mut Lexer<'_>) -> Statement {
    let mut token = lexer.next();
    if matches!(token.kind, Kind::Name(Word::Plain | Word::Technical)) {
        // `delete ignore from`, `delete low_priority from`.
        token = lexer.next();
    }
    if token.kind != Kind::Name(Word::From) || !named(lexer) {
        return Absent;
    }
    match lexer.next().kind {
        Kind::Name(Word::Where | Word::Limit | Word::Order) => {
            matches!(lexer.next().kind, Kind::Name(_) | Kind::Number | Kind::Open)
                .then(|| lexer.next().kind)
                .map_or(Absent, |kind| {
                    sure(matches!(kind, Kind::Compare | Kind::Name(Word::Like | Word::In)))
                })
        }
        Kind::Semicolon => Sure,
        Kind::End => terminated(lexer, Weak),
        _ => Absent,
    }
}

fn drop(lexer: &mut Lexer<'_>) -> Statement {
    let mut token = lexer.next();
    if let Kind::Name(Word::Plain | Word::Technical) = token.kind {
        // `drop temporary table`, `drop materialized view`.
        token = lexer.next();
    }
    if !matches!(token.kind, Kind::Name(Word::Object | Word::Procedure)) {
        return Absent;
    }
    let mut exact = false;
    if lexer.peek().kind == Kind::Name(Word::If) {
        lexer.next();
        if !text_is(lexer, &[b"exists"]) {
            return Absent;
        }
        exact = true;
    }
    let token = lexer.next();
    let Kind::Name(word) = token.kind else { return Absent };
    exact |= matches!(word, Word::Technical | Word::Quoted | Word::Sensitive | Word::Catalogue);
    match lexer.next().kind {
        Kind::End if exact => Sure,
        Kind::End => terminated(lexer, Weak),
        Kind::Semicolon => Sure,
        Kind::Comma => {
            let more = named(lexer);
            sure(more && matches!(lexer.next().kind, Kind::End | Kind::Semicolon | Kind::Comma))
        }
        Kind::Name(Word::Plain) => terminated_next(lexer),
        _ if exact => Sure,
        _ => Absent,
    }
}

fn create(lexer: &mut Lexer<'_>) -> Statement {
    let mut token = lexer.next();
    for _ in 0..3 {
        if matches!(token.kind, Kind::Name(Word::Object | Word::Procedure)) {
            break;
        }
        // A sentence's `create a new user` has words of its own in between.
        let known = MODIFIERS.iter().any(|known| lexer.text(token).eq_ignore_ascii_case(known));
        if token.kind == Kind::Name(Word::Plain) && !known {
            return Absent;
        }
        token = lexer.next();
    }
    if !matches!(token.kind, Kind::Name(Word::Object | Word::Procedure)) {
        return Absent;
    }
    for _ in 0..4 {
        match lexer.next().kind {
            Kind::Open | Kind::Text => return Sure,
            Kind::Name(Word::As | Word::On) => {
                return sure(matches!(
                    lexer.peek().kind,
                    Kind::Name(Word::Select | Word::Technical | Word::Begin) | Kind::Text
                ));
            }
            Kind::Name(_) => {}
            _ => return Absent,
        }
    }
    Absent
}

/// Words between `create` and what is created that mean nothing else to the lexer.
const MODIFIERS: &[&[u8]] = &[
    b"temporary",
    b"temp",
    b"global",
    b"local",
    b"private",
    b"public",
    b"unlogged",
    b"external",
    b"foreign",
    b"virtual",
    b"materialized",
    b"recursive",
    b"unique",
    b"fulltext",
    b"spatial",
    b"bitmap",
    b"clustered",
    b"nonclustered",
    b"aggregate",
    b"algorithm",
    b"definer",
    b"force",
    b"editionable",
    b"trusted",
    b"constraint",
    b"event",
];

fn alter(lexer: &mut Lexer<'_>) -> Statement {
    if !name_is(lexer, |word| matches!(word, Word::Object | Word::Procedure)) || !named(lexer) {
        return Absent;
    }
    let token = lexer.next();
    let action = matches!(token.kind, Kind::Name(Word::Drop | Word::Rename | Word::With | Word::Set))
        || ACTIONS.iter().any(|action| lexer.text(token).eq_ignore_ascii_case(action));
    sure(action && matches!(lexer.next().kind, Kind::Name(_) | Kind::Compare | Kind::Open))
}

const ACTIONS: &[&[u8]] = &[b"add", b"modify", b"change", b"owner", b"enable", b"disable", b"character"];

fn truncate(lexer: &mut Lexer<'_>) -> Statement {
    if lexer.peek().kind == Kind::Name(Word::Object) {
        lexer.next();
        return if named(lexer) { ended(lexer, Weak) } else { Absent };
    }
    Absent
}

fn exec(lexer: &mut Lexer<'_>) -> Statement {
    let token = lexer.next();
    match token.kind {
        Kind::Name(Word::Danger | Word::Immediate) => Sure,
        Kind::Variable => Sure,
        Kind::Open => sure(matches!(lexer.next().kind, Kind::Text | Kind::Variable)),
        // No dialect that has the statement quotes with back-ticks.
        Kind::Name(Word::Quoted) if lexer.text(token).starts_with(b"`") => Absent,
        Kind::Name(Word::Technical | Word::Quoted) => match lexer.next().kind {
            Kind::Text | Kind::Variable | Kind::Semicolon => Sure,
            Kind::End => terminated(lexer, Weak),
            _ => Absent,
        },
        _ => Absent,
    }
}

fn declare(lexer: &mut Lexer<'_>) -> Statement {
    match lexer.next().kind {
        Kind::Variable => sure(matches!(lexer.next().kind, Kind::Name(_))),
        // `declare c cursor for ...`, `declare x varchar(99)`.
        Kind::Name(_) => {
            let token = lexer.next();
            let cursor = lexer.text(token).eq_ignore_ascii_case(b"cursor");
            let typed = matches!(token.kind, Kind::Name(_)) && lexer.byte() == Some(b'(');
            sure(cursor && name_is(lexer, |word| word == Word::For) || typed)
        }
        _ => Absent,
    }
}

fn copy(lexer: &mut Lexer<'_>) -> Statement {
    let source = match lexer.next().kind {
        Kind::Name(_) => true,
        Kind::Open => return sure(lexer.next().kind == Kind::Name(Word::Select)),
        _ => false,
    };
    let token = lexer.next();
    let way = token.kind == Kind::Name(Word::From) || lexer.text(token).eq_ignore_ascii_case(b"to");
    if !source || !way {
        return Absent;
    }
    let token = lexer.next();
    match token.kind {
        Kind::Text => Sure,
        Kind::Arithmetic => Weak,
        _ => sure(lexer.text(token).eq_ignore_ascii_case(b"program") && lexer.next().kind == Kind::Text),
    }
}

fn load(lexer: &mut Lexer<'_>) -> Statement {
    if !text_is(lexer, &[b"data", b"xml"]) {
        return Absent;
    }
    for _ in 0..3 {
        let token = lexer.next();
        if lexer.text(token).eq_ignore_ascii_case(b"infile") {
            return sure(lexer.next().kind == Kind::Text);
        }
    }
    Absent
}

fn call(lexer: &mut Lexer<'_>) -> Statement {
    match lexer.next().kind {
        Kind::Name(Word::Danger) => Sure,
        Kind::Name(Word::Technical | Word::Function | Word::Probe) if lexer.byte() == Some(b'(') => {
            sure(lexer.next().kind == Kind::Open && !matches!(lexer.next().kind, Kind::End | Kind::Close))
        }
        Kind::Name(Word::Plain) if lexer.byte() == Some(b'(') => {
            lexer.next();
            sure(matches!(
                lexer.next().kind,
                Kind::Text | Kind::Name(Word::Danger | Word::Function | Word::Select)
            ))
        }
        _ => Absent,
    }
}

fn begin(lexer: &mut Lexer<'_>) -> Statement {
    let token = lexer.next();
    match token.kind {
        Kind::Name(Word::Danger) => Sure,
        Kind::Name(
            word @ (Word::If | Word::Declare | Word::Exec | Word::Insert | Word::Update | Word::Drop),
        ) => read(lexer, word),
        _ => Absent,
    }
}

/// `if (1=1) select ...`, `if 1=1 waitfor ...`: a condition and a statement behind it.
fn branch(lexer: &mut Lexer<'_>) -> Statement {
    let mut compared = false;
    let mut depth = 0_usize;
    for _ in 0..CONDITION {
        match lexer.next().kind {
            Kind::Open => depth += 1,
            // A sentence: `if a == b, select one`.
            Kind::Comma if depth == 0 => return Absent,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Compare => compared = true,
            Kind::End | Kind::Semicolon | Kind::Other | Kind::OpenBrace => return Absent,
            Kind::Name(
                Word::Select
                | Word::Drop
                | Word::WaitFor
                | Word::Exec
                | Word::Shutdown
                | Word::Begin
                | Word::Insert
                | Word::Update,
            ) if depth <= 1 && compared => return Sure,
            Kind::Name(Word::Then) => {
                return sure(compared && name_is(lexer, |word| matches!(word, Word::Danger | Word::Select)));
            }
            _ => {}
        }
    }
    Absent
}

/// Tokens of a condition before its statement.
const CONDITION: usize = 64;

fn wait(lexer: &mut Lexer<'_>) -> Statement {
    sure(text_is(lexer, &[b"delay", b"time"]) && matches!(lexer.next().kind, Kind::Text | Kind::Variable))
}

fn set(lexer: &mut Lexer<'_>) -> Statement {
    sure(lexer.next().kind == Kind::Variable && matches!(lexer.next().kind, Kind::Compare | Kind::Assign))
}

fn show(lexer: &mut Lexer<'_>) -> Statement {
    if text_is(lexer, &[b"tables", b"databases", b"schemas", b"grants", b"variables"]) {
        return ended(lexer, Weak);
    }
    Absent
}

/// A procedure such as `xp_cmdshell 'dir'` or `dbms_lock.sleep(5)` as a statement of its own.
fn danger(lexer: &mut Lexer<'_>) -> Statement {
    let adjacent = lexer.byte() == Some(b'(');
    match lexer.next().kind {
        Kind::Open => sure(match lexer.next().kind {
            Kind::End | Kind::Close => false,
            // A word with its ending in parentheses: `sleep(ing)`.
            Kind::Name(Word::Plain) => adjacent && lexer.peek().kind != Kind::Close,
            _ => adjacent,
        }),
        Kind::Text => sure(
            !matches!(lexer.ending, Ending::Text(_))
                && matches!(lexer.next().kind, Kind::End | Kind::Comma | Kind::Semicolon),
        ),
        _ => Absent,
    }
}

fn sure(holds: bool) -> Statement {
    if holds { Sure } else { Absent }
}

fn named(lexer: &mut Lexer<'_>) -> bool {
    match lexer.next().kind {
        Kind::Name(Word::Determiner) => !matches!(lexer.peek().kind, Kind::Name(Word::Plain)),
        Kind::Name(_) | Kind::Variable => true,
        _ => false,
    }
}

fn name_is(lexer: &mut Lexer<'_>, test: impl Fn(Word) -> bool) -> bool {
    matches!(lexer.next().kind, Kind::Name(word) if test(word))
}

fn text_is(lexer: &mut Lexer<'_>, texts: &[&[u8]]) -> bool {
    let token = lexer.next();
    texts.iter().any(|text| lexer.text(token).eq_ignore_ascii_case(text))
}

/// `x = ...`.
fn assigned(lexer: &mut Lexer<'_>) -> bool {
    named(lexer) && lexer.next().kind == Kind::Compare
}

/// `outcome` if nothing but the end follows, and surely so before a comment or `;`.
fn ended(lexer: &mut Lexer<'_>, outcome: Statement) -> Statement {
    match lexer.next().kind {
        Kind::End => terminated(lexer, outcome),
        Kind::Semicolon => Sure,
        Kind::Name(Word::With) => sure(text_is(lexer, &[b"nowait"])),
        _ => Absent,
    }
}

fn terminated(lexer: &Lexer<'_>, outcome: Statement) -> Statement {
    if lexer.ending == Ending::Comment { Sure } else { outcome }
}

/// `cascade` and the like at the end of a statement that something ends.
fn terminated_next(lexer: &mut Lexer<'_>) -> Statement {
    match lexer.next().kind {
        Kind::Semicolon => Sure,
        Kind::End => terminated(lexer, Absent),
        _ => Absent,
    }
}

/// `grant x, y on z to w`.
fn grant(lexer: &mut Lexer<'_>) -> Statement {
    for _ in 0..6 {
        match lexer.next().kind {
            Kind::Name(Word::On) => {
                let object = matches!(lexer.next().kind, Kind::Name(_) | Kind::Star);
                return sure(object && (lexer.peek().kind == Kind::Dot || text_is(lexer, &[b"to", b"from"])));
            }
            Kind::Name(_) | Kind::Comma => {}
            _ => return Absent,
        }
    }
    Absent
}
