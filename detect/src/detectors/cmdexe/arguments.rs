//! Weighs what follows a command word: flags, paths, addresses and redirections, or the words of a sentence.

use super::commands::{Class, Command, Kind};
use crate::scan::starts_with_ignore_case;

/// How many arguments and bytes are looked at.
const MOST: usize = 6;
const REACH: usize = 256;

/// What the arguments say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arguments {
    /// For a command.
    pub(crate) score: i32,
    /// Whether one of them has no business in a value that is no command.
    pub(crate) strong: bool,
    /// How many there are.
    pub(crate) count: usize,
    /// Whether the first is a flag.
    pub(crate) flag: bool,
    /// Whether a word of a sentence is among them.
    pub(crate) sentence: bool,
    /// Words of a sentence before anything else.
    pub(crate) plain: i32,
    /// Where the command ends.
    pub(crate) end: usize,
}

/// Reads the arguments of `command`, which ends at `at`; `brace` says that commas separate them.
pub(crate) fn read(bytes: &[u8], at: usize, command: Command, brace: bool) -> Arguments {
    let mut found = Arguments { end: at, ..Arguments::default() };
    let limit = bytes.len().min(at.saturating_add(REACH));
    while found.count < MOST {
        let start = skip_space(bytes, found.end, brace);
        let rest = bytes.get(start..limit).unwrap_or_default();
        let Some(&first) = rest.first() else {
            found.end = start.min(bytes.len());
            break;
        };
        if matches!(first, b';' | b'|' | b'&' | b'\n' | b'\r' | 0 | b')' | b'`') || (brace && first == b'}') {
            found.end = start;
            break;
        }
        let len = argument_len(rest, brace).max(1);
        let argument = rest.get(..len).unwrap_or_default();
        found.end = start + len;
        found.count += 1;
        weigh(&mut found, argument, command);
    }
    found.score = found.score.min(6);
    found
}

fn weigh(found: &mut Arguments, argument: &[u8], command: Command) {
    let shape = Shape::of(argument, command);
    found.sentence |= shape == Shape::Plain;
    found.flag |= found.count == 1 && matches!(shape, Shape::Flag | Shape::Code);
    let (score, strong) = match shape {
        Shape::Code => (3, true),
        Shape::SystemPath | Shape::Substitution => (4, true),
        Shape::Redirection => (2, false),
        Shape::Url => (if command.is(Kind::Network) { 2 } else { 1 }, command.is(Kind::Network)),
        Shape::Hidden => (3, true),
        Shape::Variable => (2, false),
        Shape::Subcommand | Shape::Flag => (2, false),
        Shape::Path | Shape::Address | Shape::Pattern => (1, false),
        Shape::Number => (i32::from(command.is(Kind::Number)), false),
        Shape::Plain => {
            if found.score == 0 && !command.is(Kind::Words) {
                found.plain += 1;
            }
            (0, false)
        }
        Shape::Other => {
            found.plain += i32::from(found.score == 0 && command.class == Class::English);
            (0, false)
        }
    };
    // After words of a sentence only what no sentence has counts.
    let score = if found.plain > 0 && !strong && command.class == Class::English { 0 } else { score };
    found.score += score;
    found.strong |= strong;
}

/// What an argument looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A flag that code follows: `-c`, `-e`, `/c`.
    Code,
    Flag,
    /// A path below a root that a server has.
    SystemPath,
    /// Any other path.
    Path,
    Url,
    /// A host or an IP address.
    Address,
    Substitution,
    Variable,
    Redirection,
    /// A path with a glob, a quote or an escape within.
    Hidden,
    /// A glob.
    Pattern,
    Number,
    Subcommand,
    /// A word of a sentence.
    Plain,
    Other,
}

