//! Reverse proxy listeners and the small language they are written in.
//!
//! ```text
//! app:{listener='http://0.0.0.0:8001',upstreams='http://127.0.0.1:8000,http://127.0.0.1:8002'}; other:{...};
//! ```
//!
//! Quotes are optional around a value without a comma or brace; white space, new lines and a last `;` are free.

use std::path::PathBuf;

use crate::origin::Origin;
use crate::table::Effect::{Accepted, Active, Experimental};
use crate::table::{OptionValue, Table, nearest, table};
use crate::values::{ByteSize, Csv, Optional, Secret, Span, ValueError};

/// More listeners than any pod has.
const MOST_LISTENERS: usize = 64;

table! {
    /// One reverse proxy listener.
    pub struct ListenerSettings {
        "listener" listener: String = "", Active, "Where it listens: http://HOST:PORT or https://HOST:PORT. Required.";
        "upstreams" upstreams: Csv = "", Active, "Where it sends requests: http:// or https:// URLs, taken in turn. Required.";
        "enabled" enabled: bool = "true", Active, "Whether it listens at all.";
        "access-log" access_log: Optional<PathBuf> = "", Active, "Access log; off where not set.";
        "access-log-format" access_log_format: String = "common", Active, "common, combined or json.";
        "pass-host-header" pass_host_header: bool = "false", Active, "Send the client's Host header on, not the upstream's.";
        "trust-proxy-headers" trust_proxy_headers: bool = "true", Active, "Keep and extend X-Forwarded headers that came in; else they are replaced.";
        "minimal-header-rewriting" minimal_header_rewriting: bool = "false", Active, "Add no X-Forwarded headers.";
        "expose-raw-headers" expose_raw_headers: bool = "false", Active, "Keep the case of header names over HTTP/1, both ways.";
        "remote-addr" remote_addr: String = "", Experimental, "proxy-protocol: the client's address comes in a PROXY protocol header.";
        "log-all-errors" log_all_errors: bool = "false", Active, "Log errors that clients cause, too.";
        "inspect-websocket" inspect_websocket: bool = "false", Active, "Inspect WebSocket text frames.";
        "inspection-debug" inspection_debug: bool = "false", Active, "Log what was found in each request.";
        "inspection-timeout" inspection_timeout: Optional<Span> = "", Active, "Overrides the agent's.";
        "inspection-max-content-length" inspection_max_content_length: Optional<ByteSize> = "", Active, "Overrides the agent's.";
        "inspection-anomaly-size" inspection_anomaly_size: Optional<ByteSize> = "", Active, "Overrides the agent's.";
        "inspection-anomaly-duration" inspection_anomaly_duration: Optional<Span> = "", Active, "Overrides the agent's.";
        "fail-open" fail_open: bool = "true", Active, "Whether a request that could not be inspected in time passes.";
        "grpc" grpc: bool = "false", Active, "gRPC only: exactly one upstream, reached by HTTP/2.";
        "http2" http2: bool = "true", Active, "Offer HTTP/2 to clients.";
        "http2-upstreams" http2_upstreams: bool = "true", Active, "Use HTTP/2 to https upstreams that offer it.";
        "tls-cert" tls_cert: Optional<PathBuf> = "", Active, "Certificate chain of an https listener, PEM.";
        "tls-key" tls_key: Optional<PathBuf> = "", Active, "Its key, PEM.";
        "tls-key-passphrase" tls_key_passphrase: Secret = "", Active, "Passphrase of the key: pass:TEXT, env:NAME or file:PATH.";
        "tls-min-version" tls_min_version: String = "1.2", Active, "1.2 or 1.3.";
        "tls-ca-roots" tls_ca_roots: Optional<PathBuf> = "", Active, "Roots that https upstreams are checked against, PEM. Default: the system's.";
        "tls-verify-servername" tls_verify_servername: String = "", Active, "Name that the upstream's certificate must have.";
        "tls-host-override" tls_host_override: String = "", Active, "Server name sent to https upstreams.";
        "tls-insecure-skip-verify" tls_insecure_skip_verify: bool = "false", Active, "Do not check the upstream's certificate.";
        "tls-handshake-timeout" tls_handshake_timeout: Span = "10s", Active, "Longest TLS handshake, either side.";
        "conn-idle-max" conn_idle_max: u64 = "100", Active, "Idle connections kept to each upstream.";
        "conn-idle-timeout" conn_idle_timeout: Span = "1m30s", Active, "How long an idle upstream connection is kept.";
        "conn-keepalive" conn_keepalive: Span = "30s", Active, "TCP keep-alive probes, either side, and HTTP/2 pings to upstreams; 0 is none.";
        "conn-max-per-host" conn_max_per_host: u64 = "0", Active, "Most connections to one upstream; 0 is no limit.";
        "conn-timeout" conn_timeout: Span = "30s", Active, "Longest time to connect to an upstream.";
        "close-conn-on-request-smuggling" close_conn_on_request_smuggling: bool = "false", Active, "Close the connection after a request whose framing is doubtful.";
        "expect-continue-timeout" expect_continue_timeout: Span = "1s", Accepted("the proxy asks the client for the body itself, to inspect it before the upstream hears of it"), "How long to wait for an upstream's 100 before sending the body.";
        "idle-timeout" idle_timeout: Span = "0", Active, "Longest idle time of a client connection; 0 is read-timeout, or 2m where that is not set.";
        "read-timeout" read_timeout: Span = "0", Active, "Longest time to read a request's header, and the part of its body that is held; 0 is 30s for the header, 5m for the body, 60s between two parts of it.";
        "request-timeout" request_timeout: Span = "0", Active, "Longest time for a whole exchange; 0 is no limit.";
        "response-header-timeout" response_header_timeout: Span = "0", Active, "Longest time for an upstream's response header once the request is sent; 0 is no limit.";
        "response-flush-interval" response_flush_interval: Span = "0", Accepted("responses are always passed on as they come"), "How often a response is flushed.";
        "shutdown-timeout" shutdown_timeout: Span = "30s", Active, "How long exchanges may take after SIGTERM.";
    }
}

