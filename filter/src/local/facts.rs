//! What the agent says the filter needs to know, in a form that is quick to ask.

use std::collections::BTreeSet;
use std::net::IpAddr;

use portcullis_detect::Request;
use portcullis_protocol::{DecodeError, LocalFacts};

use super::Attack;

/// What the agent has said.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) version: i64,
    /// The policy wants to see every request, or says what this filter does not understand.
    pub(crate) ask_always: bool,
    /// What a blocked client gets where attacks are blocked at once.
    pub(crate) block: Option<Block>,
    /// Signals that are blocked at once, beside attacks.
    block_signals: Vec<Vec<u8>>,
    /// Whose requests are never stopped.
    allowed: Addresses,
    /// The engine's virtual patches that are on.
    pub(crate) patches: Vec<String>,
    flagged: Addresses,
    address_headers: Vec<Vec<u8>>,
    concerns: Vec<Vec<Test>>,
}

/// What a blocked client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) status: u16,
    /// Where a redirected one is sent; else empty.
    pub(crate) location: Vec<u8>,
}

/// Addresses and networks.
#[derive(Debug, Default)]
struct Addresses {
    single: BTreeSet<IpAddr>,
    networks: Vec<Network>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: u128,
    bits: u32,
}

/// A condition of a concern.
#[derive(Debug)]
enum Test {
    Method(Vec<u8>),
    /// In lower case; with what its subdomains end with.
    Host(Vec<u8>, Option<Vec<u8>>),
    Path(Vec<u8>),
    Header(Vec<u8>),
    Address(Addresses),
    /// Of a kind that is not known: it holds.
    Unknown,
}

impl Facts {
    /// Reads the agent's answer, and its version.
    ///
    /// # Errors
    ///
    /// When it is no such answer, or says only that nothing has changed.
    pub(crate) fn parse(bytes: &[u8], own_engine: &str) -> Result<Facts, DecodeError> {
        let message = LocalFacts::decode(bytes)?;
        let mut flagged = Addresses::default();
        let unread = message.flagged.iter().filter(|text| !flagged.add(text)).count();
        let mut allowed = Addresses::default();
        // Whom this filter cannot read it does not exempt.
        for text in &message.allowed {
            let _ = allowed.add(text);
        }
        let block = (message.blocks).then(|| Block::new(message.block_code, &message.location));
        let texts = |list: &[portcullis_protocol::ByteStr<'_>]| {
            list.iter().map(|text| text.to_ascii_lowercase()).collect::<Vec<_>>()
        };
        let concerns = message
            .concerns
            .iter()
            .map(|concern| concern.iter().map(|(kind, value)| Test::parse(kind, value)).collect::<Vec<_>>());
        let patches = message.patches.iter().map(|id| String::from_utf8_lossy(id).into_owned());
        Ok(Facts {
            version: message.version,
            ask_always: message.ask_always || unread > 0 || *message.engine != *own_engine.as_bytes(),
            block,
            block_signals: message.block_signals.iter().map(|name| name.to_vec()).collect(),
            allowed,
            patches: patches.collect(),
            flagged,
            address_headers: texts(&message.address_headers),
            concerns: concerns.collect(),
        })
    }

    /// Whether the agent is to be asked about this request, whatever is in it. `peer` is asked for only where needed.
    pub(crate) fn concern(&self, request: &Request<'_>, peer: impl Fn() -> Vec<u8>) -> bool {
        if self.ask_always {
            return true;
        }
        if self.flagged.is_empty() && self.concerns.is_empty() {
            return false;
        }
        let addresses = match self.asks_for_addresses() {
            // Of more addresses than are read any could be the client's, and its sender can add as many as it likes.
            true => match self.addresses(request, &peer()) {
                Some(addresses) => addresses,
                None => return true,
            },
            false => Vec::new(),
        };
        addresses.iter().any(|address| self.flagged.holds(*address))
            || self.concerns.iter().any(|tests| tests.iter().all(|test| test.holds(request, &addresses)))
    }

    /// Whether anything depends on the client's address, which costs a call of the host.
    fn asks_for_addresses(&self) -> bool {
        let mut tests = self.concerns.iter().flatten();
        !self.flagged.is_empty() || tests.any(|test| matches!(test, Test::Address(_)))
    }

    /// What a client gets whose request has these signals, or an attack.
    pub(crate) fn stop(&self, tags: &str, attack: Attack, peer: impl Fn() -> Vec<u8>) -> Option<&Block> {
        let block = self.block.as_ref()?;
        let listed =
            || tags.split(',').any(|tag| self.block_signals.iter().any(|name| *name == *tag.as_bytes()));
        let stopped = attack == Attack::Yes || listed();
        // A header may name whomever its sender likes: only the peer's own address exempts.
        let exempt = || !self.allowed.is_empty() && address(&peer()).is_some_and(|it| self.allowed.holds(it));
        (stopped && !exempt()).then_some(block)
    }

