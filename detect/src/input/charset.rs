//! Bodies in character sets that hide their ASCII: UTF-16, UTF-32, UTF-7 and EBCDIC.

use std::borrow::Cow;

use crate::decode;

/// `body` in ASCII-compatible bytes; owned where it was in another character set.
pub(crate) fn ascii_compatible<'a>(body: &'a [u8], content_type: &[u8]) -> Cow<'a, [u8]> {
    let charset = charset(content_type).to_ascii_lowercase();
    match charset.as_slice() {
        b"utf-7" | b"unicode-1-1-utf-7" => decode::utf7(body).map_or(Cow::Borrowed(body), Cow::Owned),
        b"ibm037" | b"cp037" | b"ibm500" | b"cp500" | b"ibm1047" | b"ibm01140" => Cow::Owned(ebcdic(body)),
        _ => match wide(body) {
            Some((width, order, skip)) => {
                Cow::Owned(narrow(body.get(skip..).unwrap_or_default(), width, order))
            }
            None => Cow::Borrowed(body),
        },
    }
}

/// The `charset` parameter of a Content-Type.
fn charset(content_type: &[u8]) -> &[u8] {
    let mut parameters = content_type.split(|&byte| byte == b';').skip(1).map(<[u8]>::trim_ascii);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_at_checked(8)?;
        name.eq_ignore_ascii_case(b"charset=").then_some(value)
    });
    let value = value.unwrap_or_default();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

/// The width of a character, the byte order and the length of the byte order mark, by the mark or by the NULs that
/// ASCII leaves in a wide character.
fn wide(body: &[u8]) -> Option<(usize, Order, usize)> {
    match *body {
        [0xff, 0xfe, 0, 0, ..] => Some((4, Order::Little, 4)),
        [0, 0, 0xfe, 0xff, ..] => Some((4, Order::Big, 4)),
        [0xff, 0xfe, ..] => Some((2, Order::Little, 2)),
        [0xfe, 0xff, ..] => Some((2, Order::Big, 2)),
        [0, 0, 0, 1..=0x7f, 0, 0, 0, 1..=0x7f, ..] => Some((4, Order::Big, 0)),
        [1..=0x7f, 0, 0, 0, 1..=0x7f, 0, 0, 0, ..] => Some((4, Order::Little, 0)),
        [0, 1..=0x7f, 0, 1..=0x7f, 0, 1..=0x7f, ..] => Some((2, Order::Big, 0)),
        [1..=0x7f, 0, 1..=0x7f, 0, 1..=0x7f, 0, ..] => Some((2, Order::Little, 0)),
        _ => None,
    }
}

fn narrow(body: &[u8], width: usize, order: Order) -> Vec<u8> {
    let unit = |bytes: &[u8]| {
        let value = bytes.iter().fold(0_u32, |value, &byte| value << 8 | u32::from(byte));
        if order == Order::Big { value } else { value.swap_bytes() >> (32 - 8 * bytes.len()) }
    };
    let units = body.chunks_exact(width).map(unit);
    let text: String = if width == 2 {
        let units = units.map(|unit| u16::try_from(unit).unwrap_or_default());
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    } else {
        units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    text.into_bytes()
}

/// The code page 037 letters, digits and signs; its relatives differ in signs that few attacks need.
fn ebcdic(body: &[u8]) -> Vec<u8> {
    body.iter().map(|&byte| EBCDIC.get(usize::from(byte)).copied().unwrap_or(b'?')).collect()
}

const EBCDIC: [u8; 256] = {
    let mut table = [b'?'; 256];
    let runs: [(usize, &[u8]); 18] = [
        (0x40, b" "),
        (0x4b, b".<(+|&"),
        (0x5a, b"!$*);"),
        (0x60, b"-/"),
        (0x6b, b",%_>?"),
        (0x79, b"`:#@'=\""),
        (0x81, b"abcdefghi"),
        (0x91, b"jklmnopqr"),
        (0xa1, b"~stuvwxyz"),
        (0xb0, b"^"),
        (0xba, b"[]"),
        (0xc0, b"{ABCDEFGHI"),
        (0xd0, b"}JKLMNOPQR"),
        (0xe0, b"\\"),
        (0xe2, b"STUVWXYZ"),
        (0xf0, b"0123456789"),
        (0x0d, b"\r"),
        (0x25, b"\n"),
    ];
    let mut run = 0;
    while run < runs.len() {
        let mut n = 0;
        while n < runs[run].1.len() {
            table[runs[run].0 + n] = runs[run].1[n];
            n += 1;
        }
        run += 1;
    }
    table[0x15] = b'\n';
    table[0x05] = b'\t';
    table
};
