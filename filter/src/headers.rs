//! Header maps as the host hands them over: one buffer, read in place.

/// An ordered list of header pairs; names and values are bytes.
///
/// Layout: the count, then the lengths of each name and value, then each name and value followed by a zero byte; all
/// numbers are 32 bits, little endian.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    buffer: Vec<u8>,
    /// A bit for each [`kind`] of name that there is: most names that are asked for are not there.
    kinds: u64,
}

impl Headers {
    /// Takes a buffer of the host. Whatever of it breaks the layout is left out.
    pub fn new(buffer: Vec<u8>) -> Self {
        let mut headers = Self { buffer, kinds: 0 };
        headers.kinds = headers.iter().fold(0, |kinds, (name, _)| kinds | kind(name));
        headers
    }

    /// Writes pairs in the layout that the host reads.
    pub fn from_pairs(pairs: &[(&[u8], &[u8])]) -> Self {
        let text: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
        let mut buffer = Vec::with_capacity(4 + text);
        push_length(&mut buffer, pairs.len());
        for (name, value) in pairs {
            push_length(&mut buffer, name.len());
            push_length(&mut buffer, value.len());
        }
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            buffer.extend_from_slice(part);
            buffer.push(0);
        }
        Self::new(buffer)
    }

    /// The buffer.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The pairs in order.
    #[inline]
    pub fn iter(&self) -> Pairs<'_> {
        let (count, rest) = self.buffer.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let table = length(count).saturating_mul(8);
        let (lengths, text) = rest.split_at_checked(table).unwrap_or((&[], &[]));
        Pairs { lengths: lengths.as_chunks().0.iter(), text }
    }

    /// The first value of a name in lower case, which is how the host has names.
    pub fn first(&self, wanted: &str) -> Option<&[u8]> {
        if self.kinds & kind(wanted.as_bytes()) == 0 {
            return None;
        }
        self.iter().find(|(name, _)| *name == wanted.as_bytes()).map(|(_, value)| value)
    }
}

/// The pairs of [`Headers`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    lengths: std::slice::Iter<'a, [u8; 8]>,
    text: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d, rest @ ..] = self.lengths.next()?;
        let name = take(&mut self.text, length(&[*a, *b, *c, *d]))?;
        let value = take(&mut self.text, length(rest))?;
        Some((name, value))
    }
}

/// A host without its port and without the dot that ends a full name.
pub(crate) fn without_port(authority: &[u8]) -> &[u8] {
    let digits = authority.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let end = authority.len() - digits;
    let host = match authority.get(..end).and_then(|start| start.strip_suffix(b":")) {
        Some(host) if !host.is_empty() => host,
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// Whether `name` begins with `start`, which is in lower case, for an application that can not tell `_` from `-`.
pub(crate) fn starts_as(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len()).is_some_and(|have| {
        have.iter().zip(start).all(|(have, want)| {
            let have = if *have == b'_' { b'-' } else { have.to_ascii_lowercase() };
            have == *want
        })
    })
}

/// Whether a field has no place among trailers: it says how a message is framed or read, where it goes or whom it is from,
/// and that was decided by the headers (RFC 9110 section 6.5.1).
pub(crate) fn is_for_headers(name: &[u8]) -> bool {
    const OTHERS: [&[u8]; 7] = [
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
    ];
    let mut names = FRAMING.iter().chain(&OTHERS);
    name.starts_with(b":") || names.any(|known| known.len() == name.len() && starts_as(name, known))
}

/// What says how a message is framed or where it goes.
pub(crate) const FRAMING: [&[u8]; 7] =
    [b"host", b"connection", b"content-length", b"transfer-encoding", b"te", b"trailer", b"upgrade"];

/// Whether every application reads this path alike: nothing encoded, no dot segment, no empty one, no parameter.
pub(crate) fn is_plain_path(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && !path.iter().any(|byte| matches!(byte, b'%' | b'\\' | b';' | b'#' | 0..=0x20 | 0x7f..))
        && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

/// One of 64 bits, by a name's length and its last byte.
fn kind(name: &[u8]) -> u64 {
    let last = name.last().copied().unwrap_or_default();
    1 << ((name.len() + 7 * usize::from(last)) % 64)
}

fn push_length(buffer: &mut Vec<u8>, length: usize) {
    buffer.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn length(bytes: &[u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or(usize::MAX)
}

/// Takes `length` bytes and the zero after them.
#[inline(always)]
fn take<'a>(text: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (part, rest) = text.split_at_checked(length)?;
    *text = rest.split_first()?.1;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &Headers) -> Vec<(&[u8], &[u8])> {
        headers.iter().collect()
    }

    #[test]
    fn keeps_order_duplicates_and_bytes() {
        let given: [(&[u8], &[u8]); 4] = [(b":path", b"/"), (b"a", b"\xff\x00"), (b"b", b""), (b"a", b"2")];
        let headers = Headers::from_pairs(&given);
        assert_eq!(pairs(&headers), given);
        assert_eq!(headers.first("a"), Some(&b"\xff\x00"[..]));
        assert_eq!(headers.first("c"), None);
    }

    #[test]
    fn reads_what_is_whole_of_a_buffer_cut_anywhere() {
        let whole = Headers::from_pairs(&[(b"one", b"1"), (b"two", b"2")]);
        for end in 0..whole.as_bytes().len() {
            let cut = Headers::new(whole.as_bytes()[..end].to_vec());
            let read = pairs(&cut).len();
            assert!(read < 2, "{end} bytes gave {read} pairs");
        }
    }

    #[test]
    fn survives_lengths_that_lie() {
        assert_eq!(pairs(&Headers::new(vec![0xff; 64])), []);
        let mut lying = Headers::from_pairs(&[(b"name", b"value")]).buffer;
        lying[4] = 0xff;
        assert_eq!(pairs(&Headers::new(lying)), []);
    }
}