impl Shape {
    fn of(argument: &[u8], command: Command) -> Self {
        let bare = argument.strip_prefix(b"\"").or(argument.strip_prefix(b"'")).unwrap_or(argument);
        let bare = bare.strip_suffix(b"\"").or(bare.strip_suffix(b"'")).unwrap_or(bare);
        match argument {
            [b'<' | b'>', ..] | [b'0'..=b'2', b'>', ..] => return redirection(argument),
            [b'$', b'(' | b'\'', ..] | [b'`', ..] => return Self::Substitution,
            [b'$', b'{', ..] => return Self::Variable,
            [b'$', next, ..] if next.is_ascii_alphabetic() || matches!(next, b'_' | b'@' | b'*') => {
                return Self::Variable;
            }
            [b'%', rest @ ..] if rest.contains(&b'%') => return Self::Variable,
            [b'-', b'-', next, ..] if next.is_ascii_alphabetic() => return Self::Flag,
            [b'-', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                return Self::Number;
            }
            [b'-', next, rest @ ..] if next.is_ascii_alphanumeric() => {
                return dash_flag(*next, rest, command);
            }
            [b'/', flag, ..] if command.is(Kind::Windows) && argument.len() <= 3 => {
                let runs = matches!(flag.to_ascii_lowercase(), b'c' | b'k' | b'r') && command.is(Kind::Code);
                return if runs { Self::Code } else { Self::Flag };
            }
            _ => {}
        }
        if command.has_subcommand(bare) {
            return Self::Subcommand;
        }
        if command.has_subcommand(b"=") && bare.iter().skip(1).any(|&byte| byte == b'=') {
            return Self::Code;
        }
        if let Some(path) = path(bare) {
            return path;
        }
        words(bare, command)
    }
}

fn redirection(argument: &[u8]) -> Shape {
    let operator =
        argument.iter().take_while(|byte| matches!(byte, b'<' | b'>' | b'&' | b'0'..=b'2')).count();
    match path(argument.get(operator..).unwrap_or_default()) {
        Some(Shape::SystemPath) => Shape::SystemPath,
        _ => Shape::Redirection,
    }
}

fn dash_flag(first: u8, rest: &[u8], command: Command) -> Shape {
    if command.is(Kind::Code) {
        let long =
            command.is(Kind::Windows) && matches!(first.to_ascii_lowercase(), b'e' | b'c' | b'n' | b'w');
        if long || (matches!(first, b'c' | b'e' | b'r' | b'i' | b'E') && rest.is_empty()) {
            return Shape::Code;
        }
    }
    let flag = rest.len() <= 12
        && rest.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'='));
    if flag { Shape::Flag } else { Shape::Other }
}

/// Folders under the root of a Unix system.
const ROOTS: &[&[u8]] = &[
    b"/etc",
    b"/bin",
    b"/usr",
    b"/var",
    b"/tmp",
    b"/dev",
    b"/proc",
    b"/root",
    b"/home",
    b"/opt",
    b"/sys",
    b"/sbin",
    b"/lib",
    b"/mnt",
    b"/srv",
    b"/boot",
    b"/run",
    b"/private",
];

fn path(bare: &[u8]) -> Option<Shape> {
    let slash = bare.iter().any(|&byte| matches!(byte, b'/' | b'\\'));
    if !slash {
        return None;
    }
    let masked = |byte: &u8| matches!(byte, b'?' | b'*' | b'[' | b'\'' | b'"' | b'\\' | b'$' | b'{');
    match bare {
        [b'/', rest @ ..] if !rest.starts_with(b"/") => {
            let known = ROOTS.iter().any(|root| {
                bare.strip_prefix(*root)
                    .is_some_and(|rest| rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric()))
            });
            if known {
                return Some(Shape::SystemPath);
            }
            let deep = rest.contains(&b'/');
            Some(if deep && rest.iter().any(masked) { Shape::Hidden } else { Shape::Path })
        }
        [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic() => Some(Shape::SystemPath),
        [b'~' | b'.', b'/' | b'\\', ..] => Some(Shape::Path),
        [b'.', b'.', b'/' | b'\\', ..] => Some(Shape::SystemPath),
        [b'\\', b'\\', ..] => Some(Shape::Path),
        _ if bare.windows(3).any(|three| three == b"://") => Some(Shape::Url),
        _ if bare.starts_with(b"etc/") || bare.windows(4).any(|four| four == b"/etc") => {
            Some(Shape::SystemPath)
        }
        _ => None,
    }
}

