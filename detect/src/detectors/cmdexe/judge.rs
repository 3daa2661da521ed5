//! Adds up what speaks for a command at one place.

use super::arguments::{self, Arguments};
use super::commands::{self, Class, Command, Kind};
use super::context::{Context, Contexts, Opening, Place, Separator};
use super::word::{self, Word};
use crate::budget::Steps;

/// What a place, a word and its arguments must reach together.
const ENOUGH: i32 = 5;
/// The same where no separator stands, and the arguments alone must prove it.
const ENOUGH_ALONE: i32 = 4;
/// What matching a glob against all commands costs.
const GLOB_STEPS: usize = 5_000;

/// Words before which a command stands again: keywords and programs that run another.
const RUNNERS: &[&[u8]] = &[
    b"sudo",
    b"doas",
    b"nohup",
    b"time",
    b"exec",
    b"env",
    b"command",
    b"builtin",
    b"nice",
    b"setsid",
    b"xargs",
    b"strace",
    b"ltrace",
    b"then",
    b"do",
    b"else",
    b"elif",
    b"if",
    b"while",
    b"until",
    b"eval",
    b"busybox",
    b"!",
    b".shell",
    b".system",
    b"start",
    b"call",
    b"timeout",
    b"stdbuf",
    b"unbuffer",
    b"watch",
    b"cpulimit",
    b"ionice",
    b"taskset",
    b"choom",
    b"chrt",
];

/// Says where the command at `place` ends, if there is one; `contexts` knows what stands before it.
pub(crate) fn command(
    bytes: &[u8],
    place: &Place,
    contexts: &mut Contexts<'_>,
    steps: &mut Steps,
) -> Option<usize> {
    let mut at = place.at;
    let mut weigh = |word: &Word, driven, steps: &mut Steps| {
        let resolved = resolve(word, steps)?;
        weigh(bytes, &contexts.before(place), word, resolved, driven)
    };
    let mut runner = None;
    let mut hidden = false;
    let mut driven = Driven::default();
    for _ in 0..WORDS {
        at = skip(bytes, at);
        let mut word = word::read(bytes, at, steps)?;
        if word.text().is_empty() && !word.shell {
            // An empty expansion is no word: the next one is.
            hidden = true;
            at = word.end;
            continue;
        }
        word.hidden |= hidden;
        if runner.is_some() && is_option(word.text()) {
            driven.options = true;
            at = word.end;
            continue;
        }
        if is_assignment(word.text()) {
            at = word.end;
            continue;
        }
        if RUNNERS.contains(&word.text()) && runner.is_none_or(|(_, count)| count < 2) {
            let count = runner.map_or(1, |(_, count)| count + 1);
            runner = Some((word, count));
            at = word.end;
            if weigh(&word, Driven::default(), steps).is_some_and(|verdict| verdict.fires) {
                break;
            }
            continue;
        }
        driven.runner = runner.is_some();
        let verdict = weigh(&word, driven, steps)?;
        return verdict.fires.then_some(verdict.end);
    }
    let (word, _) = runner?;
    let verdict = weigh(&word, Driven::default(), steps)?;
    verdict.fires.then_some(verdict.end)
}

/// What stands before a command that another program runs.
#[derive(Clone, Copy, Debug, Default)]
struct Driven {
    /// The program that runs it.
    runner: bool,
    /// That program's own options.
    options: bool,
}

struct Verdict {
    fires: bool,
    end: usize,
}

fn weigh(
    bytes: &[u8],
    context: &Context,
    word: &Word,
    (command, path): (Command, i32),
    driven: Driven,
) -> Option<Verdict> {
    let next = bytes.get(word.end).copied();
    let call = next == Some(b'(');
    let windows = command.is(Kind::Windows) && command.class == Class::Sure;
    if (call && !windows) || closes_element(bytes, word.end) || groups(bytes, word.end) && !windows {
        return None;
    }
    // The dot that reads a file is punctuation everywhere else.
    if word.split_path().1 == b"." && (word.text() != b"." || !names_file(bytes, word.end)) {
        return None;
    }
    let arguments = arguments::read(bytes, word.end, command, word.brace);
    let bare = arguments.count == 0;
    let class = match command.class {
        Class::Short if bare && command.is(Kind::Field) && context.names => Class::English,
        class => class,
    };
    let mut score = i32::from(driven.runner) + i32::from(driven.options) + path + arguments.score
        - arguments.plain.min(2);
    score += match class {
        Class::Sure => 3,
        Class::Short => 2,
        Class::English => 1,
    };
    score += if word.hidden { 2 } else { 0 };
    score += if call { 2 } else { 0 };
    let strong = arguments.strong
        || word.hidden
        || word.spaced
        || word.glob
        || call
        || (driven.options && class > Class::English && !arguments.sentence)
        || (context.opening == Opening::Start && alone(bytes, class, command, &arguments));
    let fires = match context.opening {
        Opening::Start if bare && class == Class::Sure => strong,
        Opening::Start => strong && score >= ENOUGH_ALONE,
        // A command on a later line of a text is a transcript; behind the first line it may be an injection.
        Opening::Line if !context.leading => {
            strong && context.lines == 0 && !context.prose && score >= ENOUGH_ALONE
        }
        Opening::Line if !tight(bytes, context) => strong && score >= ENOUGH_ALONE,
        _ => {
            let confirmed = !bare || ends_alone(bytes, context, class, arguments.end);
            let ended = class > Class::English && ends_statement(bytes, context, arguments.end);
            // Right behind a separator that begins the value a word is no word of a sentence.
            let remote = class == Class::English && command.is(Kind::Network) && !bare;
            let begins = context.leading && tight(bytes, context) && (class > Class::English || remote);
            let spared = if begins { arguments.plain.min(2) + i32::from(remote) } else { 0 };
            let score = score + spared + i32::from(ended);
            confirmed && score + place(bytes, context, command, bare) >= ENOUGH
        }
    };
    Some(Verdict { fires, end: arguments.end.max(word.end) })
}

