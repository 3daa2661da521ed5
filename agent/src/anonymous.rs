//! Addresses that stand for others: what is written down tells clients apart, not who they are.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of the hash.
#[derive(Clone)]
pub struct Anonymous(Hmac<Sha256>);

impl fmt::Debug for Anonymous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anonymous")
    }
}

impl Anonymous {
    /// Hashes with `key`.
    pub fn new(key: &[u8]) -> Self {
        // A key of any length will do; the alternative would be to write addresses down as they are.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&[0; 64].into())))
    }

    /// The address that stands for `address`: always the same, in the block of IPv6 that nobody routes.
    pub fn of(&self, address: IpAddr) -> IpAddr {
        let mut hash = self.0.clone();
        match address.to_canonical() {
            IpAddr::V4(address) => hash.update(&address.octets()),
            IpAddr::V6(address) => hash.update(&address.octets()),
        }
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash.finalize().into_bytes()).for_each(|(byte, of_hash)| *byte = of_hash);
        if let Some(first) = bytes.first_mut() {
            *first = 0xfd;
        }
        Ipv6Addr::from(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_clients_apart_and_hides_who_they_are() {
        let (key, other) = (Anonymous::new(b"key"), Anonymous::new(b"other"));
        let of = |key: &Anonymous, text: &str| key.of(text.parse().unwrap());
        assert_eq!(of(&key, "192.0.2.1"), of(&key, "::ffff:192.0.2.1"));
        assert_ne!(of(&key, "192.0.2.1"), of(&key, "192.0.2.2"));
        assert_ne!(of(&key, "192.0.2.1"), of(&other, "192.0.2.1"));
        assert!(of(&key, "192.0.2.1").to_string().starts_with("fd"));
        assert!(!format!("{key:?}").contains("key"));
    }
}
