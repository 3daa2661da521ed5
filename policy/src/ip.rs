//! Sets of addresses: single ones, networks, and patterns with an octet left open.

use std::net::{IpAddr, Ipv4Addr};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// An address, a network, or a pattern, as policies write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// The first bits of an address; those of IPv4 stand where IPv6 maps them.
    Net { bits: u128, length: u8 },
    /// `192.0.*.1`.
    Open([Option<u8>; 4]),
}

/// Addresses with a value each; of several networks the narrowest counts.
#[derive(Clone, Debug)]
pub(crate) struct IpMap<V> {
    /// Lengths of prefixes that there are, the longest first.
    lengths: Vec<u8>,
    nets: HashMap<(u8, u128), V, FixedState>,
    open: Vec<([Option<u8>; 4], V)>,
}

impl<V> Default for IpMap<V> {
    fn default() -> Self {
        Self { lengths: Vec::new(), nets: HashMap::default(), open: Vec::new() }
    }
}

impl Pattern {
    /// Reads `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32` or `192.0.2.*`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((address, length)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let length: u8 = length.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (length <= most).then(|| Self::net(address, length));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::net(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        let mut octets = text.split('.');
        let mut next = || match octets.next()? {
            "*" => Some(None),
            octet => octet.parse().ok().map(Some),
        };
        let open = [next()?, next()?, next()?, next()?];
        octets.next().is_none().then(|| Self::from_open(open))
    }

    /// `192.0.*.*` is a network like any other.
    fn from_open(open: [Option<u8>; 4]) -> Self {
        let known = open.iter().take_while(|octet| octet.is_some()).count();
        if open.iter().skip(known).any(Option::is_some) {
            return Self::Open(open);
        }
        let address = Ipv4Addr::from(open.map(Option::unwrap_or_default));
        Self::net(address.into(), u8::try_from(8 * known).unwrap_or(32))
    }

    fn net(address: IpAddr, length: u8) -> Self {
        let length = if address.is_ipv4() { length + 96 } else { length };
        Self::Net { bits: bits(address) & mask(length), length }
    }

    /// Whether `address` is meant.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::Net { bits: net, length } => bits(address) & mask(*length) == *net,
            Self::Open(open) => is_open(open, address),
        }
    }
}

impl<V> IpMap<V> {
    /// Adds a pattern; one that is there keeps its value.
    pub(crate) fn insert(&mut self, pattern: Pattern, value: V) {
        match pattern {
            Pattern::Net { bits, length } => {
                if !self.lengths.contains(&length) {
                    self.lengths.push(length);
                    self.lengths.sort_unstable_by(|a, b| b.cmp(a));
                }
                self.nets.entry((length, bits)).or_insert(value);
            }
            Pattern::Open(open) => self.open.push((open, value)),
        }
    }

    /// The values of all patterns that mean `address`, the narrowest first.
    pub(crate) fn all(&self, address: IpAddr) -> impl Iterator<Item = &V> {
        let bits = bits(address);
        let nets =
            self.lengths.iter().filter_map(move |length| self.nets.get(&(*length, bits & mask(*length))));
        let open = self.open.iter().filter(move |(open, _)| is_open(open, address));
        nets.chain(open.map(|(_, value)| value))
    }

    /// Whether any pattern means `address`.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.all(address).next().is_some()
    }

    pub(crate) fn get_mut(&mut self, pattern: &Pattern) -> Option<&mut V> {
        match pattern {
            Pattern::Net { bits, length } => self.nets.get_mut(&(*length, *bits)),
            Pattern::Open(open) => {
                self.open.iter_mut().find(|(known, _)| known == open).map(|(_, value)| value)
            }
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Net { bits, length } => {
                let address = std::net::Ipv6Addr::from_bits(*bits);
                match address.to_ipv4_mapped() {
                    Some(address) if *length >= 96 => write!(f, "{address}/{}", length - 96),
                    _ => write!(f, "{address}/{length}"),
                }
            }
            Self::Open(open) => {
                let octet = |octet: &Option<u8>| octet.map_or("*".to_owned(), |octet| octet.to_string());
                f.write_str(&open.iter().map(octet).collect::<Vec<_>>().join("."))
            }
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

fn is_open(open: &[Option<u8>; 4], address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mut octets = open.iter().zip(address.octets());
            octets.all(|(open, octet)| open.is_none_or(|open| open == octet))
        }
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(pattern: &str, address: &str) -> bool {
        Pattern::parse(pattern).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn reads_addresses_networks_and_patterns() {
        for (pattern, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.77/24", "192.0.2.1", "192.0.3.0"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("192.0.*.*", "192.0.9.9", "192.1.0.0"),
            ("192.*.2.1", "192.77.2.1", "192.77.2.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ] {
            if pattern != "::/0" {
                assert!(!means(pattern, outside), "{pattern} {outside}");
            }
            assert!(means(pattern, inside), "{pattern} {inside}");
        }
        for text in ["", "x", "192.0.2", "192.0.2.1/33", "2001:db8::/129", "192.0.2.300", "192.0.2.*.*", "*"]
        {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_narrowest_network_comes_first() {
        let mut map = IpMap::default();
        for (text, value) in [("10.0.0.0/8", 8), ("10.1.0.0/16", 16), ("10.1.2.3", 32), ("10.*.2.3", 1)] {
            map.insert(Pattern::parse(text).unwrap(), value);
        }
        let all: Vec<_> = map.all("10.1.2.3".parse().unwrap()).copied().collect();
        assert_eq!(all, [32, 16, 8, 1]);
        assert!(map.all("11.0.0.1".parse().unwrap()).next().is_none());
    }
}