/// Whether one blank and the name of a file follow.
fn names_file(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((b' ' | b'\t', name)) = rest.split_first() else { return false };
    let length = name.iter().take_while(|byte| byte.is_ascii_graphic()).count();
    name.get(..length).unwrap_or_default().iter().any(u8::is_ascii_alphanumeric)
}

/// Whether an end tag stands here, which a redirection does not look like: `cut; paste</p>`.
fn closes_element(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let name = rest.strip_prefix(b"</").unwrap_or_default();
    let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    length > 0 && name.get(length) == Some(&b'>')
}

/// Whether a parenthesis follows white space, which no shell takes behind a command: `name (>= 1.2)`.
fn groups(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.first() == Some(&b' ') && rest.trim_ascii_start().first() == Some(&b'(')
}

/// Whether a short value that begins with a command is nothing else: `netstat -an`, `ls -la`, `whoami;...`.
fn alone(bytes: &[u8], class: Class, command: Command, arguments: &Arguments) -> bool {
    // `word; name=value` is also what headers are made of.
    let operator = match bytes.get(arguments.end..) {
        Some([b';', next, ..]) => {
            next.is_ascii_alphanumeric()
                && !bytes.get(arguments.end..).is_some_and(|rest| rest.contains(&b'='))
        }
        Some([b'|' | b'&', ..]) => true,
        _ => false,
    };
    let sentence = arguments.sentence || bytes.len() > 96;
    match class {
        Class::Sure if arguments.count == 0 => operator,
        Class::Sure => !sentence && arguments.score > 0,
        Class::Short => !sentence && arguments.flag && !command.is(Kind::Field),
        Class::English => false,
    }
}

/// How much the place itself says.
fn place(bytes: &[u8], context: &Context, command: Command, bare: bool) -> i32 {
    let tight = tight(bytes, context);
    let base = match context.opening {
        Opening::Start => 0,
        Opening::Line => 2,
        Opening::Substitution => 3,
        Opening::BackTick { close } => return tick(bytes, context, close, bare),
        Opening::Separator(Separator::Pipe) if command.is(Kind::Code) => 3,
        Opening::Separator(Separator::Semicolon | Separator::And | Separator::Or) => {
            2 + i32::from(context.leading)
        }
        Opening::Separator(Separator::Pipe | Separator::Ampersand) => 1 + 2 * i32::from(context.leading),
        Opening::Separator(Separator::Process) => 2,
    };
    let semicolon = context.opening == Opening::Separator(Separator::Semicolon);
    let listed = context.names && bare && (command.is(Kind::Field) || command.class == Class::English);
    let close = tight && semicolon && !context.leading && !context.prose && !listed;
    let sure = command.class == Class::Sure && tight && !context.prose;
    let alone = bare
        && (sure || context.leading || context.breakout || close || context.opening == Opening::Substitution);
    base + i32::from(close) + i32::from(context.breakout) + i32::from(alone) - i32::from(context.prose)
}

/// How far behind code the text of a link ends.
const LINK: usize = 128;

/// Back-ticks are also Markdown's and SQL's: what counts is what they are attached to.
fn tick(bytes: &[u8], context: &Context, close: usize, bare: bool) -> i32 {
    if context.leading && context.words_end <= close + 1 {
        return 4;
    }
    let before = context.from.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
    // The text of a link in Markdown.
    let after = bytes.get(close..).unwrap_or_default();
    let after = after.get(..LINK).unwrap_or(after);
    let linked = before == b'[' && crate::scan::find(after, b"](").is_some();
    if before.is_ascii_whitespace() || linked {
        // Inline code, all the more in a sentence, unless what stands before is a number or an address.
        return match context.prose {
            true => -4,
            false if context.breakout || context.leading => 2,
            false => -2,
        };
    }
    match (before, bare) {
        (b'(' | b',' | b'.', true) => 1,
        (_, true) => 3,
        (_, false) => 4,
    }
}

