//! The shipped Envoy configurations, moved to other ports and paths.
//!
//! What the demo and the tests run is a file in `envoy/` itself: every edit replaces a text that stands in it exactly
//! once, so a change of that file which an edit no longer fits is an error here, not a different test.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A configuration as it is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// `envoy/envoy.yaml`: the filter.
    Filter,
    /// `envoy/ext-authz.yaml`.
    ExtAuthz,
    /// `envoy/ext-proc.yaml`.
    ExtProc,
}

impl Shipped {
    fn text(self) -> &'static str {
        match self {
            Self::Filter => include_str!("../../envoy/envoy.yaml"),
            Self::ExtAuthz => include_str!("../../envoy/ext-authz.yaml"),
            Self::ExtProc => include_str!("../../envoy/ext-proc.yaml"),
        }
    }
}

/// The application behind the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    host: String,
    port: u16,
    scheme: Scheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Upstream {
    /// Reads `http://host[:port]` or `https://host[:port]`.
    ///
    /// # Errors
    /// For anything else: a path would be silently dropped.
    pub fn parse(url: &str) -> Result<Self> {
        let uri: http::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        let (scheme, usual) = match uri.scheme_str() {
            Some("http") => (Scheme::Http, 80),
            Some("https") => (Scheme::Https, 443),
            _ => bail!("{url}: an upstream begins with http:// or https://"),
        };
        if uri.path() != "/" || uri.query().is_some() {
            bail!("{url}: an upstream is scheme, host and port, without a path");
        }
        let host = uri.host().with_context(|| format!("{url} has no host"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || !host.chars().all(plain) {
            bail!("{url}: the host may hold letters, digits, dots, dashes and underscores");
        }
        Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(usual), scheme })
    }

    fn yaml(&self) -> String {
        format!("socket_address: {{ address: \"{}\", port_value: {} }}", self.host, self.port)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl From<std::net::SocketAddr> for Upstream {
    fn from(address: std::net::SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), scheme: Scheme::Http }
    }
}

/// Where the parts of one run are.
pub struct Layout<'a> {
    /// The configuration.
    pub shipped: Shipped,
    /// The proxy's port; 0 for a free one.
    pub listen: u16,
    /// The application.
    pub upstream: &'a Upstream,
    /// The filter module.
    pub filter: &'a Path,
    /// Where Envoy asks the agent.
    pub socket: &'a Path,
}

/// One replacement: a text that stands exactly once in the configuration, and what stands there instead.
pub type Edit<'a> = (&'a str, &'a str);

/// The shipped configuration with this layout and these further edits; the admin port is any free one.
///
/// # Errors
/// When a text to replace is not there exactly once, or a path cannot stand in the file.
pub fn derive(layout: &Layout<'_>, edits: &[Edit<'_>]) -> Result<String> {
    let mut text = layout.shipped.text().to_owned();
    replace(&mut text, "port_value: 9901", "port_value: 0")?;
    replace(&mut text, "port_value: 10000", &format!("port_value: {}", layout.listen))?;
    replace(&mut text, "socket_address: { address: 127.0.0.1, port_value: 8080 }", &layout.upstream.yaml())?;
    let socket = format!("path: {} }}", quoted(layout.socket)?);
    match layout.shipped {
        Shipped::Filter => {
            let filter = format!("{} }}", quoted(layout.filter)?);
            replace(&mut text, "/usr/local/lib/portcullis/filter.wasm }", &filter)?;
            replace(&mut text, "path: /var/run/sigsci.sock }", &socket)?;
        }
        Shipped::ExtAuthz | Shipped::ExtProc => {
            let shipped = "socket_address: { address: 127.0.0.1, port_value: 9999 }";
            replace(&mut text, shipped, &format!("pipe: {{ {socket}"))?;
        }
    }
    if layout.upstream.scheme == Scheme::Https {
        replace(&mut text, "    - name: application\n      type:", &tls(&layout.upstream.host))?;
    }
    for (from, to) in edits {
        replace(&mut text, from, to)?;
    }
    Ok(text)
}

fn tls(host: &str) -> String {
    format!(
        "    - name: application
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: \"{host}\"
      type:"
    )
}

fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\\', '\n']));
    Ok(format!("\"{}\"", text.with_context(|| format!("{} cannot stand in a YAML file", path.display()))?))
}

fn replace(text: &mut String, from: &str, to: &str) -> Result<()> {
    match text.matches(from).count() {
        1 => *text = text.replacen(from, to, 1),
        count => bail!("the shipped file holds `{from}` {count} times, once was expected"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstreams_are_read() {
        let read = |url: &str| Upstream::parse(url).map(|up| (up.host, up.port, up.scheme)).ok();
        assert_eq!(read("http://127.0.0.1:3000"), Some(("127.0.0.1".into(), 3000, Scheme::Http)));
        assert_eq!(read("https://app.internal"), Some(("app.internal".into(), 443, Scheme::Https)));
        assert_eq!(read("http://[::1]:3000/"), Some(("::1".into(), 3000, Scheme::Http)));
        assert_eq!(read("http://127.0.0.1:3000/path"), None);
        assert_eq!(read("127.0.0.1:3000"), None);
        assert_eq!(read("ftp://127.0.0.1"), None);
    }

    #[test]
    fn every_shipped_file_takes_every_edit() {
        let upstream = Upstream::parse("https://app.internal:8443").unwrap();
        for shipped in [Shipped::Filter, Shipped::ExtAuthz, Shipped::ExtProc] {
            let layout = Layout {
                shipped,
                listen: 12345,
                upstream: &upstream,
                filter: Path::new("/tmp/a b/filter.wasm"),
                socket: Path::new("/tmp/a b/agent.sock"),
            };
            let text = derive(&layout, &[]).unwrap();
            assert!(text.contains("port_value: 12345 }"));
            assert_eq!(
                text.contains("local: { filename: \"/tmp/a b/filter.wasm\" }"),
                shipped == Shipped::Filter
            );
            assert!(text.contains("pipe: { path: \"/tmp/a b/agent.sock\" }"));
            assert!(text.contains("{ address: \"app.internal\", port_value: 8443 }"));
            assert!(text.contains("sni: \"app.internal\""));
        }
    }

    #[test]
    fn an_edit_that_does_not_fit_is_an_error() {
        let upstream = Upstream::parse("http://127.0.0.1").unwrap();
        let layout = Layout {
            shipped: Shipped::Filter,
            listen: 0,
            upstream: &upstream,
            filter: Path::new("f"),
            socket: Path::new("s"),
        };
        let error = derive(&layout, &[("no such text", "x")]).unwrap_err();
        assert!(error.to_string().contains("`no such text` 0 times"));
    }
}
