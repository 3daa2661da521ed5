//! Whose request it is: the client's address, from the socket or from a header that is believed.

use std::net::IpAddr;

use portcullis_config::{Networks, Settings};
use portcullis_detect::Header;

/// Headers that may be named.
const MOST_HEADERS: usize = 10;

/// Where the client's address is found.
#[derive(Clone, Debug)]
pub struct Clients {
    headers: Vec<String>,
    networks: Networks,
}

impl Clients {
    /// Reads `client-ip-header` and `local-networks`.
    pub fn new(settings: &Settings) -> Self {
        let headers = settings.client_ip_header.0.iter().take(MOST_HEADERS).cloned().collect();
        Self { headers, networks: settings.local_networks.value.clone() }
    }

    /// The headers in which it may stand.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The client's address. `peer` is that of the socket; where it is not an address, as with a unix socket, its word is
    /// believed only if everybody's is.
    pub fn address(&self, headers: &[Header<'_>], peer: &[u8]) -> Option<IpAddr> {
        self.address_by(&self.headers, headers, peer)
    }

    /// The same by the headers that a policy names, where it names any.
    pub fn address_by(&self, names: &[String], headers: &[Header<'_>], peer: &[u8]) -> Option<IpAddr> {
        let names = if names.is_empty() { &self.headers } else { names };
        let peer = address(peer);
        let believed = match (peer, &self.networks) {
            (Some(peer), networks) => networks.contain(peer),
            (None, Networks::All) => true,
            (None, Networks::None | Networks::Only(_)) => false,
        };
        let named = || names.iter().take(MOST_HEADERS).find_map(|name| self.named(headers, name));
        believed.then(named).flatten().or(peer)
    }

    fn named(&self, headers: &[Header<'_>], name: &str) -> Option<IpAddr> {
        let values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
        let mut hops = values.flat_map(|header| header.value.split(|byte| *byte == b','));
        match &self.networks {
            // Whom nobody vouches for is the first in line.
            Networks::All | Networks::None => hops.find_map(address),
            // What stands left of the last hop that we do not vouch for is the client's own invention, also where that hop
            // is no address.
            Networks::Only(_) => {
                let hops: Vec<&[u8]> = hops.filter(|hop| !hop.trim_ascii().is_empty()).collect();
                let mut found = None;
                for hop in hops.iter().rev().map_while(|hop| address(hop)) {
                    found = Some(hop);
                    if !self.networks.contain(hop) {
                        break;
                    }
                }
                found
            }
        }
    }
}

/// An address in any of the forms in which proxies write one: bare, with a port, in brackets, after `for=`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.split(';').find_map(|part| {
        let part = part.trim();
        match part.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("for") => Some(value.trim_matches('"')),
            Some(_) => None,
            None => Some(part),
        }
    })?;
    let bare = match text.strip_prefix('[') {
        Some(inner) => inner.split(']').next()?,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use portcullis_config::Inputs;

    use super::*;

    fn clients(header: &str, networks: &str) -> Clients {
        let args = [
            "--accesskeyid=a",
            "--secretaccesskey=b",
            &format!("--client-ip-header={header}"),
            &format!("--local-networks={networks}"),
        ];
        let inputs = Inputs { args: args.map(str::to_owned).to_vec(), env: Vec::new() };
        let resolved = Settings::resolve(&inputs, |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
        Clients::new(&resolved.settings)
    }

    fn found(clients: &Clients, headers: &[(&str, &str)], peer: &str) -> String {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        clients.address(&headers, peer.as_bytes()).map(|address| address.to_string()).unwrap_or_default()
    }

    #[test]
    fn takes_the_first_address_of_the_first_header_that_has_one() {
        let clients = clients("X-Real-IP,X-Forwarded-For", "all");
        let forwarded = ("x-forwarded-for", "203.0.113.7, 10.0.0.1");
        assert_eq!(found(&clients, &[forwarded], "10.0.0.2"), "203.0.113.7");
        assert_eq!(found(&clients, &[forwarded, ("X-REAL-IP", "2001:db8::1")], "10.0.0.2"), "2001:db8::1");
        assert_eq!(found(&clients, &[("X-Real-IP", "unknown"), forwarded], "10.0.0.2"), "203.0.113.7");
        assert_eq!(found(&clients, &[], "10.0.0.2"), "10.0.0.2");
        assert_eq!(found(&clients, &[forwarded], "unix:"), "203.0.113.7");
    }

    #[test]
    fn believes_only_the_networks_it_is_told_to() {
        let trusting = clients("X-Forwarded-For", "10.0.0.0/8");
        let chain = [("X-Forwarded-For", "198.51.100.1, 203.0.113.7, 10.0.0.1")];
        assert_eq!(found(&trusting, &chain, "10.0.0.2"), "203.0.113.7");
        assert_eq!(found(&trusting, &chain, "192.0.2.1"), "192.0.2.1");
        let hidden = [("X-Forwarded-For", "198.51.100.1, unknown, , 10.0.0.1")];
        assert_eq!(found(&trusting, &hidden, "10.0.0.2"), "10.0.0.1");
        assert_eq!(found(&trusting, &chain, "@"), "");
        assert_eq!(found(&trusting, &[("X-Forwarded-For", "10.0.0.9")], "10.0.0.2"), "10.0.0.9");
        assert_eq!(found(&clients("X-Forwarded-For", "none"), &chain, "10.0.0.2"), "10.0.0.2");
    }

    #[test]
    fn reads_every_form_of_an_address() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1:8080 ", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("for=192.0.2.1;proto=https", "192.0.2.1"),
            ("proto=https;For=\"[2001:db8::1]:4\"", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(address(text.as_bytes()).unwrap().to_string(), expected);
        }
        for text in ["", "unknown", "_hidden", "1.2.3", "[::1", "for="] {
            let wanted = if text == "[::1" { Some("::1".to_owned()) } else { None };
            assert_eq!(address(text.as_bytes()).map(|address| address.to_string()), wanted, "{text}");
        }
    }
}
