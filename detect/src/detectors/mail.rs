//! MAIL-INJECTION: a line break that would add a recipient to a message, or a command to an SMTP, IMAP or POP session.
//!
//! Catches `Bcc:`, `Cc:`, `To:` and their kin with an address right after the first line; SMTP envelopes
//! (`MAIL FROM:<`, `RCPT TO:<`), `EHLO`, `AUTH`; tagged IMAP commands with arguments of the right shape; POP commands
//! after a first line that is one token.
//!
//! Deliberately misses: quoted mails in tickets (their header block follows a text or another header), commands of one
//! common word (`DATA`, `QUIT`, `NOOP`).
//!
//! False-positive risk: a two-line text whose second line is `To: someone@...`. Vectors: `vectors/mail`.

use crate::budget::Steps;
use crate::detectors::Detector;
use crate::detectors::lines;
use crate::features::Features;
use crate::scan::{Cursor, starts_with_ignore_case};
use crate::signal::Tag;
use crate::value::{Finding, Value};

/// The detector's row in the table.
pub(crate) const DETECTOR: Detector = Detector {
    name: "mail",
    words: &[
        "cc:",
        "to:",
        "from:",
        "ehlo",
        "helo",
        "auth",
        "vrfy",
        "expn",
        "user",
        "pass",
        "retr",
        "dele",
        "apop",
        "uid",
        "capability",
        "login",
        "select",
        "examine",
        "fetch",
        "store",
        "copy",
        "search",
        "append",
        "logout",
        "create",
        "rename",
        "status",
        "list",
        "lsub",
        "top",
        "starttls",
        "expunge",
        "namespace",
        "subscribe",
    ],
    // Folded breaks are letters outside ASCII.
    possible: |features, word| word && features.any(Features::LINE | Features::HIGH),
    inspect,
};

/// Lines after the first within which an injection stands.
const NEAR: usize = 4;

fn inspect(value: &Value<'_>, steps: &mut Steps) -> Option<Finding> {
    let first = lines::first(value.bytes).trim_ascii();
    let bare = !first.iter().any(|&byte| byte == b' ' || byte == b'\t');
    for (index, line) in lines::after_breaks(value.bytes).enumerate() {
        if !steps.take(1) {
            return None;
        }
        let near = bare && index < NEAR;
        let idea = if is_envelope(line.text) {
            Some("SMTP-COMMAND")
        } else if index == 0 && is_recipient(line.text, bare) && is_lead(first) {
            Some("MAIL-HEADER")
        } else if near && is_smtp(line.text) {
            Some("SMTP-COMMAND")
        } else if near && is_pop(line.text) {
            Some("POP-COMMAND")
        } else if is_imap(line.text) {
            Some("IMAP-COMMAND")
        } else {
            None
        };
        if let Some(detector) = idea {
            let span = line.at..line.at + line.text.len();
            return Some(Finding { tag: Tag::MailInjection, detector, span });
        }
    }
    None
}

/// `MAIL FROM:<a@b>` or `RCPT TO:<a@b>`.
fn is_envelope(line: &[u8]) -> bool {
    let mut cursor = Cursor::new(line);
    let verb = cursor.eat_ignore_case(b"MAIL FROM:") || cursor.eat_ignore_case(b"RCPT TO:");
    cursor.take_while(|byte| byte == b' ');
    verb && (cursor.peek() == Some(b'<') || cursor.rest().contains(&b'@'))
}

/// Whether a first line is a subject or an address, not the head of a quoted mail.
fn is_lead(first: &[u8]) -> bool {
    first.len() <= 120 && !first.contains(&b':') && !first.starts_with(b"--") && !first.starts_with(b"__")
}

/// A header line that gives a message another recipient; a new sender only after a first line that is one token.
fn is_recipient(line: &[u8], bare: bool) -> bool {
    let names = [&b"bcc"[..], b"cc", b"to", b"resent-to", b"resent-bcc", b"reply-to", b"from"];
    let names = names.get(..if bare { names.len() } else { 6 }).unwrap_or_default();
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return false };
    let (name, address) = line.split_at(colon);
    let at = address.iter().position(|&byte| byte == b'@');
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
        && at.is_some_and(|at| at > 1 && address.get(at + 1).is_some_and(u8::is_ascii_alphanumeric))
        && address.len() <= 200
}

fn is_smtp(line: &[u8]) -> bool {
    let mut words = words(line);
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(verb), Some(domain), None, _) => {
            let greets = is(verb, &["EHLO", "HELO", "VRFY", "EXPN"]);
            greets && !domain.is_empty() || is(verb, &["AUTH"]) && is_upper(verb)
        }
        (Some(verb), Some(_), Some(answer), None) => {
            is(verb, &["AUTH"]) && (is_upper(verb) || answer.ends_with(b"="))
        }
        _ => false,
    }
}

fn is_pop(line: &[u8]) -> bool {
    let mut words = words(line);
    let number = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    match (words.next(), words.next(), words.next()) {
        (Some(verb), Some(argument), None) => {
            is(verb, &["RETR", "DELE", "UIDL"]) && number(argument)
                || is(verb, &["USER", "PASS"]) && is_upper(verb)
                || is(verb, &["LIST"]) && is_upper(verb) && number(argument)
        }
        (Some(verb), Some(one), Some(two)) => {
            is(verb, &["TOP"]) && number(one) && number(two) || is(verb, &["APOP"]) && two.len() >= 16
        }
        _ => false,
    }
}

/// A tag, a command and arguments that fit it.
fn is_imap(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let mut words = words(line);
    let (Some(tag), Some(command)) = (words.next(), words.next()) else { return false };
    let letters = tag.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let digits = tag.iter().skip(letters).filter(|byte| byte.is_ascii_digit()).count();
    if tag.len() != letters + digits || !(1..=4).contains(&letters) || !(2..=6).contains(&digits) {
        return false;
    }
    let arguments = words.count();
    let rest = line.get(tag.len()..).unwrap_or_default();
    let sequence = rest.iter().any(u8::is_ascii_digit);
    match arguments {
        0 => is(command, &["CAPABILITY", "LOGOUT", "STARTTLS", "EXPUNGE", "NAMESPACE"]),
        1 => is(command, &["SELECT", "EXAMINE", "AUTHENTICATE", "CREATE", "DELETE", "SUBSCRIBE"]),
        _ => {
            is(command, &["LOGIN", "RENAME", "LIST", "LSUB", "STATUS", "APPEND"])
                || is(command, &["FETCH", "STORE", "COPY"]) && sequence
                || is(command, &["SEARCH", "UID"]) && is_upper(command)
        }
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty())
}

fn is(word: &[u8], commands: &[&str]) -> bool {
    commands
        .iter()
        .any(|command| word.len() == command.len() && starts_with_ignore_case(word, command.as_bytes()))
}

fn is_upper(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_uppercase)
}
