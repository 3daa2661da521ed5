//! Reads a value as a chain of path segments and says what the chain does.

use std::ops::Range;

use super::files::{self, Match, Parents, Weight};
use super::units::{Kind, Unit, unit};
use crate::budget::Steps;

/// What ends a chain of segments within a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The value's own start or end.
    Value,
    /// White space: what follows may be prose.
    Space,
    /// Punctuation, as in `file=...` or `("...")`.
    Mark,
}

/// One chain of segments.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) span: Range<usize>,
    pub(crate) before: Edge,
    pub(crate) after: Edge,
    /// Segments that go up.
    pub(crate) climbs: usize,
    /// Those of them that are spelled in a way that no honest client uses.
    pub(crate) odd: usize,
    /// Whether it goes above where it started.
    pub(crate) escapes: bool,
    /// Segments that stay, `.`, one after another at most.
    pub(crate) stays: usize,
    /// Segments that are three dots, or more than four: an ellipsis, or a climb for some.
    pub(crate) ellipses: usize,
    /// Whether a segment is a long row of dots.
    pub(crate) padded: bool,
    /// Whether a name ends in dots that climb where the server joins paths: `/static../`.
    pub(crate) joined: bool,
    /// Whether a climb lands in a folder of the system's root.
    pub(crate) system: bool,
    /// The weightiest file it names.
    pub(crate) file: Option<Weight>,
    /// The last name.
    pub(crate) name: Range<usize>,
}

/// How a value's punctuation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A parameter: punctuation ends a path.
    Value,
    /// A request's path: everything belongs to it.
    RequestPath,
}

/// Folders in the root of a system that no application has beside its own.
const SYSTEM: &[&[u8]] =
    &[b"etc", b"usr", b"var", b"proc", b"root", b"sbin", b"windows", b"winnt", b"private", b"volumes"];

/// A row of one letter or of dots this long fills a buffer, it names nothing.
const PADDING: usize = 96;

/// Walks the chains of a value.
#[derive(Debug)]
pub(crate) struct Chains<'a> {
    bytes: &'a [u8],
    at: usize,
    reading: Reading,
    before: Edge,
}

impl<'a> Chains<'a> {
    pub(crate) fn new(bytes: &'a [u8], reading: Reading) -> Self {
        Self { bytes, at: 0, reading, before: Edge::Value }
    }

    /// Reads the next chain that has a separator or an odd dot in it.
    pub(crate) fn next(&mut self, steps: &mut Steps) -> Option<Chain> {
        while self.at < self.bytes.len() {
            self.skip_words();
            let mut walk = Walk::new(self.bytes, self.at, self.before);
            let after = loop {
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                // Bytes that are no more than part of a name are taken together.
                let plain = plain_len(rest);
                if plain > 0 {
                    walk.unit(Unit { kind: Kind::Byte, len: plain, odd: false }, self.at);
                    self.at += plain;
                    continue;
                }
                let Some(here) = unit(rest) else { break Edge::Value };
                let edge = rest.first().and_then(|&byte| self.edge(byte, here.kind, &walk.segment));
                if let Some(edge) = edge {
                    break edge;
                }
                if here.kind == Kind::Separator && !steps.take(1) {
                    return None;
                }
                // `..;/` is a segment that servers with path parameters read as `..`.
                let parameter = rest.first() == Some(&b';') && walk.segment.is_climb();
                walk.unit(
                    if parameter { Unit { kind: Kind::Control, odd: true, ..here } } else { here },
                    self.at,
                );
                self.at = (self.at + here.len).min(self.bytes.len());
            };
            let chain = walk.finish(self.at, after);
            if after != Edge::Value {
                self.at += 1;
                // White space and quotes around the whole value do not make its path a part of prose.
                if self.before != Edge::Value || !chain.span.is_empty() {
                    self.before = after;
                }
            }
            if !chain.span.is_empty() {
                return Some(chain);
            }
        }
        None
    }

    /// Skips words between edges that are no paths and no names of files.
    fn skip_words(&mut self) {
        while let Some(rest) = self.bytes.get(self.at..).filter(|_| self.reading == Reading::Value) {
            let len = plain_len(rest);
            let word = rest.get(..len).unwrap_or_default();
            let word = word.split(|&byte| byte == b':').next().unwrap_or_default();
            let Some(&next) = rest.get(len).filter(|_| !files::may_be_file(word)) else { return };
            let kind = if next == b'?' { Kind::Question } else { Kind::Byte };
            let segment = Segment { bytes: len, ..Segment::default() };
            let Some(edge) = self.edge(next, kind, &segment) else { return };
            self.at += len + 1;
            if self.before != Edge::Value || len > 0 {
                self.before = edge;
            }
        }
    }

