//! The one cheap pass over a value that decides which detectors can possibly fire on it.

use crate::anchors::{Anchors, Seen};
use crate::detectors::Detector;
use crate::roles::Roles;

/// What one pass over a value saw: which classes of bytes, and of which detectors a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Features {
    bytes: u32,
    words: u64,
}

macro_rules! classes {
    ($($bit:literal $name:ident $doc:literal $bytes:pat),* $(,)?) => {
        impl Features {
            $(#[doc = $doc] #[allow(dead_code, reason = "detectors ask for the classes they need")] pub(crate) const $name: u32 = 1 << $bit;)*
        }

        const fn class(byte: u8) -> u32 {
            let mut bits = 0;
            $(if matches!(byte, $bytes) { bits |= 1 << $bit; })*
            bits
        }
    };
}

classes! {
    0 ALPHA "A letter." b'a'..=b'z' | b'A'..=b'Z',
    1 DIGIT "A digit." b'0'..=b'9',
    2 SPACE "White space." b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c,
    3 LINE "A line end." b'\n' | b'\r',
    4 NUL "A NUL." 0,
    5 CONTROL "Another control byte." 1..=8 | 0x0e..=0x1f | 0x7f,
    6 HIGH "A byte outside ASCII." 0x80..=0xff,
    7 QUOTE "A single or double quote, or a back-tick." b'\'' | b'"' | b'`',
    8 LT "`<`." b'<',
    9 GT "`>`." b'>',
    10 AMP "`&`." b'&',
    11 PIPE "`|`." b'|',
    12 SEMI "`;`." b';',
    13 DOLLAR "`$`." b'$',
    14 PAREN "`(` or `)`." b'(' | b')',
    15 BRACKET "`[` or `]`." b'[' | b']',
    16 BRACE "`{` or `}`." b'{' | b'}',
    17 SLASH "`/`." b'/',
    18 BACKSLASH "`\\`." b'\\',
    19 DOT "`.`." b'.',
    20 COLON "`:`." b':',
    21 EQUALS "`=`." b'=',
    22 HYPHEN "`-`." b'-',
    23 HASH "`#`." b'#',
    24 STAR "`*`." b'*',
    25 PERCENT "`%`." b'%',
    26 AT "`@`." b'@',
    27 BANG "`!` or `?`." b'!' | b'?',
    28 PLUS "`+`." b'+',
    29 COMMA "`,`." b',',
    30 CARET "`^` or `~`." b'^' | b'~',
    31 UNDERSCORE "`_`." b'_',
}

const CLASSES: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = class(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

impl Features {
    /// What separates the segments of a path, or may become or hide what does.
    pub(crate) const SEPARATORS: u32 =
        Self::SLASH | Self::BACKSLASH | Self::HIGH | Self::PERCENT | Self::NUL | Self::CONTROL;

    /// The features of a value with bytes of `classes`, and with a word of every detector or of none.
    pub(crate) fn of_classes(classes: u32, words: bool) -> Self {
        Self { bytes: classes, words: if words { u64::MAX } else { 0 } }
    }

    /// The classes seen, a bit each.
    pub(crate) fn classes(self) -> u32 {
        self.bytes
    }

    /// Whether a byte of one of `classes` was seen.
    pub(crate) fn any(self, classes: u32) -> bool {
        self.bytes & classes != 0
    }

    /// Whether a byte of each of `classes` was seen.
    pub(crate) fn all(self, classes: u32) -> bool {
        self.bytes & classes == classes
    }

    /// Whether no byte outside `classes` was seen.
    pub(crate) fn only(self, classes: u32) -> bool {
        self.bytes & !classes == 0
    }

    /// The classes that these features have and `other` has not.
    pub(crate) fn beyond(self, other: Self) -> u32 {
        self.bytes & !other.bytes
    }

    /// The detectors of which a word was seen, a bit each.
    pub(crate) fn words(self) -> u64 {
        self.words
    }

    /// Whether a word of the detector at `index` of the table was seen.
    pub(crate) fn word(self, index: usize) -> bool {
        self.words & (1 << index) != 0
    }
}

/// What it takes to find the features of a value.
#[derive(Debug)]
pub(crate) struct Words {
    /// The class of each byte, and above it what the byte is to the shortest words.
    bytes: [u64; 256],
    anchors: Option<Anchors>,
}

impl Words {
    /// Makes the tables for `detectors` that read every place.
    #[cfg(test)]
    pub(crate) fn new(detectors: &[Detector]) -> Self {
        Self::with_roles(detectors, &Roles::default())
    }

    /// The features of a value in which words do not count alone.
    #[cfg(test)]
    pub(crate) fn features(&self, bytes: &[u8]) -> Features {
        self.features_in(bytes, false)
    }

    /// Makes the tables for `detectors` in these `roles`; done once an engine.
    pub(crate) fn with_roles(detectors: &[Detector], roles: &Roles) -> Self {
        let anchors = Anchors::new(detectors, roles);
        let mut bytes = CLASSES.map(u64::from);
        if let Some(anchors) = &anchors {
            for (byte, &marks) in bytes.iter_mut().zip(anchors.marks()) {
                *byte |= u64::from(marks) << u32::BITS;
            }
        }
        Self { bytes, anchors }
    }

    /// Looks at every byte of `bytes` once for its class and once for words. Words of detectors that cannot fire, or can
    /// without one, may go unseen, unless words count `alone`.
    #[expect(clippy::cast_possible_truncation, reason = "classes are the lower half")]
    pub(crate) fn features_in(&self, bytes: &[u8], alone: bool) -> Features {
        let class = |byte: u8| self.bytes[usize::from(byte)];
        let (mut seen, mut adjacent, mut last) = (0, 0, 0);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in chunks.by_ref() {
            // Eight look-ups that do not wait for each other.
            if let &[a, b, c, d, e, f, g, h] = chunk {
                let [a, b, c, d] = [class(a), class(b), class(c), class(d)];
                let [e, f, g, h] = [class(e), class(f), class(g), class(h)];
                seen |= (a | b) | (c | d) | (e | f) | (g | h);
                adjacent |= (last & a | a & b) | (b & c | c & d) | (d & e | e & f) | (f & g | g & h);
                last = h;
            }
        }
        for &byte in chunks.remainder() {
            let class = class(byte);
            seen |= class;
            adjacent |= last & class;
            last = class;
        }
        let marks = |seen: u64| (seen >> u32::BITS) as u32;
        let classes = seen as u32;
        let seen = Seen { classes, marks: marks(seen), adjacent: marks(adjacent), alone };
        // Without the tables nothing may be ruled out.
        let words = self.anchors.as_ref().map_or(u64::MAX, |anchors| anchors.find(bytes, &seen));
        Features { bytes: classes, words }
    }

    /// The detectors of which a word of three bytes or more is in `bytes`, a bit each.
    pub(crate) fn longer_words(&self, bytes: &[u8]) -> u64 {
        let seen = Seen { classes: u32::MAX, marks: 0, adjacent: 0, alone: true };
        self.anchors.as_ref().map_or(u64::MAX, |anchors| anchors.find(bytes, &seen))
    }
}
