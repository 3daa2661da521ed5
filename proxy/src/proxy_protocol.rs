//! The PROXY protocol, versions 1 and 2: the client's address as a load balancer in front tells it.
//!
//! Source: the PROXY protocol specification of HAProxy, sections 2.1 and 2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of either version that is read: version 1 has at most 107 bytes, version 2 a 16-byte start and
/// whatever length it names, of which more than this is nobody's.
pub(crate) const MOST_BYTES: usize = 16 + 2048;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    /// The client's address; `None` where the header says that the peer speaks for itself (`LOCAL`, `UNKNOWN`).
    pub client: Option<SocketAddr>,
    /// Bytes of the header.
    pub len: usize,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    Incomplete {
        /// How many of them are certain to belong to the header; at least one.
        more: usize,
    },
    /// The header is whole.
    Complete(Preamble),
}

/// What is not a PROXY protocol header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY protocol header")]
pub(crate) struct NotAPreamble;

/// Reads the header at the start of `bytes`.
///
/// # Errors
/// As soon as `bytes` can no longer become a header, or one longer than [`MOST_BYTES`].
pub(crate) fn read(bytes: &[u8]) -> Result<Progress, NotAPreamble> {
    let signature = SIGNATURE.get(..bytes.len()).unwrap_or(&SIGNATURE);
    if bytes.starts_with(signature) && !bytes.is_empty() {
        return version2(bytes);
    }
    version1(bytes)
}

fn version1(bytes: &[u8]) -> Result<Progress, NotAPreamble> {
    const MOST: usize = 107;
    let start = b"PROXY ";
    if !bytes.starts_with(start.get(..bytes.len()).unwrap_or(start)) {
        return Err(NotAPreamble);
    }
    let head = bytes.get(..MOST).unwrap_or(bytes);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= MOST { Err(NotAPreamble) } else { Ok(Progress::Incomplete { more: 1 }) };
    };
    let line = head.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(NotAPreamble)?;
    let len = end + 2;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, _, port, _] => {
            let ip: IpAddr = source.parse().map_err(|_| NotAPreamble)?;
            if ip.is_ipv4() != (*family == "TCP4") {
                return Err(NotAPreamble);
            }
            Some(SocketAddr::new(ip, port.parse().map_err(|_| NotAPreamble)?))
        }
        _ => return Err(NotAPreamble),
    };
    Ok(Progress::Complete(Preamble { client, len }))
}

fn version2(bytes: &[u8]) -> Result<Progress, NotAPreamble> {
    let Some((start, rest)) = bytes.split_at_checked(16) else {
        return Ok(Progress::Incomplete { more: 16 - bytes.len() });
    };
    let &[version_command, family, high, low] = start.last_chunk::<4>().ok_or(NotAPreamble)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let len = 16 + length;
    if len > MOST_BYTES {
        return Err(NotAPreamble);
    }
    let Some(addresses) = rest.get(..length) else {
        return Ok(Progress::Incomplete { more: length - rest.len() });
    };
    let client = match (version_command, family) {
        (0x20, _) => None,
        (0x21, 0x11) => {
            let (ip, port) = (addresses.first_chunk::<4>(), addresses.get(8..10));
            let (Some(&ip), Some(&[high, low])) = (ip, port) else { return Err(NotAPreamble) };
            Some(SocketAddr::new(Ipv4Addr::from(ip).into(), u16::from_be_bytes([high, low])))
        }
        (0x21, 0x21) => {
            let (ip, port) = (addresses.first_chunk::<16>(), addresses.get(32..34));
            let (Some(&ip), Some(&[high, low])) = (ip, port) else { return Err(NotAPreamble) };
            Some(SocketAddr::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes([high, low])))
        }
        // Other families carry no IP address; the peer then counts as the client.
        (0x21, _) => None,
        _ => return Err(NotAPreamble),
    };
    Ok(Progress::Complete(Preamble { client, len }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(bytes: &[u8]) -> Option<SocketAddr> {
        for end in 0..bytes.len() {
            match read(&bytes[..end]) {
                Ok(Progress::Incomplete { more }) => {
                    assert!((1..=bytes.len() - end).contains(&more), "cut at {end}");
                }
                other => panic!("cut at {end}: {other:?}"),
            }
        }
        match read(&[bytes, b"GET / HTTP/1.1\r\n"].concat()).unwrap() {
            Progress::Complete(preamble) => {
                assert_eq!(preamble.len, bytes.len());
                preamble.client
            }
            Progress::Incomplete { .. } => panic!("incomplete"),
        }
    }

    #[test]
    fn reads_version_1() {
        assert_eq!(client(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"), "192.0.2.7:4711".parse().ok());
        assert_eq!(
            client(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"),
            "[2001:db8::7]:4711".parse().ok()
        );
        assert_eq!(client(b"PROXY UNKNOWN\r\n"), None);
        assert_eq!(client(b"PROXY UNKNOWN ffff:f f 1 2\r\n"), None);
    }

    #[test]
    fn reads_version_2() {
        let v4 =
            [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0, 80]].concat();
        assert_eq!(client(&v4), "192.0.2.7:4711".parse().ok());
        let ip: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let v6 =
            [&SIGNATURE[..], &[0x21, 0x21, 0, 36], &ip.octets(), &ip.octets(), &[0x12, 0x67, 0, 80]].concat();
        assert_eq!(client(&v6), "[2001:db8::7]:4711".parse().ok());
        let with_tlv =
            [&SIGNATURE[..], &[0x21, 0x11, 0, 15, 192, 0, 2, 7, 0, 0, 0, 0, 0x12, 0x67, 0, 80, 4, 0, 0]]
                .concat();
        assert_eq!(client(&with_tlv), "192.0.2.7:4711".parse().ok());
        assert_eq!(client(&[&SIGNATURE[..], &[0x20, 0, 0, 0]].concat()), None);
    }

    #[test]
    fn refuses_what_is_none() {
        for wrong in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 99999 80\r\n",
            b"PROXY TCP4 192.0.2.7\r\n",
            b"\r\n\r\n\0\r\nNOPE\n\x21\x11\0\x0c",
            &[&SIGNATURE[..], &[0x31, 0x11, 0, 0]].concat(),
            &[&SIGNATURE[..], &[0x21, 0x11, 0, 2, 1, 2]].concat(),
            &[&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat(),
            &[b"PROXY "[..].to_vec(), vec![b'a'; 200]].concat(),
        ] {
            assert_eq!(read(wrong), Err(NotAPreamble), "{}", wrong.escape_ascii());
        }
    }
}
