//! The words that mean something to a database, found by hash in a table built at compile time.

use crate::detectors::sqli::words::Word as W;

/// What a word does in the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Any other identifier.
    Plain,
    /// A quoted identifier.
    Quoted,
    /// A plain identifier of several parts, or with an underscore or digit: no word of prose.
    Technical,
    /// `and`, `or`, `xor`.
    Logic,
    /// `div`, `mod`.
    Arithmetic,
    /// `like` and its kin.
    Like,
    /// `sounds` (`like`).
    Sounds,
    Between,
    In,
    Is,
    /// `isnull`, `notnull`.
    IsNull,
    Not,
    /// `null`, `true`, `false`.
    Constant,
    /// Functions called without parentheses.
    Niladic,
    /// Words before an operand: `binary`, `exists`, `any`, ...
    Prefix,
    All,
    Distinct,
    Case,
    When,
    Then,
    Else,
    EndCase,
    /// `union`, `except`, `intersect`.
    Union,
    Select,
    From,
    Where,
    Group,
    Order,
    By,
    Having,
    Limit,
    Into,
    /// `outfile`, `dumpfile`.
    OutFile,
    Procedure,
    For,
    As,
    On,
    Using,
    Join,
    Set,
    Values,
    /// `asc`, `desc`.
    Direction,
    Collate,
    Escape,
    Top,
    With,
    Insert,
    Update,
    Delete,
    Drop,
    Create,
    Alter,
    Truncate,
    Exec,
    Declare,
    Shutdown,
    Merge,
    Grant,
    Copy,
    Load,
    Call,
    Do,
    Begin,
    If,
    WaitFor,
    Replace,
    Rename,
    Show,
    Prepare,
    Handler,
    Attach,
    Backup,
    Immediate,
    /// `table`, `database`, `view`, ...: what statements make and drop.
    Object,
    /// `the`, `your`, ...: a table or column of no database, but of prose.
    Determiner,
    /// A function that databases have.
    Function,
    /// A function that takes data apart or tells what the server is.
    Probe,
    /// A function that delays, reads, writes or runs.
    Danger,
    /// A catalogue of tables and columns.
    Catalogue,
    /// Names of columns and tables that attackers want.
    Sensitive,
}

/// The class of `name`, read without case.
pub(super) fn class(name: &[u8]) -> Word {
    let mut slot = slot(name);
    for _ in 0..PROBES {
        let Some(entry) = TABLE.get(slot) else { return W::Plain };
        let known = SOURCES
            .get(usize::from(entry.list))
            .and_then(|(word, text)| Some((word, text.as_bytes().get(entry.start as usize..)?)))
            .and_then(|(word, text)| Some((word, text.get(..usize::from(entry.len))?)));
        match known {
            Some((word, text)) if entry.len > 0 => {
                if text.eq_ignore_ascii_case(name) {
                    return *word;
                }
            }
            _ => return W::Plain,
        }
        slot = (slot + 1) % SLOTS;
    }
    W::Plain
}

/// Whether `word` is an operand by itself that is no name.
pub(super) fn is_constant(word: Word) -> bool {
    matches!(word, W::Constant | W::Niladic | W::Case | W::Not | W::Prefix)
}

#[derive(Clone, Copy)]
struct Entry {
    list: u8,
    len: u8,
    start: u16,
}

const SLOTS: usize = 4096;
/// The longest run of used slots a lookup walks; the table's builder fails to compile beyond it.
const PROBES: usize = 24;

