//! CMDEXE: reads a value as sh, bash, cmd.exe and PowerShell would, and reports a command that an injection would run.
//!
//! Catches a command word in command position (behind `;`, `|`, `&`, `&&`, `||`, a new line, in `$(...)`, back-ticks and
//! process substitutions, or as the whole value) that its arguments or its place confirm; words hidden by quotes,
//! escapes, carets, empty or white-space expansions, globs and brace lists; `for` and `if` of cmd.exe; Shellshock; options through which a program runs another;
//! formulas that start a program; commands in variables.
//! Deliberately misses: a bare English word behind a separator (`; sort`), commands quoted in prose or Markdown,
//! commands alone without an argument that only a command would have (`ls`, `ping host`).
//! False-positive risk: code and shell transcripts posted as values.
//! Vectors: `vectors/cmdexe`.

mod arguments;
mod assigned;
mod commands;
mod context;
mod dde;
mod fork;
mod judge;
mod options;
mod plumbing;
mod shellshock;
mod windows;
mod word;

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::features::Features;
use crate::signal::Tag;
use crate::value::{Finding, Part, Value};

use self::context::{Contexts, OPENINGS, Opening};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector { name: "cmdexe", words: WORDS, possible, inspect };

const WORDS: &[&str] = &[
    "errorlevel",
    "exist ",
    "defined ",
    "cmdextversion",
    " equ ",
    " neq ",
    " lss ",
    " leq ",
    " gtr ",
    " geq ",
    "for ",
    "alias ",
    "/bin/",
    "==",
    // Options that run a program.
    "-pack=",
    "-program=",
    "-command=",
    "command ",
    "-action=",
    "-pager=",
    "-rsh=",
    "-rsync-path=",
    "-use-askpass=",
    "proxycommand",
    "localcommand",
    "core.",
    "tt=",
    "-wrapper",
];

fn possible(features: Features, word: bool) -> bool {
    const OPERATORS: u32 = Features::SEMI
        | Features::PIPE
        | Features::AMP
        | Features::DOLLAR
        | Features::LINE
        | Features::QUOTE
        | Features::BACKSLASH
        | Features::CARET
        | Features::LT
        | Features::GT
        | Features::BRACE
        | Features::PERCENT
        | Features::PLUS
        | Features::BANG
        | Features::STAR
        | Features::BRACKET;
    // A control byte ends a word as a space does.
    word || features.any(OPERATORS)
        || (features.any(Features::SPACE | Features::CONTROL)
            && features.any(Features::SLASH | Features::HYPHEN | Features::DOT))
        // `Get-Item(7)`, `IEX(..)`
        || features.any(Features::PAREN)
}

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let bytes = value.bytes;
    let found = |detector, span| Some(Finding { tag: Tag::Cmdexe, detector, span });
    let shellshock = (value.field.part != Part::Name).then(|| shellshock::find(bytes)).flatten();
    if let Some(end) = shellshock {
        return found("CMDEXE-SHELLSHOCK", 0..end);
    }
    if let Some(span) = windows::find(bytes) {
        return found("CMDEXE-BATCH", span);
    }
    if let Some(span) = fork::find(bytes) {
        return found("CMDEXE-FORK-BOMB", span);
    }
    if let Some(span) = options::find(bytes) {
        return found("CMDEXE-OPTION", span);
    }
    if value.features.any(Features::LT | Features::GT)
        && let Some(span) = plumbing::find(bytes)
    {
        return found("CMDEXE-REDIRECTION", span);
    }
    if value.features.any(Features::PIPE)
        && let Some(span) = dde::find(bytes)
    {
        return found("CMDEXE-DDE", span);
    }
    if value.features.all(Features::DOLLAR | Features::EQUALS)
        && let Some(span) = assigned::find(bytes)
    {
        return found("CMDEXE-VARIABLE", span);
    }
    // Most values have nothing that opens a command, so that it can only stand at their start.
    let opens = value.features.any(OPENINGS);
    let mut contexts = Contexts::new(bytes);
    while let Some(place) = contexts.next() {
        if !steps.take(1) {
            return None;
        }
        if let Some(end) = judge::command(bytes, &place, &mut contexts, steps) {
            let detector = match place.opening {
                Opening::Start => "CMDEXE-COMMAND",
                Opening::Line | Opening::Separator(_) => "CMDEXE-SEPARATOR",
                Opening::Substitution | Opening::BackTick { .. } => "CMDEXE-SUBSTITUTION",
            };
            return found(detector, place.from..end);
        }
        if !opens {
            break;
        }
    }
    None
}