fn words(bare: &[u8], command: Command) -> Shape {
    let number = bare.iter().all(u8::is_ascii_digit) && !bare.is_empty();
    if number {
        return Shape::Number;
    }
    if is_address(bare) {
        return Shape::Address;
    }
    if command.is(Kind::Network)
        && (starts_with_ignore_case(bare, b"www.") || starts_with_ignore_case(bare, b"localhost"))
    {
        return Shape::Address;
    }
    if bare.contains(&b'*')
        && bare.len() <= 12
        && bare.iter().any(|&byte| byte == b'.' || byte == b'*')
        && bare.len() > 1
    {
        return Shape::Pattern;
    }
    let letters = bare.iter().all(|&byte| {
        byte.is_ascii_alphabetic()
            || matches!(byte, b'\'' | b',' | b'.' | b'-' | b'?' | b'!' | b':')
            || byte >= 0x80
    });
    if letters && !bare.is_empty() { Shape::Plain } else { Shape::Other }
}

/// An IPv4 address, a port behind it or not, or a host name with a top-level domain.
fn is_address(bare: &[u8]) -> bool {
    let host = bare.split(|&byte| matches!(byte, b'/' | b':')).next().unwrap_or(bare);
    let mut labels = 0;
    for label in host.split(|&byte| byte == b'.') {
        if label.is_empty() || !label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return false;
        }
        labels += 1;
    }
    let numeric = host.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.');
    if numeric { labels == 4 } else { labels >= 2 && host.len() >= 5 }
}

fn skip_space(bytes: &[u8], mut at: usize, brace: bool) -> usize {
    while let Some(rest) = bytes.get(at..) {
        let step = match rest {
            [b' ' | b'\t' | b'+' | 0x0b | 0x0c, ..] => 1,
            [b',', ..] if brace => 1,
            [b'$', b'I', b'F', b'S', b'$', b'0'..=b'9', ..] => 6,
            [b'$', b'I', b'F', b'S', ..] => 4,
            [b'$', b'{', b'I', b'F', b'S', ..] => {
                rest.iter().take(24).position(|&byte| byte == b'}').map_or(0, |at| at + 1)
            }
            [b'\\', b'\n', ..] => 2,
            _ => 0,
        };
        if step == 0 {
            break;
        }
        at += step;
    }
    at
}

/// The length of the argument at the start of `rest`: to the next white space or operator outside quotes.
fn argument_len(rest: &[u8], brace: bool) -> usize {
    let mut quote = None;
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None => match byte {
                b'\'' | b'"' if rest.get(at + 1..).is_some_and(|tail| tail.contains(&byte)) => {
                    quote = Some(byte);
                }
                b' ' | b'\t' | b'\n' | b'\r' | b';' | b'|' | 0 => break,
                b'&' if at == 0 || !matches!(rest.get(at - 1), Some(b'>' | b'<')) => break,
                b'`' | b')' if at > 0 => break,
                b',' | b'}' if brace => break,
                b'$' if at > 0
                    && rest
                        .get(at..)
                        .is_some_and(|tail| tail.starts_with(b"$IFS") || tail.starts_with(b"${IFS")) =>
                {
                    break;
                }
                _ => {}
            },
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::commands::look_up;
    use super::*;

    fn weighed(command: &str, arguments: &str) -> Arguments {
        read(arguments.as_bytes(), 0, look_up(command.as_bytes()).unwrap(), false)
    }

    #[test]
    fn shapes_of_commands_score() {
        for (command, arguments) in [
            ("cat", " /etc/passwd"),
            ("python", " -c 'print(1)'"),
            ("wget", " http://host.example/x"),
            ("cat", "${IFS}/etc/hosts"),
            ("powershell", " -enc SQBFAFgA"),
            ("cat", " /e?c/pa*"),
            ("cmd", " /c dir"),
        ] {
            let found = weighed(command, arguments);
            assert!(found.strong && found.score >= 2, "{command}{arguments}: {found:?}");
        }
    }

    #[test]
    fn sentences_do_not() {
        for (command, arguments) in
            [("more", " info here"), ("find", " out why"), ("cat", " and dog - friends")]
        {
            let found = weighed(command, arguments);
            assert!(found.score == 0 && found.plain > 0, "{command}{arguments}: {found:?}");
        }
    }
}