const SOURCES: &[(Word, &str)] = &[
    (W::Logic, "and or xor"),
    (W::Arithmetic, "div mod"),
    (W::Like, "like ilike rlike regexp glob similar match"),
    (W::Sounds, "sounds"),
    (W::Between, "between"),
    (W::In, "in"),
    (W::Is, "is"),
    (W::IsNull, "isnull notnull"),
    (W::Not, "not"),
    (W::Constant, "null true false unknown"),
    (W::Niladic, include_str!("words/niladic.txt")),
    (W::Prefix, "binary any some exists prior row array unique interval"),
    (W::All, "all"),
    (W::Distinct, "distinct distinctrow"),
    (W::Case, "case"),
    (W::When, "when"),
    (W::Then, "then"),
    (W::Else, "else"),
    (W::EndCase, "end"),
    (W::Union, "union intersect except"),
    (W::Select, "select"),
    (W::From, "from"),
    (W::Where, "where"),
    (W::Group, "group"),
    (W::Order, "order"),
    (W::By, "by"),
    (W::Having, "having"),
    (W::Limit, "limit offset"),
    (W::Into, "into"),
    (W::OutFile, "outfile dumpfile"),
    (W::Procedure, "procedure"),
    (W::For, "for"),
    (W::As, "as"),
    (W::On, "on"),
    (W::Using, "using"),
    (W::Join, "join inner outer left right cross natural full straight_join"),
    (W::Set, "set"),
    (W::Values, "values"),
    (W::Direction, "asc desc"),
    (W::Collate, "collate"),
    (W::Escape, "escape uescape"),
    (W::Top, "top first skip"),
    (W::With, "with"),
    (W::Insert, "insert"),
    (W::Update, "update"),
    (W::Delete, "delete"),
    (W::Drop, "drop"),
    (W::Create, "create"),
    (W::Alter, "alter"),
    (W::Truncate, "truncate"),
    (W::Exec, "exec execute"),
    (W::Declare, "declare"),
    (W::Shutdown, "shutdown"),
    (W::Merge, "merge"),
    (W::Grant, "grant revoke"),
    (W::Copy, "copy"),
    (W::Load, "load"),
    (W::Call, "call"),
    (W::Do, "do"),
    (W::Begin, "begin"),
    (W::If, "if while"),
    (W::WaitFor, "waitfor"),
    (W::Replace, "replace"),
    (W::Rename, "rename"),
    (W::Show, "show"),
    (W::Prepare, "prepare"),
    (W::Handler, "handler"),
    (W::Attach, "attach"),
    (W::Backup, "backup"),
    (W::Immediate, "immediate"),
    (
        W::Object,
        "table database view index function trigger user login schema column sequence role proc tablespace assembly",
    ),
    (W::Determiner, include_str!("words/determiners.txt")),
    (W::Danger, include_str!("words/danger.txt")),
    (W::Catalogue, include_str!("words/catalogues.txt")),
    (
        W::Probe,
        "ascii ord substr substring mid hex unhex version database group_concat concat_ws chr char user charset unicode ordinal length xmltype nchar",
    ),
    (W::Function, include_str!("words/functions.txt")),
    (W::Sensitive, include_str!("words/sensitive.txt")),
];

const TABLE: [Entry; SLOTS] = build();

const fn slot(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 15)) as usize % SLOTS
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "runs at compile time only: a list of 65,536 bytes or 256 lists would be a compile error below"
)]
const fn build() -> [Entry; SLOTS] {
    let mut table = [Entry { list: 0, len: 0, start: 0 }; SLOTS];
    assert!(SOURCES.len() < 256);
    let mut list = 0;
    while list < SOURCES.len() {
        let text = SOURCES[list].1.as_bytes();
        assert!(text.len() < 65_536);
        let mut at = 0;
        while at < text.len() {
            if text[at].is_ascii_whitespace() {
                at += 1;
                continue;
            }
            let start = at;
            while at < text.len() && !text[at].is_ascii_whitespace() {
                at += 1;
            }
            let (_, rest) = text.split_at(start);
            let (name, _) = rest.split_at(at - start);
            let mut slot = slot(name);
            let mut probes = 1;
            while table[slot].len > 0 {
                slot = (slot + 1) % SLOTS;
                probes += 1;
                assert!(probes < PROBES);
            }
            table[slot] = Entry { list: list as u8, len: name.len() as u8, start: start as u16 };
        }
        list += 1;
    }
    table
}
