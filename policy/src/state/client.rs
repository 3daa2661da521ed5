//! Whom something is counted for.

use std::net::{IpAddr, Ipv6Addr};

/// A client as the state knows it: an address, of IPv6 only the network that one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(u128);

impl Client {
    /// Bytes of its stored form.
    pub(crate) const BYTES: usize = 16;

    /// The client at `address`; of an IPv6 address the first `prefix` bits count.
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => {
                let bits = u32::from(prefix.min(128));
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Self(address.to_bits() & mask)
            }
        }
    }

    /// The address, or the first one of the network.
    pub fn address(self) -> IpAddr {
        Ipv6Addr::from_bits(self.0).to_canonical()
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    pub(crate) fn from_halves([low, high]: [u64; 2]) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }

    /// The two halves, which need no more alignment than a number of 64 bits.
    pub(crate) fn halves(self) -> [u64; 2] {
        let bytes = self.to_bytes();
        let half = |from: usize| {
            let mut out = [0; 8];
            out.copy_from_slice(bytes.get(from..from + 8).unwrap_or(&[0; 8]));
            u64::from_le_bytes(out)
        };
        [half(0), half(8)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str, prefix: u8) -> Client {
        Client::new(text.parse().unwrap(), prefix)
    }

    #[test]
    fn an_ipv6_client_is_a_network() {
        assert_eq!(client("2001:db8::1", 64), client("2001:db8::ffff:1", 64));
        assert_ne!(client("2001:db8::1", 64), client("2001:db8:0:1::1", 64));
        assert_ne!(client("2001:db8::1", 128), client("2001:db8::2", 128));
        assert_eq!(client("2001:db8::1", 0), client("::2", 0));
    }

    #[test]
    fn an_ipv4_client_is_one_address_however_written() {
        assert_eq!(client("::ffff:192.0.2.1", 64), client("192.0.2.1", 64));
        assert_ne!(client("192.0.2.1", 64), client("192.0.2.2", 64));
        assert_eq!(client("192.0.2.1", 64).address().to_string(), "192.0.2.1");
        assert_eq!(client("2001:db8::5", 64).address().to_string(), "2001:db8::");
    }
}