    /// Every address that could be the client's; none where there are too many.
    fn addresses(&self, request: &Request<'_>, peer: &[u8]) -> Option<Vec<IpAddr>> {
        let mut found: Vec<IpAddr> = address(peer).into_iter().collect();
        for header in request.headers {
            if self.address_headers.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
                let parts = header.value.split(|byte| b", ;=\"".contains(byte));
                found.extend(parts.filter_map(address).take(MAX_ADDRESSES + 1));
                if found.len() > MAX_ADDRESSES {
                    return None;
                }
            }
        }
        Some(found)
    }
}

impl Block {
    fn new(code: i64, location: &[u8]) -> Self {
        let status = u16::try_from(code).ok().filter(|status| (300..=599).contains(status));
        let harmless = !location.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        Self {
            status: status.unwrap_or(DEFAULT_BLOCK),
            location: if harmless { location.to_vec() } else { Vec::new() },
        }
    }
}

impl Addresses {
    /// Adds an address or a network; false where the text is neither.
    fn add(&mut self, text: &[u8]) -> bool {
        let Some(text) = std::str::from_utf8(text).ok() else { return false };
        match text.split_once('/') {
            None => text.parse().map(|address| self.single.insert(canonical(address))).is_ok(),
            Some((address, bits)) => {
                let parsed = (address.parse::<IpAddr>(), bits.parse::<u32>());
                let (Ok(address), Ok(bits)) = parsed else { return false };
                let (width, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
                if bits > width {
                    return false;
                }
                self.networks.push(Network { address: wide(address), bits: bits + offset });
                true
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.single.is_empty() && self.networks.is_empty()
    }

    fn holds(&self, address: IpAddr) -> bool {
        let wide = wide(address);
        self.single.contains(&address) || self.networks.iter().any(|network| network.holds(wide))
    }
}

impl Network {
    fn holds(self, address: u128) -> bool {
        let shift = 128_u32.saturating_sub(self.bits);
        (address ^ self.address).checked_shr(shift).unwrap_or(0) == 0
    }
}

impl Test {
    fn parse(kind: &[u8], value: &[u8]) -> Self {
        let lower = value.to_ascii_lowercase();
        match kind {
            b"method" => Self::Method(value.to_vec()),
            b"host" => match lower.strip_prefix(b"*.") {
                Some(name) => Self::Host(name.to_vec(), Some([b".", name].concat())),
                None => Self::Host(lower, None),
            },
            b"path" => Self::Path(value.to_vec()),
            b"header" => Self::Header(lower),
            b"address" => {
                let mut addresses = Addresses::default();
                if addresses.add(value) { Self::Address(addresses) } else { Self::Unknown }
            }
            _ => Self::Unknown,
        }
    }

    fn holds(&self, request: &Request<'_>, addresses: &[IpAddr]) -> bool {
        match self {
            Self::Unknown => true,
            Self::Method(method) => request.method == method,
            Self::Header(name) => request.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name)),
            Self::Address(wanted) => addresses.iter().any(|address| wanted.holds(*address)),
            Self::Host(name, end) => {
                let host = crate::headers::without_port(request.authority).to_ascii_lowercase();
                host == *name || end.as_ref().is_some_and(|end| host.ends_with(end))
            }
            // A path that can be read in two ways may be the one that is meant.
            Self::Path(start) => {
                let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
                path.starts_with(start) || !crate::headers::is_plain_path(path)
            }
        }
    }
}

/// The address in a token, with a port or without, with brackets or without.
fn address(token: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(token.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(inner, _)| inner);
    let parsed = bare.parse().ok().or_else(|| bare.rsplit_once(':').and_then(|(host, _)| host.parse().ok()));
    parsed.map(canonical)
}

fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Addresses of one request that are looked at.
const MAX_ADDRESSES: usize = 32;
const DEFAULT_BLOCK: u16 = 406;

#[cfg(test)]
mod tests {
    use portcullis_detect::Header;

    use super::*;

    fn facts(message: &LocalFacts<'_>) -> Facts {
        let message = LocalFacts { engine: "1".into(), version: 1, ..message.clone() };
        Facts::parse(&message.encode(), "1").unwrap()
    }

    fn asks(facts: &Facts, request: &Request<'_>, peer: &str) -> bool {
        facts.concern(request, || peer.as_bytes().to_vec())
    }

    #[test]
    fn nothing_concerns_an_ordinary_request_and_nobody_asks_for_its_peer() {
        let none = facts(&LocalFacts::default());
        assert!(!none.concern(&Request::default(), || panic!("not needed")));
        assert!(none.block.is_none());
    }