    fn edge(&self, byte: u8, kind: Kind, segment: &Segment) -> Option<Edge> {
        if self.reading == Reading::RequestPath {
            return None;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => Some(Edge::Space),
            b';' if segment.is_climb() => None,
            b'"' | b'\'' | b'`' | b'<' | b'>' | b'(' | b')' | b'|' | b'&' | b',' | b';' | b'=' | b'*'
            | b'#' => Some(Edge::Mark),
            b'?' if kind == Kind::Question && segment.bytes > 0 => Some(Edge::Mark),
            _ => None,
        }
    }
}

/// The length of the row of bytes at the start of `rest` that are units of no special kind, and no edges.
fn plain_len(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| !PLAIN[usize::from(byte)]).unwrap_or(rest.len())
}

const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    loop {
        plain[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'1'..=b'9' | b'_' | b'-' => true,
            b'!' | b'$' | b'+' | b':' | b'@' | b'[' | b']' | b'^' | b'{' | b'}' | b'~' => true,
            // No character that looks like a dot or a slash begins with one of these.
            0x80..=0xbf | 0xc2..=0xdf | 0xe3..=0xed => true,
            _ => false,
        };
        if byte == u8::MAX {
            break plain;
        }
        byte += 1;
    }
};

/// What the current segment has been made of.
#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    start: usize,
    dots: usize,
    wilds: usize,
    questions: usize,
    controls: usize,
    bytes: usize,
    odd: bool,
    /// Dots since the last other byte.
    trailing_dots: usize,
    /// The longest row of dots or of one letter.
    row: usize,
    row_now: usize,
    row_byte: u8,
}

impl Segment {
    fn is_climb(&self) -> bool {
        self.dots == 2 && self.bytes == 0
    }

    fn in_row(&mut self, byte: u8) {
        self.row_now = if byte == self.row_byte { self.row_now + 1 } else { 1 };
        self.row_byte = byte;
        if byte == b'.' || byte.is_ascii_alphabetic() {
            self.row = self.row.max(self.row_now);
        }
    }

    /// The same for each of `bytes`; rows shorter than [`PADDING`] are told apart at their end alone.
    fn in_rows(&mut self, bytes: &[u8]) {
        if self.row_now + bytes.len() >= PADDING {
            for &byte in bytes {
                self.in_row(byte);
            }
        } else if let Some(&last) = bytes.last() {
            let run = bytes.iter().rev().take_while(|&&byte| byte == last).count();
            let goes_on = run == bytes.len() && last == self.row_byte;
            self.row_now = if goes_on { self.row_now + run } else { run };
            self.row_byte = last;
        }
    }

    fn dotish(&self) -> usize {
        self.dots + self.wilds + self.questions
    }
}

#[derive(Debug)]
struct Walk<'a> {
    text: &'a [u8],
    start: usize,
    before: Edge,
    segment: Segment,
    parents: Parents<'a>,
    folder: bool,
    separated: bool,
    /// Whether the segment before is a climb.
    climbed: bool,
    /// Whether the first name behind a climb is a folder of the system's root.
    rooted: bool,
    depth: usize,
    run: usize,
    chain: Chain,
}

impl<'a> Walk<'a> {
    fn new(text: &'a [u8], start: usize, before: Edge) -> Self {
        let chain = Chain {
            span: start..start,
            before,
            after: before,
            climbs: 0,
            odd: 0,
            escapes: false,
            stays: 0,
            ellipses: 0,
            padded: false,
            joined: false,
            system: false,
            file: None,
            name: start..start,
        };
        let segment = Segment { start, ..Segment::default() };
        Self {
            text,
            start,
            before,
            segment,
            parents: Parents::default(),
            folder: false,
            separated: false,
            climbed: false,
            rooted: false,
            depth: 0,
            run: 0,
            chain,
        }
    }

