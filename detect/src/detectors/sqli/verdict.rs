//! From facts to a verdict: whether a value would alter the query it lands in.

use crate::detectors::sqli::facts::{Facts, Statement, Stop, Union};
use crate::detectors::sqli::lex::Lexer;
use crate::detectors::sqli::token::Ending;
use crate::scan::starts_with_ignore_case;

/// What a value that stands bare starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// Nothing: it starts with an operator or a clause.
    Absent,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A name, or any word of prose.
    Name,
    /// A call, a parenthesis, a variable, `null`.
    Hard,
}

/// Judges a value read where a number or an expression stands.
pub(super) fn bare(bytes: &[u8], facts: &Facts, lexer: &Lexer<'_>, prefix: Prefix) -> Option<&'static str> {
    let whole = facts.stop == Stop::Whole;
    let commented = lexer.ending == Ending::Comment;
    let strong = prefix != Prefix::Name;
    let lone = commented && lone_comment(bytes, lexer.ending_at);
    if let Some(detector) = queries(facts, lexer, prefix) {
        return Some(detector);
    }
    if facts.danger > 0 && (whole || facts.logic > 0 || facts.stacked > Statement::Absent) {
        return Some("SQLI-FUNCTION");
    }
    if facts.opening == Statement::Sure {
        return Some("SQLI-STATEMENT");
    }
    let joined = facts.logic > 0;
    let loose = u16::from(prefix != Prefix::Text);
    if joined && facts.hard > 0 && (whole || commented || strong) && facts.names <= loose {
        return Some("SQLI-TAUTOLOGY");
    }
    if joined && strong && commented && whole && (facts.constants + facts.half > 1 || facts.calls > 0) {
        return Some("SQLI-TAUTOLOGY");
    }
    if facts.clauses.conditions && facts.hard > 0 && whole {
        return Some("SQLI-CLAUSE");
    }
    if whole
        && strong
        && (facts.tested > 0 || facts.probes > 0 || (facts.grouped > 0 && facts.arithmetic > 0))
    {
        return Some("SQLI-FUNCTION");
    }
    let parted = bytes.trim_ascii_start().starts_with(b"(");
    if parted
        && whole
        && lone
        && (facts.variable
            || facts.functions > 0
            || (facts.prefixed && !facts.named)
            || (facts.names == 0 && (joined || facts.arithmetic > 0)))
    {
        return Some("SQLI-COMMENT");
    }
    if whole && strong && facts.cases > 0 && !facts.named {
        return Some("SQLI-FUNCTION");
    }
    if whole && prefix == Prefix::Hard && facts.hard > 0 && facts.functions > 1 && !facts.named {
        return Some("SQLI-COMPARISON");
    }
    if whole && joined && facts.same && matches!(prefix, Prefix::Absent | Prefix::Number) {
        return Some("SQLI-TAUTOLOGY");
    }
    if facts.clauses.limit && lone && prefix == Prefix::Absent {
        return Some("SQLI-CLAUSE");
    }
    let bound = facts.closes > 0 || prefix == Prefix::Number;
    if from_clause(facts, bound) {
        return Some("SQLI-CLAUSE");
    }
    if whole
        && commented
        && prefix == Prefix::Number
        && !facts.named
        && silent_comment(bytes, lexer.ending_at)
    {
        return Some("SQLI-COMMENT");
    }
    if joined && facts.functions > 0 && facts.variable && prefix == Prefix::Number {
        return Some("SQLI-FUNCTION");
    }
    if joined && facts.cut && prefix != Prefix::Name {
        return Some("SQLI-FUNCTION");
    }
    if whole && facts.casts > 0 && (facts.functions > 0 || prefix == Prefix::Text || facts.texts > 0) {
        return Some("SQLI-CAST");
    }
    if whole && prefix == Prefix::Text && facts.hard > 0 && lexer.ending == Ending::Text(b'\'') {
        return Some("SQLI-COMPARISON");
    }
    if whole && prefix == Prefix::Text && facts.hard > 0 && has_json_path(bytes) {
        return Some("SQLI-JSON");
    }
    if whole && joined && prefix == Prefix::Number && lexer.comments && facts.names == 0 {
        return Some("SQLI-TAUTOLOGY");
    }
    if whole && prefix == Prefix::Absent && joined && lone && facts.constants > 0 {
        return Some("SQLI-TAUTOLOGY");
    }
    if cut_open(facts, prefix) {
        return Some("SQLI-CUT");
    }
    if whole && prefix == Prefix::Absent && joined && facts.assigned && facts.closes > 0 {
        return Some("SQLI-TAUTOLOGY");
    }
    if facts.catalogue && is_catalogue(bytes) {
        return Some("SQLI-CATALOGUE");
    }
    let number = matches!(prefix, Prefix::Number | Prefix::Hard);
    if whole && number && joined && (facts.assigned || facts.calls > 0) && facts.names == 0 {
        return Some("SQLI-TAUTOLOGY");
    }
    if whole && facts.clauses.sorted_hard && (number || commented) {
        return Some("SQLI-CLAUSE");
    }
    None
}

/// Judges what follows a quote at `at` that ended the string a value stood in.
pub(super) fn quoted(bytes: &[u8], facts: &Facts, lexer: &Lexer<'_>, at: usize) -> Option<&'static str> {
    let quote = bytes.get(at).copied().unwrap_or_default();
    let whole = facts.stop == Stop::Whole;
    let commented = lexer.ending == Ending::Comment && facts.stop != Stop::Broken;
    let reopened = lexer.ending == Ending::Text(quote) && whole;
    let closed = commented || reopened;
    let argument = is_argument(bytes, at);
    let query = queries(facts, lexer, Prefix::Text);
    if let Some(detector) = query.filter(|detector| !argument || *detector != "SQLI-STACKED") {
        return Some(detector);
    }
    if facts.danger > 0 {
        return Some("SQLI-FUNCTION");
    }
    let joined = facts.logic > 0;
    let prose = prose_quote(bytes, at, lexer.ending_at);
    let plain = !bytes.get(..at).unwrap_or_default().contains(&b' ');
    let read = facts.stop != Stop::Broken || facts.union >= Union::Begun || facts.semicolons > 0;
    let hard = facts.hard > 0 && (read || facts.functions > 0);
    if joined && (hard || (facts.calls > 0 && whole) || facts.cut) {
        return Some("SQLI-TAUTOLOGY");
    }
    if joined && closed && !prose {
        // Searches join phrases in double quotes: `"war" and "peace"`.
        let escaped = at.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&b'\\');
        let texts = if quote == b'"' && !escaped { 0 } else { facts.texts };
        let terms = facts.half + facts.soft + facts.constants + facts.calls + texts + facts.names;
        if terms > 0 && (commented || facts.names == 0 || plain) {
            return Some("SQLI-TAUTOLOGY");
        }
    }
    if joined && whole && plain && facts.half > 0 {
        return Some("SQLI-TAUTOLOGY");
    }
    let compares = facts.hard + facts.half > 0;
    let lone = commented && lone_comment(bytes, lexer.ending_at);
    let single = quote == b'\'';
    let sums = facts.arithmetic > 0 && single && (reopened || lone);
    // A name compared with another, and a number sign: so do generated passwords.
    let guessed = facts.named && !facts.sensitive && facts.constants == 0 && facts.texts == 0;
    let hashed = bytes.get(lexer.ending_at) == Some(&b'#');
    let random = guessed && hashed && !joined && !bytes.contains(&b' ');
    if closed && !prose && !random && !character(bytes, at) && (sums || (compares && (single || lone))) {
        return Some("SQLI-COMPARISON");
    }
    if from_clause(facts, true) {
        return Some("SQLI-CLAUSE");
    }
    if joined && facts.open && (facts.open_hard || at == 0) {
        return Some("SQLI-CUT");
    }
    if joined && plain && facts.functions > 0 {
        return Some("SQLI-FUNCTION");
    }
    let clauses = facts.clauses;
    if clauses.conditions && compares {
        return Some("SQLI-CLAUSE");
    }
    if clauses.collate && closed {
        return Some("SQLI-CLAUSE");
    }
    if facts.tested > 0 && whole {
        return Some("SQLI-FUNCTION");
    }
    if whole
        && (clauses.sorted_hard || (clauses.limit && (commented || !prose)) || (clauses.sorted && commented))
    {
        return Some("SQLI-CLAUSE");
    }
    let stands = single || facts.stop != Stop::Due;
    if lone && stands && at < lexer.ending_at && !frames_dashes(bytes, at, lexer.ending_at) {
        return Some("SQLI-COMMENT");
    }
    None
}

/// Whether the quote at `at` begins an argument and ends nothing: `contains(name,'select')`, `query(a,"select b",1)`.
/// A statement that ends in a comment, calls or reads a variable is an attack that was made to look like one.
fn is_argument(bytes: &[u8], at: usize) -> bool {
    let opens = at.checked_sub(1).and_then(|at| bytes.get(at)).is_some_and(|byte| b",(".contains(byte));
    let Some((quote, rest)) = bytes.get(at..).and_then(<[u8]>::split_first).filter(|_| opens) else {
        return false;
    };
    let Some(length) = memchr::memchr(*quote, rest) else { return false };
    let (inside, behind) = rest.split_at(length);
    let closes = matches!(behind.get(1), Some(b')' | b','));
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" ,._<>=*".contains(byte);
    closes && starts_with_ignore_case(inside, b"select") && inside.iter().all(plain)
}

/// What is SQL wherever it stands: unions, selects, further statements, sub-selects, certain clauses.
fn queries(facts: &Facts, lexer: &Lexer<'_>, prefix: Prefix) -> Option<&'static str> {
    let whole = facts.stop == Stop::Whole;
    let commented = lexer.ending == Ending::Comment;
    let comments = lexer.comments || lexer.version_comment;
    let select = &facts.select;
    let unbroken = facts.stop != Stop::Broken;
    let certain = facts.catalogue || facts.danger > 0 || facts.functions > 0 || facts.variable;
    let listed = select.hard > 0 || select.items > 1 || facts.technical || facts.sensitive || commented;
    if facts.union >= Union::Select {
        // Nothing behind it, or nothing that a list of columns begins with.
        let due = facts.stop != Stop::Whole && select.items == 0 && !select.prose;
        let found = match prefix {
            Prefix::Number => !select.prose || certain,
            Prefix::Name => certain || (whole && select.hard > 0 && select.aliases == 0 && !select.prose),
            Prefix::Absent | Prefix::Text | Prefix::Hard => certain || due || (listed && !select.prose),
        };
        if found || (facts.union == Union::Exact && (listed || due)) || (comments && !select.prose) {
            return Some("SQLI-UNION");
        }
    }
    if facts.union == Union::Begun && prefix == Prefix::Number && comments && commented {
        return Some("SQLI-UNION");
    }
    if facts.stacked == Statement::Sure || (facts.stacked == Statement::Weak && prefix != Prefix::Name) {
        return Some("SQLI-STACKED");
    }
    if facts.clauses.file || facts.clauses.certain {
        return Some("SQLI-CLAUSE");
    }
    let read = select.tables > 0 && !select.prose;
    let body = select.hard > 0
        || select.items > 1
        || select.conditions > 0
        || facts.clauses.limit
        || facts.technical;
    if select.count > 0 && (facts.opening == Statement::Weak || select.stacked) {
        let tail = certain && (unbroken || select.items > 1 || facts.catalogue || facts.danger > 0);
        if tail || (unbroken && read && (body || commented || facts.sensitive)) {
            return Some("SQLI-STATEMENT");
        }
        if select.stacked && whole && (select.hard > 0 || prefix == Prefix::Text) && select.aliases == 0 {
            return Some("SQLI-STACKED");
        }
    }
    if select.nested > 0 {
        let strong = prefix != Prefix::Name;
        let parts = certain || (read && (body || (strong && !select.adjacent)));
        if parts
            || (whole && facts.cases > 0 && facts.hard > 0)
            || (strong && (facts.cases > 0 || (select.hard > 0 && !select.adjacent)))
        {
            return Some("SQLI-SUBSELECT");
        }
    }
    if facts.catalogue && select.count > 0 {
        return Some("SQLI-CATALOGUE");
    }
    None
}

/// Judges a select in parentheses that was read by itself.
pub(super) fn embedded(facts: &Facts) -> bool {
    let select = &facts.select;
    let runs = facts.functions > 0 || facts.danger > 0 || facts.catalogue || facts.variable;
    let compares = select.conditions > 0 && facts.hard > 0 && !facts.named;
    select.nested > 0 && !select.prose && (runs || (compares && select.aliases == 0))
}

/// Whether the rest of a query was read: `) from users where id=1`; `bound` if what stands before it fits.
fn from_clause(facts: &Facts, bound: bool) -> bool {
    let select = &facts.select;
    let fits = bound || facts.technical || facts.sensitive;
    let read = facts.stop != Stop::Broken && !select.prose && select.tables > 0;
    let cut = facts.closes > 0 && facts.stop == Stop::Due && select.tables == 0;
    let limited = fits && read && (select.conditions > 0 || facts.open);
    facts.clauses.tables && (facts.catalogue || cut || limited)
}

/// Whether the value is the name of a catalogue, for a query that takes its table from the client. Names that mean
/// something else as well (`all_users`) are not among them.
fn is_catalogue(bytes: &[u8]) -> bool {
    let name = bytes.trim_ascii();
    let starts = |known: &&[u8]| starts_with_ignore_case(name, known);
    CATALOGUES.iter().any(starts) && !name.iter().any(u8::is_ascii_whitespace)
}

const CATALOGUES: &[&[u8]] =
    &[b"information_schema", b"pg_catalog", b"sqlite_master", b"sysobjects", b"msdb"];

/// Whether the value is the first part of an expression that another parameter goes on with: `md5(`, `and 5=(`.
fn cut_open(facts: &Facts, prefix: Prefix) -> bool {
    let conditional = facts.logic > 0 || facts.clauses.conditions;
    match prefix {
        Prefix::Hard | Prefix::Name => {
            facts.open_call && facts.functions == 1 && facts.arithmetic == 0 && facts.logic == 0
        }
        Prefix::Absent => conditional && facts.open_hard,
        Prefix::Number | Prefix::Text => false,
    }
}

/// Whether the quote at `at` and the one at `next` set off words of prose: `say 'or' there`.
fn prose_quote(bytes: &[u8], at: usize, next: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    let inside = bytes.get(at + 1).copied().unwrap_or_default();
    let after = bytes.get(next + 1).copied();
    let outside = |byte: Option<u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    if before.is_none() {
        return inside.is_ascii_alphanumeric() && outside(after);
    }
    before == Some(b' ') && inside != b' ' && outside(after)
}

/// Whether the quote opens a character of a program or grammar: `split('&')`, `'*' stands for any`, `= '-';`.
fn character(bytes: &[u8], at: usize) -> bool {
    let signs = bytes.get(at + 1..).unwrap_or_default();
    let length =
        signs.iter().take(3).take_while(|byte| byte.is_ascii_punctuation() && **byte != b'\'').count();
    let behind = signs.get(length + 1..).unwrap_or_default();
    let word = matches!(behind, [b' ', letter, ..] if letter.is_ascii_alphabetic() || *letter == b'(');
    let code = matches!(behind, [b')' | b']' | b';' | b',', ..]);
    if (1..3).contains(&length) && bytes.get(at) == signs.get(length) && (word || code) {
        return true;
    }
    let before = at.checked_sub(2).and_then(|from| bytes.get(from..at));
    let call = matches!(before, Some([name, b'(']) if name.is_ascii_alphanumeric() || *name == b'_');
    let byte = matches!(before, Some([b'(' | b' ', b'b']));
    let quote = bytes.get(at);
    (call || byte) && bytes.get(at + 2) == quote && bytes.get(at + 3) == Some(&b')')
}

/// Whether the value holds a string that MySQL and SQLite take for a path into JSON: `'$.name'`.
fn has_json_path(bytes: &[u8]) -> bool {
    [&b"'$."[..], b"'$[", b"\"$.", b"\"$["].iter().any(|path| crate::scan::find(bytes, path).is_some())
}

/// Whether quotes of one kind frame a row of dashes or hashes that no value stands before, as drawings and lists of
/// signs do: `"--"`, `'##'`.
fn frames_dashes(bytes: &[u8], at: usize, comment: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    let quote = bytes.get(at).copied().unwrap_or_default();
    let text = bytes.get(comment..).unwrap_or_default();
    let mark = text.first().copied().unwrap_or_default();
    let row = text.iter().take_while(|byte| **byte == mark).count();
    let drawn = before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric());
    drawn && text.get(row) == Some(&quote)
}

/// Whether a comment opens at `at` that holds no word: `5 --`, `5 /*`.
fn silent_comment(bytes: &[u8], at: usize) -> bool {
    let text = bytes.get(at..).unwrap_or_default();
    let opens = text.starts_with(b"--") || text.starts_with(b"/*");
    // Markdown underlines a heading with dashes: `1.4\n---`.
    let before = at.checked_sub(1).and_then(|at| bytes.get(at));
    if text.starts_with(b"---") && before == Some(&b'\n') {
        return false;
    }
    opens && text.len() <= MARKS && !text.iter().any(u8::is_ascii_alphanumeric)
}

/// Whether the comment at `at` says nothing: what attackers write, while prose goes on.
fn lone_comment(bytes: &[u8], at: usize) -> bool {
    let text = bytes.get(at..).unwrap_or_default();
    let said = text.iter().filter(|byte| byte.is_ascii_alphanumeric() || **byte >= 0x80).count();
    said <= usize::from(text.starts_with(b"--")) && text.len() <= MARKS
}

/// The longest run of marks that still counts as a bare comment: `-- -`, `--+`, `/*`.
const MARKS: usize = 8;
