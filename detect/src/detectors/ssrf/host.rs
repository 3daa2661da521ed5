//! Hosts as the programs that connect to them read them: numbers in any base, IPv6 that holds IPv4, names that
//! resolve inward, letters and digits in circles.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::lists;
use crate::scan::hex_digit;

/// Where a host lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Somewhere on the net.
    Public,
    /// The server's own network, or a cluster's inner names.
    Private,
    /// The server itself.
    Loopback,
    /// A cloud's metadata service.
    Metadata,
}

/// How a host is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As people and programs write it.
    Plain,
    /// In a way that only serves to get past a filter.
    Odd,
}

const METADATA_NAMES: &[&str] = lists::list!("metadata-names.txt");
const LOOPBACK_NAMES: &[&str] = lists::list!("loopback-names.txt");
const INNER_SUFFIXES: &[&str] = lists::list!("inner-suffixes.txt");
/// DNS services that answer with the address written in the name.
const WILDCARD_DNS: [&[u8]; 6] =
    [b".nip.io", b".sslip.io", b".xip.io", b".rbndr.us", b".1u.ms", b".traefik.me"];

/// Reads `host`, which may stand in brackets, without its port.
pub(super) fn read(host: &[u8]) -> (Reach, Spelling) {
    if let Some(address) = host.strip_prefix(b"[") {
        return address.strip_suffix(b"]").and_then(v6).unwrap_or((Reach::Public, Spelling::Plain));
    }
    let (host, circled) = unfold(host);
    let host: &[u8] = host.strip_suffix(b".").unwrap_or(&host);
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    let circled = circled && host.iter().all(is_host);
    let (reach, spelling) = match numbers(host) {
        Some((address, spelling)) => {
            let (reach, usual) = v4(address);
            (reach, if usual == Spelling::Odd { usual } else { spelling })
        }
        None => name(host),
    };
    (reach, if circled { Spelling::Odd } else { spelling })
}

/// Undoes circled, parenthesised and ideographic forms, and backslashes strewn between letters.
fn unfold(host: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if !host.iter().any(|&byte| byte == 0xe2 || byte == 0xe3 || byte == b'\\') {
        return (Cow::Borrowed(host), false);
    }
    let text = String::from_utf8_lossy(host);
    let mut odd = false;
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let plain = unfold_letter(letter);
        odd |= plain != Some(letter) && letter != '。';
        out.extend(plain);
    }
    (Cow::Owned(out.into_bytes()), odd)
}

fn unfold_letter(letter: char) -> Option<char> {
    let code = u32::from(letter);
    // The blocks Enclosed Alphanumerics and CJK Symbols: each run counts up from a first letter or digit.
    let run = |first: u32, plain: char| char::from_u32(u32::from(plain) + (code - first));
    match code {
        0x2460..=0x2468 => run(0x2460, '1'),
        0x2474..=0x247c => run(0x2474, '1'),
        0x2488..=0x2490 => run(0x2488, '1'),
        0x249c..=0x24b5 => run(0x249c, 'a'),
        0x24b6..=0x24cf => run(0x24b6, 'a'),
        0x24d0..=0x24e9 => run(0x24d0, 'a'),
        0x24ea | 0x24ff => Some('0'),
        0x24f5..=0x24fd => run(0x24f5, '1'),
        0x3002 => Some('.'),
        0x5c => None,
        _ => Some(letter),
    }
}

/// Reads the one to four numbers that `inet_aton` accepts.
fn numbers(host: &[u8]) -> Option<(Ipv4Addr, Spelling)> {
    if !host.first()?.is_ascii_digit() {
        return None;
    }
    let mut address: u64 = 0;
    let mut spelling = Spelling::Plain;
    let parts = host.split(|&byte| byte == b'.').count();
    if parts > 4 {
        return None;
    }
    for (index, part) in host.split(|&byte| byte == b'.').enumerate() {
        let (number, usual) = number(part)?;
        let last = index + 1 == parts;
        let bits = if last { 8 * (5 - parts) } else { 8 };
        if !usual || parts < 4 || number > 0xff {
            spelling = Spelling::Odd;
        }
        // Numbers too large wrap in some resolvers; that is what they are written for.
        address = address << bits | number & ((1_u64 << bits) - 1);
    }
    // A lone small number is no address that anybody means.
    if parts == 1 && (1..1 << 24).contains(&address) {
        return None;
    }
    Some((Ipv4Addr::from(u32::try_from(address).ok()?), spelling))
}

/// A number in decimal, octal or hexadecimal, and whether it is plain decimal.
fn number(part: &[u8]) -> Option<(u64, bool)> {
    let fold = |digits: &[u8], base: u64| {
        let mut number = 0_u64;
        for &digit in digits {
            let digit = u64::from(hex_digit(digit)?);
            number = number.wrapping_mul(base).wrapping_add((digit < base).then_some(digit)?);
        }
        (!digits.is_empty()).then_some(number)
    };
    match part {
        [b'0', b'x' | b'X', digits @ ..] => Some((fold(digits, 16)?, false)),
        [b'0', digits @ ..] if !digits.is_empty() => {
            Some((fold(digits, 8).or_else(|| fold(digits, 10))?, false))
        }
        digits => Some((fold(digits, 10)?, true)),
    }
}

fn v4(address: Ipv4Addr) -> (Reach, Spelling) {
    match address.octets() {
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [169, 254, 0, 23] => {
            (Reach::Metadata, Spelling::Plain)
        }
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => (Reach::Metadata, Spelling::Plain),
        [127, 0, 0, 1] => (Reach::Loopback, Spelling::Plain),
        [127, ..] | [0, ..] => (Reach::Loopback, Spelling::Odd),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            (Reach::Private, Spelling::Plain)
        }
        [169, 254, ..] => (Reach::Private, Spelling::Odd),
        _ => (Reach::Public, Spelling::Plain),
    }
}