    #[test]
    fn another_engine_or_what_is_not_understood_means_to_ask() {
        let message = LocalFacts { engine: "2".into(), ..LocalFacts::default() };
        assert!(Facts::parse(&message.encode(), "1").unwrap().ask_always);
        for odd in ["192.0.2.0/33", "example", "::/129", "1.2.3.4/x", ""] {
            assert!(
                facts(&LocalFacts { flagged: vec![odd.into()], ..LocalFacts::default() }).ask_always,
                "{odd}"
            );
        }
        let odd = vec![vec![("moon".into(), "full".into())]];
        assert!(asks(
            &facts(&LocalFacts { concerns: odd, ..LocalFacts::default() }),
            &Request::default(),
            ""
        ));
    }

    #[test]
    fn flagged_addresses_are_found_in_the_peer_and_in_headers() {
        let message = LocalFacts {
            flagged: ["192.0.2.1", "198.51.100.0/24", "2001:db8::/32", "0.0.0.0/32"].map(Into::into).to_vec(),
            address_headers: vec!["X-Forwarded-For".into()],
            ..LocalFacts::default()
        };
        let facts = facts(&message);
        let plain = Request::default();
        for peer in [
            "192.0.2.1",
            "192.0.2.1:80",
            "::ffff:192.0.2.1",
            "198.51.100.77",
            "2001:db8::7",
            "[2001:db8::7]:4",
        ] {
            assert!(asks(&facts, &plain, peer), "{peer}");
        }
        for peer in ["192.0.2.2", "198.51.101.1", "2001:db9::1", "", "x"] {
            assert!(!asks(&facts, &plain, peer), "{peer}");
        }
        let headers = [Header { name: b"x-forwarded-for", value: b"203.0.113.1, 198.51.100.9:4711" }];
        assert!(asks(&facts, &Request { headers: &headers, ..plain }, "203.0.113.2"));
        let headers = [Header { name: b"x-real-ip", value: b"198.51.100.9" }];
        assert!(!asks(&facts, &Request { headers: &headers, ..plain }, "203.0.113.2"));
        // A proxy adds the client's own address at the end, however many it has invented before.
        let invented = "203.0.113.1, ".repeat(100) + "198.51.100.9";
        let headers = [Header { name: b"x-forwarded-for", value: invented.as_bytes() }];
        assert!(asks(&facts, &Request { headers: &headers, ..plain }, "203.0.113.2"));
    }

    #[test]
    fn all_tests_of_a_concern_must_hold() {
        let concern = |tests: &[(&'static str, &'static str)]| {
            let tests = tests.iter().map(|(kind, value)| ((*kind).into(), (*value).into())).collect();
            facts(&LocalFacts { concerns: vec![tests], ..LocalFacts::default() })
        };
        let login = Request {
            method: b"POST",
            target: b"/login?x",
            authority: b"a.Shop.example:80",
            ..Request::default()
        };
        let both = concern(&[("method", "POST"), ("path", "/login")]);
        assert!(asks(&both, &login, ""));
        assert!(!asks(&both, &Request { method: b"GET", ..login }, ""));
        assert!(!asks(&both, &Request { target: b"/", ..login }, ""));
        assert!(asks(&both, &Request { target: b"/%6cogin", ..login }, ""));
        assert!(asks(&concern(&[("host", "*.shop.example")]), &login, ""));
        assert!(asks(&concern(&[("host", "a.shop.example")]), &login, ""));
        assert!(!asks(&concern(&[("host", "shop.example")]), &login, ""));
        assert!(!asks(&concern(&[("header", "authorization")]), &login, ""));
        assert!(asks(&concern(&[("address", "10.0.0.0/8")]), &login, "10.1.2.3"));
        assert!(!asks(&concern(&[("address", "10.0.0.0/8")]), &login, "11.1.2.3"));
        assert!(asks(&concern(&[]), &login, ""), "a concern without a condition is everything");
    }

    #[test]
    fn stops_attacks_and_listed_signals_but_nobody_who_is_exempt() {
        let message = LocalFacts {
            blocks: true,
            block_signals: vec!["NULLBYTE".into()],
            allowed: vec!["10.0.0.0/8".into(), "odd".into()],
            ..LocalFacts::default()
        };
        let facts = facts(&message);
        let stops =
            |tags, attack, peer: &str| facts.stop(tags, attack, || peer.as_bytes().to_vec()).is_some();
        assert!(stops("SQLI", Attack::Yes, "192.0.2.1"));
        assert!(stops("NOUA,NULLBYTE", Attack::No, "192.0.2.1"));
        assert!(!stops("NOUA", Attack::No, "192.0.2.1"));
        assert!(!stops("SQLI", Attack::Yes, "10.1.2.3"));
    }

    #[test]
    fn a_block_is_always_one() {
        let block = |code, location: &'static str| {
            let message = LocalFacts {
                blocks: true,
                block_code: code,
                location: location.into(),
                ..LocalFacts::default()
            };
            facts(&message).block.unwrap()
        };
        assert_eq!(block(451, ""), Block { status: 451, location: Vec::new() });
        assert_eq!(block(302, "/no"), Block { status: 302, location: b"/no".to_vec() });
        assert_eq!(block(200, "/a\r\nb: c"), Block { status: 406, location: Vec::new() });
    }
}