/// Whether a word without arguments stands alone in a way that a list or a sentence would not have it.
fn ends_alone(bytes: &[u8], context: &Context, class: Class, end: usize) -> bool {
    let tight = tight(bytes, context);
    let nested = matches!(context.opening, Opening::Substitution | Opening::BackTick { .. });
    let lone = context.words_end <= end;
    match class {
        Class::Sure | Class::Short => true,
        Class::English => nested || (lone && tight && (context.leading || context.breakout)),
    }
}

/// Whether the value ends in the separator behind its only command, as no list does: `x;env;`.
fn ends_statement(bytes: &[u8], context: &Context, end: usize) -> bool {
    let head = bytes.get(..context.from).unwrap_or_default();
    let single = !head.iter().any(|byte| matches!(byte, b';' | b'|' | b'&' | b'\n' | b' '));
    let rest = bytes.get(end..).unwrap_or_default();
    single && tight(bytes, context) && matches!(rest.trim_ascii(), [b';' | b'|' | b'&' | b'#'])
}

/// Whether the command follows its opening at once, as nobody writes in a sentence.
fn tight(bytes: &[u8], context: &Context) -> bool {
    bytes.get(context.at).is_some_and(|byte| !byte.is_ascii_whitespace() && *byte != b'+')
}

/// Looks the word up, with its path: how much the path adds.
fn resolve(word: &Word, steps: &mut Steps) -> Option<(Command, i32)> {
    if word.shell {
        return Some((Command::SHELL, 0));
    }
    let (folder, name) = word.split_path();
    let binaries = is_binary_folder(folder, word.glob);
    if word.glob {
        let letters = name.iter().any(u8::is_ascii_alphabetic);
        let literal = word.text().iter().any(u8::is_ascii_alphabetic);
        if literal
            && ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts"]
                .iter()
                .any(|file| word.text().starts_with(b"/") && commands::glob(word.text(), file.as_bytes()))
        {
            return Some((Command::SHELL, 2));
        }
        let plausible = binaries && letters && name.len() >= 2;
        let hit = plausible && steps.take(GLOB_STEPS) && commands::matches_any(name);
        return hit.then_some((Command::SHELL, 2));
    }
    let known = match name.split_last() {
        // Many systems have `python3.11` and its like.
        Some(_) => commands::look_up(name),
        None => None,
    };
    match known {
        Some(command) => Some((command, if binaries { 2 } else { 0 })),
        None if binaries && folder.starts_with(b"/") && !name.is_empty() => Some((Command::UNKNOWN, 2)),
        None => None,
    }
}

/// Whether `folder` is one that holds programs.
fn is_binary_folder(folder: &[u8], glob: bool) -> bool {
    const FOLDERS: &[&[u8]] = &[
        b"/bin/",
        b"/usr/bin/",
        b"/sbin/",
        b"/usr/sbin/",
        b"/usr/local/bin/",
        b"/usr/local/sbin/",
        b"/opt/bin/",
        b"bin/",
        b"usr/bin/",
        b"sbin/",
        b"/snap/bin/",
        b"/system/bin/",
    ];
    if glob {
        return FOLDERS.iter().any(|known| folder.starts_with(b"/") && commands::glob(folder, known));
    }
    FOLDERS.contains(&folder) || matches!(folder, [_, b':', b'\\' | b'/', ..])
}

/// Words of one command that are looked through for the one that counts.
const WORDS: usize = 6;

/// Whether a word behind a program that runs another is that program's own: `timeout -k 5 9s id`.
fn is_option(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let number = digits > 0 && matches!(text.get(digits..), Some([] | [b's' | b'm' | b'h' | b'd']));
    number || matches!(text, [b'-', letter, ..] if letter.is_ascii_alphabetic() || *letter == b'-')
}

fn is_assignment(text: &[u8]) -> bool {
    let name = text.split(|&byte| byte == b'=').next().unwrap_or_default();
    name.len() < text.len()
        && name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Skips what may stand before a command: white space, grouping, `@` of cmd.exe.
fn skip(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..32 {
        match bytes.get(at..) {
            Some([b' ' | b'\t' | b'+' | b'(' | b'@' | b'"' | b'\'' | 0x0b | 0x0c, ..]) => at += 1,
            Some([b'{', b' ' | b'\t', ..]) => at += 2,
            // What is left of an escaped quote.
            Some([b'\\', b'\\', b'\'' | b'"', ..]) => at += 3,
            Some([b'\\', b'\'' | b'"', ..]) => at += 2,
            Some([b'\n' | b'\r', ..]) => at += 1,
            _ => break,
        }
    }
    at
}
