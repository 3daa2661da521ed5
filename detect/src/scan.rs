//! A cursor over bytes, and byte tests, for every lexer of the engine.

/// A position in a byte string that can only move forward within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset from the start.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Moves to `at`, or to the end where that is nearer.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// What lies between `from` and here.
    pub(crate) fn since(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    /// The byte here.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The byte `n` further on.
    pub(crate) fn peek_at(&self, n: usize) -> Option<u8> {
        self.bytes.get(self.at.checked_add(n)?).copied()
    }

    /// The byte before this one.
    pub(crate) fn before(&self) -> Option<u8> {
        self.bytes.get(self.at.checked_sub(1)?).copied()
    }

    /// Takes one byte.
    pub(crate) fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Takes `n` bytes, or what is left.
    pub(crate) fn skip(&mut self, n: usize) {
        self.at = self.at.saturating_add(n).min(self.bytes.len());
    }

    /// Takes the bytes of `word` if they stand here.
    pub(crate) fn eat(&mut self, word: &[u8]) -> bool {
        let here = self.rest().starts_with(word);
        if here {
            self.at += word.len();
        }
        here
    }

    /// Takes the bytes of `word` if they stand here in any case.
    pub(crate) fn eat_ignore_case(&mut self, word: &[u8]) -> bool {
        let here = starts_with_ignore_case(self.rest(), word);
        if here {
            self.at += word.len();
        }
        here
    }

    /// Takes bytes as long as `test` holds, and returns them.
    pub(crate) fn take_while(&mut self, test: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let n = rest.iter().position(|&byte| !test(byte)).unwrap_or(rest.len());
        self.at += n;
        rest.get(..n).unwrap_or_default()
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

/// Whether `bytes` starts with `word` in any case.
pub(crate) fn starts_with_ignore_case(bytes: &[u8], word: &[u8]) -> bool {
    bytes.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
}

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether both are the same in any case. Made for names, most of which differ in length.
#[inline(always)]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
}

/// Where `needle` stands first in `bytes`; nowhere where it is empty.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    Places::new(bytes, needle).next()
}

/// Where `needle` stands in `bytes`, each place behind the end of the one before it.
pub(crate) fn find_all<'b>(bytes: &'b [u8], needle: &'b [u8]) -> Places<'b> {
    Places::new(bytes, needle)
}

/// The places of a needle.
///
/// It is looked for by the byte of it that is rarest in text, which for texts as short as most are beats making a
/// searcher. One is made where that byte turns out not to be rare: it is linear whatever there is in the text.
pub(crate) struct Places<'b> {
    bytes: &'b [u8],
    needle: &'b [u8],
    /// Where in the needle the rare byte stands.
    rare: usize,
    from: usize,
    /// Places of the byte where the needle does not stand.
    vain: usize,
    searcher: Option<Searcher<'b>>,
}

impl<'b> Places<'b> {
    fn new(bytes: &'b [u8], needle: &'b [u8]) -> Self {
        let rare = if bytes.len() < needle.len() { 0 } else { rarest(needle) };
        Self { bytes, needle, rare, from: 0, vain: 0, searcher: None }
    }

    fn search(&mut self) -> Option<usize> {
        let rest = self.bytes.get(self.from..)?;
        let searcher = self.searcher.get_or_insert_with(|| Searcher::new(self.needle));
        Some(self.from + searcher.find(rest, self.needle)?)
    }
}

impl Iterator for Places<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let &byte = self.needle.get(self.rare)?;
        let mut at = self.from + self.rare;
        let found = loop {
            if self.vain >= VAIN {
                break self.search()?;
            }
            at += memchr::memchr(byte, self.bytes.get(at..)?)?;
            let start = at - self.rare;
            if self.bytes.get(start..).is_some_and(|rest| rest.starts_with(self.needle)) {
                break start;
            }
            self.vain += 1;
            at += 1;
            self.from = at - self.rare;
        };
        self.from = found + self.needle.len();
        Some(found)
    }
}

/// So many places in vain cost about as much as a searcher.
const VAIN: usize = 16;

#[cfg(not(target_arch = "wasm32"))]
struct Searcher<'n>(memchr::memmem::Finder<'n>);

#[cfg(not(target_arch = "wasm32"))]
impl<'n> Searcher<'n> {
    fn new(needle: &'n [u8]) -> Self {
        Self(memchr::memmem::Finder::new(needle))
    }

    fn find(&self, bytes: &[u8], _: &[u8]) -> Option<usize> {
        self.0.find(bytes)
    }
}