    fn unit(&mut self, here: Unit, at: usize) {
        match here.kind {
            Kind::Separator => {
                self.segment.odd |= here.odd;
                self.end_segment(at, true);
                self.segment.start = at + here.len;
                return;
            }
            Kind::Wild if self.segment.bytes > 0 => {
                self.end_segment(at, true);
                self.segment.start = at + here.len;
                self.segment.odd = true;
                return;
            }
            Kind::Dot => {
                self.segment.dots += 1;
                self.segment.trailing_dots += 1;
                self.segment.in_row(b'.');
            }
            Kind::Wild => self.segment.wilds += 1,
            Kind::Question => self.segment.questions += 1,
            Kind::Control => {
                if self.segment.bytes > 0 {
                    // A C string ends here: what follows is a suffix for the check, not for the file.
                    self.end_segment(at, false);
                    self.segment.start = at + here.len;
                }
                self.segment.controls += 1;
            }
            Kind::Byte => {
                let row = self.segment.wilds > 0 || self.segment.controls > 0;
                if self.segment.bytes == 0 && row {
                    // A row of dots and unknown bytes before a name: the last of them is the separator.
                    self.end_segment(at, true);
                    self.segment.start = at;
                }
                self.segment.bytes += here.len;
                self.segment.trailing_dots = 0;
                self.segment.in_rows(self.text.get(at..at + here.len).unwrap_or_default());
            }
        }
        self.segment.odd |= here.odd;
    }

    /// Takes the segment that ends at `at`; `closed` says whether a separator does.
    fn end_segment(&mut self, at: usize, closed: bool) {
        let segment = self.segment;
        let closed_before = self.separated;
        self.separated |= closed;
        let climbs = self.chain.climbs;
        self.segment = Segment { start: at, ..Segment::default() };
        self.chain.padded |= closed_before && segment.row >= PADDING && segment.dots >= 2;
        if segment.bytes > 0 {
            self.chain.joined |= closed && segment.trailing_dots >= 2 && segment.bytes > 0;
            self.name(segment.start, at);
            self.climbed = false;
            return;
        }
        match segment.dotish() {
            // `..//`: a filter took something out, or is meant to.
            0 if closed && self.climbed => self.chain.odd += 1,
            0 => {}
            1 if segment.dots == 1 => {
                self.run += 1;
                self.chain.stays = self.chain.stays.max(self.run);
            }
            1 => {}
            // A question asked aloud.
            _ if segment.questions > 2 && segment.questions == segment.dotish() => {}
            // A row of dots without a separator on either side is punctuation.
            n if closed || closed_before || n == 2 => self.climb(n, &segment),
            _ => {}
        }
        self.climbed = self.chain.climbs > climbs;
    }

    fn climb(&mut self, n: usize, segment: &Segment) {
        self.chain.padded |= n >= 16;
        self.run = 0;
        if segment.dots == n && n != 2 && n != 4 && segment.controls == 0 {
            self.chain.ellipses += 1;
            return;
        }
        let plain = segment.dots == 2 && n == 2 && segment.controls == 0;
        let levels = if plain { 1 } else { (n / 3).max(1) };
        self.chain.climbs += levels;
        if !plain || segment.odd {
            self.chain.odd += levels;
        }
        match self.depth.checked_sub(levels) {
            Some(depth) => self.depth = depth,
            None => {
                self.depth = 0;
                self.chain.escapes = true;
            }
        }
        self.parents.clear();
        self.folder = false;
    }

    fn name(&mut self, start: usize, end: usize) {
        self.run = 0;
        let name = self.text.get(start..end).unwrap_or_default();
        self.chain.name = start..end;
        if name.ends_with(b":") {
            // A scheme or a drive: the path starts behind it.
            self.parents.clear();
            self.depth = 0;
            return;
        }
        if self.folder {
            self.weigh(Weight::Whole);
        }
        self.chain.system |= self.rooted;
        self.rooted = self.climbed && SYSTEM.iter().any(|root| name.eq_ignore_ascii_case(root));
        // An alternate data stream names the same file.
        let stem = name.split(|&byte| byte == b':').next().unwrap_or(name);
        match files::look_up(stem, &self.parents, self.separated) {
            Some(Match::File(weight)) => self.weigh(weight),
            Some(Match::Folder) => self.folder = true,
            None => {}
        }
        self.parents.push(name);
        self.depth += 1;
    }

    fn weigh(&mut self, weight: Weight) {
        self.chain.file = self.chain.file.max(Some(weight));
    }

    fn finish(mut self, end: usize, after: Edge) -> Chain {
        self.end_segment(end, false);
        self.chain.span = self.start..end;
        self.chain.before = self.before;
        self.chain.after = after;
        self.chain
    }
}
