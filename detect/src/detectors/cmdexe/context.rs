//! Finds the places in a value where a command may begin, and what stands before them.

use super::commands::{self, Class};
use crate::features::Features;

/// What opens a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The value's own start.
    Start,
    /// A new line, also written as `\n`.
    Line,
    Separator(Separator),
    /// `$(`
    Substitution,
    /// A back-tick; `close` is the offset of its partner.
    BackTick {
        close: usize,
    },
}

/// What separates commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    Semicolon,
    Pipe,
    Ampersand,
    And,
    Or,
    /// `<(` or `>(`
    Process,
}

/// A place where a command may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) opening: Opening,
    /// Where the opening stands.
    pub(crate) from: usize,
    /// Where the command would stand.
    pub(crate) at: usize,
    /// Whether nothing but punctuation stands before.
    pub(crate) leading: bool,
    /// Whether what stands before is one value that an injection breaks out of: it ends in a quote or a bracket, or
    /// is a number or an address.
    pub(crate) breakout: bool,
    /// Whether what stands before is a name or a list of names.
    pub(crate) names: bool,
    /// Whether what stands before reads like a sentence.
    pub(crate) prose: bool,
    /// Line ends before.
    pub(crate) lines: usize,
    /// Behind the value's last letter or digit.
    pub(crate) words_end: usize,
}

/// Walks the places of a value.
#[derive(Debug)]
pub(crate) struct Contexts<'a> {
    bytes: &'a [u8],
    at: usize,
    started: bool,
    /// Up to where back-ticks are paired.
    ticks_until: usize,
    /// Behind the value's last letter or digit, once asked for.
    words_end: Option<usize>,
    seen: Seen,
    /// Up to where bytes are seen: most places hold no command, and nobody asks what stands before them.
    seen_until: usize,
}

/// A place where a command may begin, before it is known what stands before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) opening: Opening,
    /// Where the opening stands.
    pub(crate) from: usize,
    /// Where the command would stand.
    pub(crate) at: usize,
}

/// What the bytes so far are made of.
#[derive(Clone, Copy, Debug)]
struct Seen {
    alphanumeric: bool,
    /// Only letters, digits, `_`, `-`, spaces and separators.
    names: bool,
    letters: bool,
    /// Only digits, letters, dots, colons, hyphens, and a dot or digit among them.
    address: bool,
    spaced: bool,
    /// Whether white space stands behind the last letter or digit.
    space: bool,
    /// Dots.
    dots: usize,
    words: usize,
    word_len: usize,
    lines: usize,
    /// Whether a quote of either kind is open.
    single: bool,
    double: bool,
    /// Brackets of any kind.
    opened: usize,
    closed: usize,
    last: u8,
}

/// Bytes that an opening begins with.
const OPENS: [bool; 256] = {
    let mut opens = [false; 256];
    let mut at = 0;
    let bytes = b";|&\n\r`$<>\\";
    while at < bytes.len() {
        opens[bytes[at] as usize] = true;
        at += 1;
    }
    opens
};

/// The classes of these bytes.
pub(crate) const OPENINGS: u32 = Features::SEMI
    | Features::PIPE
    | Features::AMP
    | Features::LINE
    | Features::QUOTE
    | Features::DOLLAR
    | Features::LT
    | Features::GT
    | Features::BACKSLASH;

/// Letters of ASCII, and bytes beyond it, which are letters or as good as such.
const LETTERS: [u8; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0_u8;
    loop {
        letters[byte as usize] = match byte {
            0x80..=0xff => HIGH,
            _ => byte.is_ascii_alphabetic() as u8,
        };
        if byte == u8::MAX {
            break letters;
        }
        byte += 1;
    }
};
const HIGH: u8 = 2;

/// Words before a separator that make a sentence.
const SENTENCE: usize = 5;

