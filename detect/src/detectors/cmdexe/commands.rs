//! The commands that a shell would find.

use std::cmp::Ordering;

use crate::lists::{self, Shapes};

const TEXT: &str = include_str!("commands.txt");
const COMMANDS: [&str; lists::count(TEXT)] = lists::lines(TEXT);
const NAMES: [&str; COMMANDS.len()] = lists::heads(&COMMANDS, b' ');
static SHAPES: Shapes = Shapes::of(&NAMES);

/// How much a word says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// An English word or a product's name as well.
    English,
    /// Short, or a product's name as well, but mostly a command.
    Short,
    /// Nothing but a command.
    Sure,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    pub(crate) class: Class,
    kinds: &'static str,
    subcommands: &'static str,
}

/// What a command's arguments can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Network,
    Number,
    Words,
    Code,
    Windows,
    Field,
}

impl Command {
    /// A shell named by a variable.
    pub(crate) const SHELL: Self = Self { class: Class::Sure, kinds: "xw", subcommands: "" };
    /// A program that is not in the table, named by its path.
    pub(crate) const UNKNOWN: Self = Self { class: Class::English, kinds: "-", subcommands: "" };

    pub(crate) fn is(&self, kind: Kind) -> bool {
        let letter = match kind {
            Kind::Network => 'n',
            Kind::Number => 't',
            Kind::Words => 'p',
            Kind::Code => 'x',
            Kind::Windows => 'w',
            Kind::Field => 'k',
        };
        self.kinds.contains(letter)
    }

    /// Whether `word` is one of its sub-commands.
    pub(crate) fn has_subcommand(&self, word: &[u8]) -> bool {
        self.subcommands
            .split(',')
            .any(|known| !known.is_empty() && word.eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// Looks up a command by its name; names of Unix commands count in lower case only.
pub(crate) fn look_up(name: &[u8]) -> Option<Command> {
    let stem = match name.len().checked_sub(4).and_then(|at| name.split_at_checked(at)) {
        Some((stem, end)) if end.eq_ignore_ascii_case(b".exe") => stem,
        _ => name,
    };
    let row =
        if SHAPES.may_hold(stem) { NAMES.binary_search_by(|known| compare(known, stem)).ok() } else { None };
    let Some(row) = row else {
        return is_cmdlet(stem).then_some(Command { class: Class::Sure, kinds: "w", subcommands: "" });
    };
    let mut parts = COMMANDS.get(row)?.split(' ').skip(1);
    let class = match parts.next()? {
        "u" => Class::Sure,
        "s" => Class::Short,
        _ => Class::English,
    };
    let command = Command { class, kinds: parts.next()?, subcommands: parts.next().unwrap_or_default() };
    let exact = !stem.iter().any(u8::is_ascii_uppercase);
    (exact || command.is(Kind::Windows)).then_some(command)
}

/// Whether `name` is formed as PowerShell's cmdlets are: an approved verb and a noun with a capital letter.
fn is_cmdlet(name: &[u8]) -> bool {
    const VERBS: &[&[u8]] = &[
        b"add",
        b"clear",
        b"convertto",
        b"convertfrom",
        b"copy",
        b"disable",
        b"enable",
        b"enter",
        b"export",
        b"find",
        b"format",
        b"get",
        b"import",
        b"install",
        b"invoke",
        b"move",
        b"new",
        b"out",
        b"read",
        b"register",
        b"remove",
        b"rename",
        b"reset",
        b"restart",
        b"resume",
        b"save",
        b"select",
        b"send",
        b"set",
        b"start",
        b"stop",
        b"suspend",
        b"test",
        b"uninstall",
        b"unregister",
        b"update",
        b"wait",
        b"write",
    ];
    let Some(dash) = name.iter().position(|&byte| byte == b'-') else { return false };
    let (verb, noun) = (name.get(..dash).unwrap_or_default(), name.get(dash + 1..).unwrap_or_default());
    noun.len() >= 4
        && noun.first().is_some_and(u8::is_ascii_uppercase)
        && noun.iter().all(u8::is_ascii_alphabetic)
        && noun.iter().any(u8::is_ascii_lowercase)
        && VERBS.iter().any(|known| verb.eq_ignore_ascii_case(known))
}

/// Whether `pattern`, a glob, matches the name of a command.
pub(crate) fn matches_any(pattern: &[u8]) -> bool {
    NAMES.iter().any(|name| glob(pattern, name.as_bytes()))
}

/// Whether the shell's glob `pattern` matches `name`; `[...]` stands for any one character.
pub(crate) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() || p < pattern.len() {
        match (pattern.get(p), name.get(n)) {
            (Some(b'*'), _) => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            (Some(b'?'), Some(byte)) if *byte != b'/' => {
                p += 1;
                n += 1;
                continue;
            }
            (Some(b'['), Some(_)) => {
                let close = pattern.get(p..).unwrap_or_default().iter().position(|&byte| byte == b']');
                p += close.map_or(1, |close| close + 1);
                n += 1;
                continue;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match star {
            // No glob reaches into another folder.
            Some((at, from)) if name.get(from).is_some_and(|byte| *byte != b'/') => {
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
            _ => return false,
        }
    }
    true
}

fn compare(known: &str, wanted: &[u8]) -> Ordering {
    known.bytes().cmp(wanted.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_well_formed() {
        assert!(NAMES.is_sorted_by(|a, b| a < b));
        for row in COMMANDS {
            let parts: Vec<&str> = row.split(' ').collect();
            assert!(matches!(parts.len(), 3 | 4), "{row}");
            assert!(["u", "s", "e"].contains(&parts[1]), "{row}");
            assert!(parts[2].chars().all(|kind| "fntpxwk-".contains(kind)), "{row}");
        }
    }

    #[test]
    fn case_counts_on_unix_only() {
        assert!(look_up(b"cat").is_some());
        assert!(look_up(b"CAT").is_none());
        assert!(look_up(b"IpConfig.EXE").is_some());
    }

    #[test]
    fn globs_match_as_a_shell_would() {
        for (pattern, name) in [("c?t", "cat"), ("b??h", "bash"), ("*sh", "bash"), ("p[a]s*", "passwd")] {
            assert!(glob(pattern.as_bytes(), name.as_bytes()), "{pattern}");
        }
        for (pattern, name) in [
            ("c?t", "cart"),
            ("b?h", "bash"),
            ("x*", "bash"),
            ("", "a"),
            ("/*", "/etc/passwd"),
            ("/???", "/a/b"),
        ] {
            assert!(!glob(pattern.as_bytes(), name.as_bytes()), "{pattern}");
        }
    }
}
