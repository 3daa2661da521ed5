//! HTML character references: numeric ones, and the named ones that stand for ASCII.

use memchr::memchr;

use crate::scan::{Cursor, hex_digit};

/// Replaces the references in `bytes`; none where there is none.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut cursor = Cursor::new(bytes);
    let mut changed = false;
    while let Some(n) = memchr(b'&', cursor.rest()) {
        let from = cursor.at();
        cursor.skip(n);
        out.extend_from_slice(cursor.since(from));
        let mut ahead = cursor;
        ahead.skip(1);
        match reference(&mut ahead) {
            Some(c) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                cursor = ahead;
                changed = true;
            }
            None => {
                out.push(b'&');
                cursor.skip(1);
            }
        }
    }
    out.extend_from_slice(cursor.rest());
    changed.then_some(out)
}

fn reference(cursor: &mut Cursor<'_>) -> Option<char> {
    if cursor.eat(b"#") {
        return numeric(cursor);
    }
    let start = cursor.at();
    let name = cursor.take_while(|byte| byte.is_ascii_alphabetic());
    if cursor.eat(b";")
        && let Some((_, c)) = NAMED.iter().find(|(known, _)| known.as_bytes() == name)
    {
        return Some(*c);
    }
    // The oldest names need no semicolon.
    let (old, c) = OLD.iter().find(|(old, _)| name.starts_with(old.as_bytes()))?;
    cursor.seek(start + old.len());
    cursor.eat(b";");
    Some(*c)
}

fn numeric(cursor: &mut Cursor<'_>) -> Option<char> {
    let radix = if cursor.eat(b"x") || cursor.eat(b"X") { 16 } else { 10 };
    let digits =
        cursor.take_while(|byte| if radix == 16 { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() });
    if digits.is_empty() {
        return None;
    }
    cursor.eat(b";");
    let code = digits.iter().try_fold(0_u32, |code, &digit| {
        code.checked_mul(radix)?.checked_add(hex_digit(digit)?.into()).filter(|code| *code <= 0x10_ffff)
    })?;
    char::from_u32(code)
}

const OLD: &[(&str, char)] = &[
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("amp", '&'),
    ("nbsp", ' '),
    ("LT", '<'),
    ("GT", '>'),
    ("QUOT", '"'),
    ("AMP", '&'),
];

const NAMED: &[(&str, char)] = &[
    ("apos", '\''),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("DiacriticalGrave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("VerticalLine", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("hyphen", '-'),
    ("dash", '-'),
    ("shy", '\u{ad}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
];