impl<'a> Contexts<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let seen = Seen {
            alphanumeric: false,
            names: true,
            letters: false,
            address: true,
            spaced: false,
            space: false,
            dots: 0,
            words: 0,
            word_len: 0,
            lines: 0,
            single: false,
            double: false,
            opened: 0,
            closed: 0,
            last: 0,
        };
        Self { bytes, at: 0, started: false, ticks_until: 0, words_end: None, seen, seen_until: 0 }
    }

    /// Finds the next place.
    pub(crate) fn next(&mut self) -> Option<Place> {
        if !self.started {
            self.started = true;
            return Some(Place { opening: Opening::Start, from: 0, at: 0 });
        }
        loop {
            let rest = self.bytes.get(self.at..)?;
            let from = self.at + rest.iter().position(|&byte| OPENS[usize::from(byte)])?;
            self.at = from;
            let (&byte, rest) = self.bytes.get(from..)?.split_first()?;
            if let Some((opening, len)) = self.opening(byte, rest) {
                self.at = from + len;
                return Some(Place { opening, from, at: from + len });
            }
            self.at += 1;
        }
    }

    /// Says what stands before `place`, which is the one found last.
    pub(crate) fn before(&mut self, place: &Place) -> Context {
        self.see(place.from);
        let bytes = self.bytes;
        let words_end = *self.words_end.get_or_insert_with(|| {
            bytes.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1)
        });
        self.context(place, words_end)
    }

    /// Looks at what stands before `until` and has not been seen.
    fn see(&mut self, until: usize) {
        let mut at = self.seen_until;
        while let Some(&byte) = self.bytes.get(at).filter(|_| at < until) {
            let kind = LETTERS[usize::from(byte)];
            if kind != 0 {
                let rest = self.bytes.get(at..until).unwrap_or_default();
                let mut kinds = 0;
                let letters = rest.iter().take_while(|&&byte| {
                    kinds |= LETTERS[usize::from(byte)];
                    LETTERS[usize::from(byte)] != 0
                });
                let count = letters.count();
                let last = rest.get(count.saturating_sub(1)).copied().unwrap_or_default();
                self.seen.add_letters(count, last, kinds & HIGH != 0);
                at += count;
                continue;
            }
            if byte == b' ' {
                self.seen.add_space();
            } else {
                self.seen.add(byte);
            }
            at += 1;
        }
        self.seen_until = at.max(self.seen_until);
    }

    /// Passes over `length` bytes behind the one here, as if they were not there.
    fn pass(&mut self, length: usize) {
        self.see(self.at + 1);
        self.at += length;
        self.seen_until = self.at + 1;
    }

    fn opening(&mut self, byte: u8, rest: &[u8]) -> Option<(Opening, usize)> {
        let separator = |kind, len| Some((Opening::Separator(kind), len));
        match (byte, rest) {
            (b';', _) => separator(Separator::Semicolon, 1),
            (b'|', [b'|', ..]) => separator(Separator::Or, 2),
            (b'|', [b'&', ..]) => separator(Separator::Pipe, 2),
            (b'|', _) => separator(Separator::Pipe, 1),
            (b'&', [b'&', ..]) => separator(Separator::And, 2),
            (b'&', _) => match entity(rest) {
                Some(len) => {
                    self.pass(len);
                    None
                }
                None => separator(Separator::Ampersand, 1),
            },
            (b'\n' | b'\r', _) => Some((Opening::Line, 1)),
            (b'\\', [b'n', ..]) => Some((Opening::Line, 2)),
            (b'\\', [b'r', b'\\', b'n', ..]) => Some((Opening::Line, 4)),
            (b'$', [b'(', next, ..]) if *next != b'(' => Some((Opening::Substitution, 2)),
            (b'<' | b'>', [b'(', ..]) => separator(Separator::Process, 2),
            (b'`', [b'`', b'`', info @ ..])
                if self.at >= self.ticks_until && self.begins_line() && is_fence(info) =>
            {
                // Code in Markdown: what is fenced is a text, not a command.
                self.pass(2);
                self.seen.alphanumeric = true;
                self.seen.letters = true;
                None
            }
            (b'`', _) if self.at >= self.ticks_until => {
                let close = self.at + 1 + rest.iter().take(512).position(|&byte| byte == b'`')?;
                self.ticks_until = close + 1;
                Some((Opening::BackTick { close }, 1))
            }
            _ => None,
        }
    }

    /// Whether nothing but blanks stands before on this line.
    fn begins_line(&self) -> bool {
        let head = self.bytes.get(..self.at).unwrap_or_default();
        let blanks = head.iter().rev().take(8).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        head.iter().rev().nth(blanks).is_none_or(|byte| *byte == b'\n')
    }

    fn context(&self, place: &Place, words_end: usize) -> Context {
        let &Place { opening, from, at } = place;
        let seen = &self.seen;
        let quoted = match seen.last {
            b'"' => seen.double,
            b'\'' => seen.single,
            b')' | b'}' | b']' => seen.closed > seen.opened,
            _ => false,
        };
        Context {
            opening,
            from,
            at,
            leading: !seen.alphanumeric,
            breakout: seen.alphanumeric && (quoted || seen.is_address()),
            names: seen.names && seen.letters,
            prose: seen.words >= SENTENCE,
            lines: seen.lines,
            words_end,
        }
    }
}