fn v6(text: &[u8]) -> Option<(Reach, Spelling)> {
    let zone = text.iter().position(|&byte| byte == b'%').unwrap_or(text.len());
    let address: Ipv6Addr = std::str::from_utf8(text.get(..zone)?).ok()?.parse().ok()?;
    let inner = |high: u16, low: u16| {
        let (reach, _) = v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
        (reach, if reach == Reach::Public { Spelling::Plain } else { Spelling::Odd })
    };
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => (Reach::Loopback, Spelling::Plain),
        [0, 0, 0, 0, 0, 0, 0, 0] => (Reach::Loopback, Spelling::Odd),
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => inner(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => inner(high, low),
        [0xfd00, 0xec2, .., 0x254 | 0x23] | [0xfd20, 0xce, .., 0x254] => (Reach::Metadata, Spelling::Plain),
        [0xfe80..=0xfebf, ..] => (Reach::Private, Spelling::Odd),
        [0xfc00..=0xfdff, ..] => (Reach::Private, Spelling::Plain),
        _ => (Reach::Public, Spelling::Plain),
    })
}

fn name(host: &[u8]) -> (Reach, Spelling) {
    if host.eq_ignore_ascii_case(b"localhost") || ends_with(host, b".localhost") {
        return (Reach::Loopback, Spelling::Plain);
    }
    if lists::holds(METADATA_NAMES, host) {
        return (Reach::Metadata, Spelling::Plain);
    }
    if lists::holds(LOOPBACK_NAMES, host) {
        return (Reach::Loopback, Spelling::Odd);
    }
    if INNER_SUFFIXES.iter().any(|suffix| ends_with(host, suffix.as_bytes())) {
        return (Reach::Private, Spelling::Odd);
    }
    let embedded = WILDCARD_DNS.iter().find(|suffix| ends_with(host, suffix));
    match embedded.and_then(|suffix| self::embedded(host.get(..host.len() - suffix.len())?)) {
        Some(address) if v4(address).0 != Reach::Public => (v4(address).0, Spelling::Odd),
        _ => (Reach::Public, Spelling::Plain),
    }
}

/// The address written at the end of `name`: four numbers between dots or hyphens, or eight hex digits.
fn embedded(name: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = name.rsplit(|&byte| byte == b'.' || byte == b'-');
    let text = std::str::from_utf8(octets.clone().next()?).ok()?;
    if text.len() == 8
        && let Ok(address) = u32::from_str_radix(text, 16)
    {
        return Some(Ipv4Addr::from(address));
    }
    let mut octet = || std::str::from_utf8(octets.next()?).ok()?.parse::<u8>().ok();
    let (d, c, b, a) = (octet()?, octet()?, octet()?, octet()?);
    Some(Ipv4Addr::new(a, b, c, d))
}

fn ends_with(host: &[u8], suffix: &[u8]) -> bool {
    host.len()
        .checked_sub(suffix.len())
        .and_then(|at| host.get(at..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use super::{Reach, Spelling, read};

    #[test]
    fn reads_hosts_as_resolvers_do() {
        use Reach::{Loopback, Metadata, Private, Public};
        use Spelling::{Odd, Plain};
        for (host, expected) in [
            ("www.example.com", (Public, Plain)),
            ("8.8.8.8", (Public, Plain)),
            ("2024", (Public, Plain)),
            ("3com.example", (Public, Plain)),
            ("1.2.3.4.5", (Public, Plain)),
            ("localhost", (Loopback, Plain)),
            ("LOCALHOST.", (Loopback, Plain)),
            ("127.0.0.1", (Loopback, Plain)),
            ("127.1", (Loopback, Odd)),
            ("127.8.8.8", (Loopback, Odd)),
            ("2130706433", (Loopback, Odd)),
            ("0x7f000001", (Loopback, Odd)),
            ("0177.0.0.01", (Loopback, Odd)),
            ("0", (Loopback, Odd)),
            ("10.1.2.3", (Private, Plain)),
            ("0xa.1.2.3", (Private, Odd)),
            ("172.31.0.9", (Private, Plain)),
            ("172.32.0.9", (Public, Plain)),
            ("169.254.169.254", (Metadata, Plain)),
            ("0xA9FEA9FE", (Metadata, Odd)),
            ("425.510.425.510", (Metadata, Odd)),
            ("[::1]", (Loopback, Plain)),
            ("[::]", (Loopback, Odd)),
            ("[::ffff:127.0.0.1]", (Loopback, Odd)),
            ("[::ffff:a9fe:a9fe]", (Metadata, Odd)),
            ("[2001:db8::1]", (Public, Plain)),
            ("[fe80::1%eth0]", (Private, Odd)),
            ("metadata.google.internal", (Metadata, Plain)),
            ("10.0.0.7.nip.io", (Private, Odd)),
            ("app-127-0-0-1.sslip.io", (Loopback, Odd)),
            ("7f000001.nip.io", (Loopback, Odd)),
            ("8.8.8.8.nip.io", (Public, Plain)),
            ("①②⑦.⓪.⓪.①", (Loopback, Odd)),
            ("ⓁⓄⒸⒶⓁⒽⓄⓈⓉ", (Loopback, Odd)),
            ("\\l\\ocalhost", (Loopback, Odd)),
            ("例え。jp", (Public, Plain)),
            ("*[@id=\\", (Public, Plain)),
            ("", (Public, Plain)),
        ] {
            assert_eq!(read(host.as_bytes()), expected, "{host}");
        }
    }
}