/// The listeners by name, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub struct Listeners(pub Vec<(String, ListenerSettings)>);

impl Listeners {
    /// Starts a listener called `name` with every default.
    pub(crate) fn add(&mut self, name: &str) -> Result<&mut ListenerSettings, ValueError> {
        if name.is_empty() {
            return Err(ValueError::Empty);
        }
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(ValueError::Form { expected: "listener names that are unique" });
        }
        if self.0.len() >= MOST_LISTENERS {
            return Err(ValueError::Form { expected: "at most 64 listeners" });
        }
        let settings = ListenerSettings::defaults().map_err(|(_, error)| error)?;
        self.0.push((name.to_owned(), settings));
        self.0.last_mut().map(|(_, settings)| settings).ok_or(ValueError::Empty)
    }
}

impl OptionValue for Listeners {
    const FORM: &'static str = "NAME:{KEY=VALUE,...};...";

    fn read(text: &str) -> Result<Self, ValueError> {
        let mut parser = Parser { text, at: 0 };
        let mut listeners = Self::default();
        loop {
            parser.skip(|c| c.is_whitespace() || c == ';');
            if parser.rest().is_empty() {
                return Ok(listeners);
            }
            parser.listener(&mut listeners)?;
        }
    }

    fn show(&self) -> String {
        let listener = |(name, settings): &(String, ListenerSettings)| {
            let set = settings.entries().into_iter().filter(|(_, _, origin)| *origin != Origin::Default);
            let pairs: Vec<String> = set.map(|(key, value, _)| format!("{key}='{value}'")).collect();
            format!("{name}:{{{}}}", pairs.join(","))
        };
        self.0.iter().map(listener).collect::<Vec<_>>().join(";")
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, test: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(test).len();
    }

    fn space(&mut self) {
        self.skip(char::is_whitespace);
    }

    fn fault(&self, at: usize, reason: impl Into<String>) -> ValueError {
        let before = self.text.get(..at).unwrap_or(self.text);
        ValueError::At { reason: reason.into(), at: before.chars().count() + 1 }
    }

    fn expect(&mut self, wanted: char, what: &str) -> Result<(), ValueError> {
        self.space();
        if self.rest().starts_with(wanted) {
            self.at += wanted.len_utf8();
            return Ok(());
        }
        Err(self.fault(self.at, format!("expected {what}")))
    }

    fn word(&mut self, what: &str) -> Result<&'a str, ValueError> {
        let rest = self.rest();
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = rest.find(|c| !letter(c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.fault(self.at, format!("expected {what}")));
        }
        self.at += end;
        Ok(rest.get(..end).unwrap_or_default())
    }

    fn listener(&mut self, listeners: &mut Listeners) -> Result<(), ValueError> {
        let start = self.at;
        let name = self.word("a listener's name")?;
        self.expect(':', "':' after the listener's name")?;
        self.expect('{', "'{' before the listener's keys")?;
        let fault =
            |error: ValueError| ValueError::At { reason: format!("listener {name}: {error}"), at: start + 1 };
        let settings = listeners.add(name).map_err(fault)?;
        loop {
            self.skip(|c| c.is_whitespace() || c == ',');
            if self.rest().starts_with('}') {
                self.at += 1;
                break;
            }
            self.pair(settings)?;
        }
        self.space();
        match self.rest().chars().next() {
            None | Some(';') => Ok(()),
            Some(_) => Err(self.fault(self.at, "expected ';' after the listener's '}'")),
        }
    }

    fn pair(&mut self, settings: &mut ListenerSettings) -> Result<(), ValueError> {
        let start = self.at;
        let key = self.word("a key or '}'")?;
        self.expect('=', "'=' after the key")?;
        self.space();
        let at = self.at;
        let value = self.value()?;
        match settings.assign(key, value, &Origin::CommandLine) {
            Ok(()) => Ok(()),
            Err(ValueError::UnknownOption) => {
                let hint =
                    nearest(ListenerSettings::SPECS, key).map(|near| format!(", did you mean {near}?"));
                Err(self.fault(start, format!("unknown key {key}{}", hint.unwrap_or_default())))
            }
            Err(error) => Err(self.fault(at, format!("{key}: {error}"))),
        }
    }

    fn value(&mut self) -> Result<&'a str, ValueError> {
        let rest = self.rest();
        let start = self.at;
        if let Some(quote @ ('\'' | '"')) = rest.chars().next() {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find(quote).ok_or_else(|| self.fault(start, "quote is never closed"))?;
            self.at += end + 2;
            return Ok(inner.get(..end).unwrap_or_default());
        }
        let end = rest.find([',', '}']).ok_or_else(|| self.fault(self.text.len(), "expected '}'"))?;
        self.at += end;
        Ok(rest.get(..end).unwrap_or_default().trim())
    }
}