impl Seen {
    /// Whether one address stands before, behind which a separator may have a blank if nothing else passes for one.
    fn is_address(&self) -> bool {
        let blank = self.space && (self.letters || self.dots != 3);
        self.address && !self.spaced && !self.names && !blank
    }

    /// Adds a row of letters, of which `last` is the last; `high` says whether one is beyond ASCII.
    fn add_letters(&mut self, count: usize, last: u8, high: bool) {
        self.alphanumeric = true;
        self.address &= !high;
        self.letters = true;
        self.spaced |= self.space;
        self.word_len += count;
        self.last = last;
    }

    fn add_space(&mut self) {
        self.words += usize::from(self.word_len >= 2);
        self.word_len = 0;
        self.space = true;
    }

    fn add(&mut self, byte: u8) {
        let separator = matches!(byte, b';' | b'|' | b'&' | b'\n' | b'\r' | b',');
        let space = byte == b' ' || byte == b'\t';
        if byte.is_ascii_alphanumeric() || byte >= 0x80 {
            self.alphanumeric = true;
            self.spaced |= self.space;
            self.letters |= !byte.is_ascii_digit();
            self.word_len += 1;
            self.address &= byte < 0x80;
        } else {
            if self.word_len >= 2 && (space || byte == b'\n') {
                self.words += 1;
            }
            self.word_len = 0;
            self.lines += usize::from(byte == b'\n');
            self.names &= separator || space || byte == b'_' || byte == b'-';
            self.address &= matches!(byte, b'.' | b':' | b'-') || separator || space;
            self.space |= space;
            self.dots += usize::from(byte == b'.');
        }
        if byte == b'.' || byte.is_ascii_digit() {
            self.names &= byte.is_ascii_digit() && self.letters;
        }
        match byte {
            b'\'' => self.single = !self.single,
            b'"' => self.double = !self.double,
            b'(' | b'{' | b'[' => self.opened += 1,
            b')' | b'}' | b']' => self.closed += 1,
            _ => {}
        }
        if !space {
            self.last = byte;
        }
    }
}

/// Whether what follows three back-ticks ends their line and names at most a language.
fn is_fence(info: &[u8]) -> bool {
    let window = info.get(..32).unwrap_or(info);
    let line = window.iter().position(|&byte| byte == b'\n').and_then(|end| window.get(..end));
    let line = if window.len() == info.len() { line.or(Some(window)) } else { line };
    line.is_some_and(|line| {
        line.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'\r' | b'+' | b'-' | b'#' | b'.')
        })
    })
}

/// The length of the character reference behind an `&`, unless a shell would run its name.
fn entity(rest: &[u8]) -> Option<usize> {
    let window = rest.get(..12).unwrap_or(rest);
    let close = window.iter().position(|&byte| byte == b';')?;
    let name = window.get(..close)?;
    let reference = match name {
        [b'#', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_alphanumeric),
        [first, more @ ..] => {
            first.is_ascii_alphabetic() && !more.is_empty() && name.iter().all(u8::is_ascii_alphanumeric)
        }
        [] => false,
    };
    let command = || commands::look_up(name).is_some_and(|command| command.class > Class::English);
    (reference && !command()).then_some(close + 1)
}