/// Without vectors the other one does the same by way of much more code.
#[cfg(target_arch = "wasm32")]
struct Searcher<'n>(memchr::arch::all::twoway::Finder, std::marker::PhantomData<&'n [u8]>);

#[cfg(target_arch = "wasm32")]
impl<'n> Searcher<'n> {
    fn new(needle: &'n [u8]) -> Self {
        Self(memchr::arch::all::twoway::Finder::new(needle), std::marker::PhantomData)
    }

    fn find(&self, bytes: &[u8], needle: &[u8]) -> Option<usize> {
        self.0.find(bytes, needle)
    }
}

/// Which byte of `needle` is rare in text: the first one that is no letter or digit, else the least usual one.
fn rarest(needle: &[u8]) -> usize {
    const COMMON: &[u8] = b"umcdlrhsnioate";
    let common = |byte: &u8| COMMON.iter().position(|common| common == byte).map_or(0, |at| at + 1);
    let other = needle.iter().position(|byte| !byte.is_ascii_alphanumeric());
    other.unwrap_or_else(|| {
        let (mut best, mut rare) = (usize::MAX, 0);
        for (at, byte) in needle.iter().enumerate() {
            if common(byte) < best {
                (best, rare) = (common(byte), at);
            }
        }
        rare
    })
}

/// Where either of two bytes stands first in `bytes`; made for what is mostly short.
#[inline]
pub(crate) fn find_either(one: u8, other: u8, bytes: &[u8]) -> Option<usize> {
    let (mut rest, mut at) = (bytes, 0);
    while let Some(eight) = rest.first_chunk::<8>() {
        if at >= SHORT {
            return memchr::memchr2(one, other, rest).map(|found| at + found);
        }
        let eight = u64::from_le_bytes(*eight);
        let found = zeros(eight ^ (LOWEST * u64::from(one))) | zeros(eight ^ (LOWEST * u64::from(other)));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        rest = rest.get(8..).unwrap_or_default();
        at += 8;
    }
    rest.iter().position(|&byte| byte == one || byte == other).map(|found| at + found)
}

/// Marks the zero bytes of `eight` with their highest bit; of the marks only the lowest one is to be trusted.
fn zeros(eight: u64) -> u64 {
    eight.wrapping_sub(LOWEST) & !eight & LOWEST << 7
}

/// The lowest bit of each byte.
const LOWEST: u64 = 0x0101_0101_0101_0101;
/// Bytes after which a search by vectors pays.
const SHORT: usize = 32;

#[cfg(test)]
mod tests {
    use super::{VAIN, find, find_all, find_either};

    #[test]
    fn either_byte_is_found_wherever_it_stands() {
        for length in 0..80 {
            let mut text = vec![b'a'; length];
            assert_eq!(find_either(b'"', b'\\', &text), None);
            for at in 0..length {
                text.fill(b'a');
                text[at..].fill(0xa2);
                text[at] = if at % 2 == 0 { b'"' } else { b'\\' };
                text[length - 1] = b'"';
                assert_eq!(find_either(b'"', b'\\', &text), Some(at), "{length} {at}");
            }
        }
    }

    #[test]
    fn needles_are_found_by_their_rarest_byte() {
        for (text, needle, at) in [
            ("a:b://c", "://", Some(3)),
            ("db db.", "db.", Some(3)),
            ("--", "--", Some(0)),
            ("x-y-", "--", None),
            (".a", "a.", None),
        ] {
            assert_eq!(find(text.as_bytes(), needle.as_bytes()), at, "{text}");
        }
        assert_eq!((find(b"abc", b""), find(b"", b"abc")), (None, None));
    }

    #[test]
    fn needles_are_found_behind_many_places_in_vain() {
        // Around the number after which a searcher takes over, and far behind it.
        for before in [0, 1, VAIN - 1, VAIN, VAIN + 1, 500] {
            for between in [0, 1, VAIN + 3] {
                let filler = |count: usize| ".,".repeat(count);
                let text = format!("{}.x{}.x.x{}", filler(before), filler(between), filler(3));
                let naive: Vec<usize> = text.match_indices(".x").map(|(at, _)| at).collect();
                let found: Vec<usize> = find_all(text.as_bytes(), b".x").collect();
                assert_eq!(found, naive, "{before} {between}");
            }
        }
        // Places do not overlap.
        let rows = "-".repeat(101);
        assert_eq!(find_all(rows.as_bytes(), b"--").count(), 50);
    }
}
