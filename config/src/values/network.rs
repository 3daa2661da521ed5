//! Addresses to listen on and networks to trust.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::table::OptionValue;
use crate::values::ValueError;

/// Where modules reach the agent: `unix:/path`, `/path`, `host:port` or a bare port on loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcAddress {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP address.
    Tcp(HostPort),
}

impl fmt::Display for RpcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

impl OptionValue for RpcAddress {
    const FORM: &'static str = "unix:PATH|PATH|HOST:PORT|PORT";

    fn read(text: &str) -> Result<Self, ValueError> {
        let text = text.trim();
        let path = text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            Some("") => Err(ValueError::Form { expected: "a path after unix:" }),
            Some(path) => Ok(Self::Unix(path.into())),
            None if text.starts_with(['/', '.']) => Ok(Self::Unix(text.into())),
            None => match text.parse::<u16>() {
                Ok(port) => Ok(Self::Tcp(HostPort { host: "127.0.0.1".to_owned(), port })),
                Err(_) => HostPort::read(text.strip_prefix("tcp:").unwrap_or(text)).map(Self::Tcp),
            },
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A host name or address and a port; an empty host is every address of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, IPv6 without brackets; empty for every address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostPort {
    /// The address to bind, where the host is an address and not a name; every address where it is empty.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let ip = match self.host.as_str() {
            "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().ok()?,
        };
        Some(SocketAddr::new(ip, self.port))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl OptionValue for HostPort {
    const FORM: &'static str = "HOST:PORT";

    fn read(text: &str) -> Result<Self, ValueError> {
        let error = ValueError::Form { expected: "host:port" };
        let (host, port) = text.trim().rsplit_once(':').ok_or(error.clone())?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(error.clone())?,
            None if host.contains(':') => {
                return Err(ValueError::Form { expected: "an IPv6 address in brackets" });
            }
            None => host,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if !host.chars().all(plain) {
            return Err(error);
        }
        let port = port.parse().map_err(|_| ValueError::Form { expected: "a port from 0 to 65535" })?;
        Ok(Self { host: host.to_owned(), port })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// The networks whose word about a client's address is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Networks {
    /// Every peer.
    All,
    /// No peer.
    None,
    /// These.
    Only(Vec<IpNet>),
}

/// Loopback, RFC 1918, link-local, RFC 6598 and RFC 4193.
const PRIVATE: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

impl Networks {
    /// Whether `peer` is trusted. An IPv4 address written as IPv6 counts as IPv4.
    pub fn contain(&self, peer: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(networks) => {
                let peer = peer.to_canonical();
                networks.iter().any(|network| network.contains(&peer))
            }
        }
    }
}

impl OptionValue for Networks {
    const FORM: &'static str = "all|none|private|CIDR,...";

    fn read(text: &str) -> Result<Self, ValueError> {
        let mut networks = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match item.to_ascii_lowercase().as_str() {
                "all" => return Ok(Self::All),
                "none" => {}
                "private" => {
                    networks.extend(PRIVATE.iter().filter_map(|network| network.parse::<IpNet>().ok()));
                }
                cidr => {
                    let network = cidr.parse::<IpNet>().or_else(|_| cidr.parse::<IpAddr>().map(IpNet::from));
                    networks.push(network.map_err(|_| ValueError::Form { expected: Self::FORM })?);
                }
            }
        }
        Ok(if networks.is_empty() { Self::None } else { Self::Only(networks) })
    }

    fn show(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::None => "none".to_owned(),
            Self::Only(networks) => networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        }
    }
}
