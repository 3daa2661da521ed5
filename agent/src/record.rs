//! What is written down about a request: its facts without its secrets.

use std::sync::Arc;

use jiff::Timestamp;
use portcullis_detect::{Header, Location, Signal, Signals};
use portcullis_policy::redact::{self, REDACTED, Redactions};
use portcullis_policy::{Decision, Policy};
use portcullis_protocol::Pair;
use serde::Serialize;

use crate::anonymous::Anonymous;
use crate::ids::RequestId;
use crate::request::Request;

/// Headers of a record, and bytes of one text in it.
const MOST_HEADERS: usize = 64;
const MOST_BYTES: usize = 1024;

/// Headers in which proxies write addresses, beside those that the configuration and the policy name.
const ADDRESSES: &[&str] = &[
    "x-forwarded-for",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-addr",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-appengine-user-ip",
    "do-connecting-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "via",
];

/// A request as one line of JSON tells it. Secrets are gone before one is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    version: &'static str,
    timestamp: String,
    method: String,
    path: String,
    protocol: String,
    remote_addr: String,
    #[serde(rename = "RequestIDStr")]
    request_id: String,
    request_headers: Vec<Field>,
    response_code: i64,
    response_headers: Vec<Field>,
    response_millis: i64,
    response_size: i64,
    scheme: String,
    server_flavor: String,
    server_hostname: Arc<str>,
    server_name: String,
    signals: Vec<Finding>,
    #[serde(skip)]
    redactions: Redactions,
    #[serde(rename = "TLSCipher")]
    tls_cipher: String,
    #[serde(rename = "TLSProtocol")]
    tls_protocol: String,
    #[serde(rename = "URI")]
    uri: String,
    user_agent: String,
    #[serde(rename = "WAFResponse")]
    waf_response: i32,
    #[serde(skip)]
    millis: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Field {
    name: String,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Finding {
    #[serde(rename = "Type")]
    pub(crate) tag: String,
    pub(crate) location: &'static str,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) detector: String,
    pub(crate) redaction: &'static str,
}

/// What is the same in all records of an agent.
#[derive(Clone, Debug)]
pub struct Author {
    /// The agent's name.
    pub hostname: Arc<str>,
    /// Stands for the server type that the module names, unless empty.
    pub flavor: String,
    /// Hides addresses where the site asks for that.
    pub anonymous: Anonymous,
    /// Headers that `client-ip-header` names.
    pub address_headers: Vec<String>,
}

/// What was found in a request, and what was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What it was judged by.
    pub policy: &'a Policy,
    /// What was found.
    pub signals: &'a Signals,
    /// What was decided.
    pub decision: &'a Decision,
}

/// What became of the response.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Status.
    pub code: i64,
    /// Time to it.
    pub millis: i64,
    /// Its bytes.
    pub size: i64,
    /// Its headers.
    pub headers: &'a [Pair<'a>],
}

impl Record {
    /// Writes down `request`; its response is not known yet.
    pub fn new(
        author: &Author,
        request: &Request<'_>,
        found: Found<'_>,
        id: Option<RequestId>,
        code: i32,
    ) -> Self {
        let seen = &request.seen;
        let flavor =
            if author.flavor.is_empty() { text(request.server_flavor) } else { author.flavor.clone() };
        let path = redact::without_query(seen.target);
        let path = cut(redact::encoded(path.get(..2 * MOST_BYTES).unwrap_or(path)));
        let hiding = found.policy.site.anonymize.then_some(Hiding { author, policy: found.policy });
        let fields = seen.headers.iter().take(MOST_HEADERS);
        let redactions = found.policy.redactions().clone();
        let at = moment(request.millis);
        Self {
            version: "1",
            timestamp: at.to_string(),
            method: text(seen.method),
            path: path_only(&path),
            protocol: text(seen.protocol),
            remote_addr: remote_addr(request, hiding),
            request_id: id.map(|id| id.to_string()).unwrap_or_default(),
            request_headers: fields.map(|header| field_of_client(header, hiding, &redactions)).collect(),
            response_code: -1,
            response_headers: Vec::new(),
            response_millis: -1,
            response_size: -1,
            scheme: text(seen.scheme),
            server_flavor: flavor,
            server_hostname: Arc::clone(&author.hostname),
            server_name: text(seen.authority),
            signals: findings(found.signals, found.decision, &redactions, (seen.headers, hiding)),
            redactions,
            millis: at.as_millisecond(),
            tls_cipher: text(seen.tls_cipher),
            tls_protocol: text(seen.tls_protocol),
            uri: path,
            user_agent: seen.header_values("user-agent").next().map(text).unwrap_or_default(),
            waf_response: code,
        }
    }

    /// Adds the response and what was found in it.
    pub fn answer(&mut self, answered: Answered<'_>, signals: &Signals, decision: &Decision) {
        self.response_code = answered.code;
        self.response_millis = answered.millis;
        self.response_size = answered.size;
        let headers = answered.headers.iter().take(MOST_HEADERS);
        let field = |(name, value): &Pair<'_>| Field {
            name: text(name),
            value: cut(self.redactions.response_header(name, value)),
        };
        self.response_headers = headers.map(field).collect();
        self.signals.extend(findings(signals, decision, &self.redactions, (&[], None)));
    }

    /// When the request came, in milliseconds since 1970.
    pub fn millis(&self) -> i64 {
        self.millis
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let fields = self.request_headers.iter().chain(&self.response_headers);
        let fields: usize = fields.map(|field| field.name.len() + field.value.len() + 48).sum();
        let findings: usize =
            self.signals.iter().map(|found| found.name.len() + found.value.len() + 96).sum();
        512 + fields + findings + 2 * self.path.len() + self.user_agent.len() + self.server_name.len()
    }
}

/// How a site that asks for it has addresses hidden.
#[derive(Clone, Copy)]
struct Hiding<'a> {
    author: &'a Author,
    policy: &'a Policy,
}

impl Hiding<'_> {
    /// Whether a header of this name holds an address.
    fn is_address(self, name: &[u8]) -> bool {
        let named = self.author.address_headers.iter().chain(&self.policy.site.client_headers);
        let mut known = ADDRESSES.iter().copied().chain(named.map(String::as_str));
        known.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// Whose request it is. What is no address as we read them may still be one, as with a zone or a name.
fn remote_addr(request: &Request<'_>, hiding: Option<Hiding<'_>>) -> String {
    match (request.client, hiding) {
        (Some(client), Some(hiding)) => hiding.author.anonymous.of(client).to_string(),
        (Some(client), None) => client.to_string(),
        (None, Some(_)) if !request.remote_addr.is_empty() => REDACTED.to_owned(),
        (None, _) => text(request.remote_addr),
    }
}

/// A header of a request, where addresses may have to be hidden: headers of proxies hold them.
fn field_of_client(header: &Header<'_>, hiding: Option<Hiding<'_>>, redactions: &Redactions) -> Field {
    match hiding {
        Some(hiding) if hiding.is_address(header.name) => {
            Field { name: text(header.name), value: REDACTED.to_owned() }
        }
        Some(_) | None => {
            let value = cut(redactions.request_header(header.name, header.value));
            Field { name: text(header.name), value }
        }
    }
}

/// What was found without what rules exclude, then what the policy added.
fn findings(
    signals: &Signals,
    decision: &Decision,
    redactions: &Redactions,
    (headers, hiding): (&[Header<'_>], Option<Hiding<'_>>),
) -> Vec<Finding> {
    let found = decision.kept(signals).map(|signal| {
        let mut found = finding(signal, redactions, headers);
        // What stands in it beside an attack is whose request it is.
        if signal.location == Location::Header && hiding.is_some_and(|hiding| hiding.is_address(&signal.name))
        {
            (found.value, found.redaction) = (REDACTED.to_owned(), "value");
        }
        found
    });
    found.chain(added(decision)).collect()
}

/// What the policy added.
pub(crate) fn added(decision: &Decision) -> impl Iterator<Item = Finding> {
    decision.added.iter().map(|added| Finding {
        tag: added.signal.to_string(),
        location: Location::Request.as_str(),
        name: String::new(),
        value: String::new(),
        detector: added.detector.to_string(),
        redaction: "none",
    })
}

/// What may be written down of `signal`, which was found in a request with these headers.
pub(crate) fn finding(signal: &Signal, redactions: &Redactions, headers: &[Header<'_>]) -> Finding {
    let name = text(&signal.name);
    let (value, redaction) = match signal.location {
        // All that a cookie is good for is to be a secret.
        Location::Cookie => (REDACTED.to_owned(), "cookie"),
        _ if redactions.is_secret(&signal.name) => (REDACTED.to_owned(), "name"),
        Location::Header if is_of_hidden_query(signal, redactions, headers) => (REDACTED.to_owned(), "value"),
        Location::Header => hidden(redactions.request_header(&signal.name, &signal.value), &signal.value),
        Location::Request | Location::Path | Location::UserAgent | Location::Response => {
            hidden(redact::encoded(&signal.value), &signal.value)
        }
        Location::QueryString | Location::Post => {
            let (value, redaction) = hidden(redact::encoded(&signal.value), &signal.value);
            (if name.is_empty() { value } else { format!("{name}={value}") }, redaction)
        }
    };
    Finding {
        tag: signal.tag.as_str().to_owned(),
        location: signal.location.as_str(),
        name,
        value: cut(value),
        detector: signal.detector.to_owned(),
        redaction,
    }
}

/// Whether a finding is in the query of a URL that a header holds, and that header is shown without it. Such a finding has
/// the parameter's name, not the header's.
fn is_of_hidden_query(signal: &Signal, redactions: &Redactions, headers: &[Header<'_>]) -> bool {
    headers.iter().any(|header| {
        let Some(at) = header.value.iter().position(|byte| *byte == b'?') else { return false };
        let query = header.value.get(at + 1..).unwrap_or_default();
        let mut pairs = query.split(|byte| matches!(byte, b'&' | b';' | b'#'));
        let is_there = pairs.any(|pair| {
            let name = pair.iter().position(|byte| *byte == b'=').and_then(|end| pair.get(..end));
            name.unwrap_or_default() == signal.name
        });
        let shown = redactions.request_header(header.name, header.value);
        is_there && !shown.as_bytes().contains(&b'?')
    })
}

fn hidden(shown: String, value: &[u8]) -> (String, &'static str) {
    let redaction = if shown == String::from_utf8_lossy(value) { "none" } else { "value" };
    (shown, redaction)
}

fn text(bytes: &[u8]) -> String {
    cut(redact::text(bytes.get(..2 * MOST_BYTES).unwrap_or(bytes)))
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        let end = (0..=MOST_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

/// The path of a target in absolute form.
fn path_only(target: &str) -> String {
    match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/").to_owned()
        }
        _ => target.to_owned(),
    }
}

/// When a request came: what its caller says, where that can be.
fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).ok().filter(|_| millis > 0).unwrap_or_else(Timestamp::now)
}

#[cfg(test)]
mod tests {
    use portcullis_detect::{Request as Seen, Tag};

    use super::*;

    fn signal(location: Location, name: &str, value: &str) -> Signal {
        Signal {
            tag: Tag::Traversal,
            location,
            name: name.into(),
            value: value.into(),
            span: 0..0,
            detector: "TEST",
        }
    }

    impl Record {
        pub(crate) fn testing() -> Self {
            record(Vec::new())
        }
    }

    fn record(signals: Vec<Signal>) -> Record {
        record_by(&Policy::default(), Some([192, 0, 2, 1].into()), signals)
    }

    fn record_by(policy: &Policy, client: Option<std::net::IpAddr>, signals: Vec<Signal>) -> Record {
        let headers = [
            Header { name: b"User-Agent", value: b"curl/8" },
            Header { name: b"Cookie", value: b"session=hunter2" },
            Header { name: b"X-Forwarded-For", value: b"192.0.2.1" },
            Header { name: b"Referer", value: b"/from?token=hunter2" },
            Header { name: b"x-client", value: b"192.0.2.1" },
            Header { name: b"X-Site-Client", value: b"192.0.2.1" },
        ];
        let target = b"http://shop.example/a/b?password=hunter2";
        let seen = Seen { target, headers: &headers, ..Seen::default() };
        let request = Request {
            seen,
            remote_addr: b"192.0.2.1",
            client,
            millis: 1_790_000_000_123,
            ..Request::default()
        };
        let author = Author {
            hostname: "agent-1".into(),
            flavor: String::new(),
            anonymous: Anonymous::new(b"key"),
            address_headers: vec!["X-Client".to_owned()],
        };
        let (signals, decision) = (signals.into_iter().collect(), Decision::unwatched());
        let found = Found { policy, signals: &signals, decision: &decision };
        Record::new(&author, &request, found, None, 406)
    }

    #[test]
    fn has_the_form_that_consumers_know() {
        let mut record = record(vec![signal(Location::QueryString, "q", "../../etc/passwd")]);
        let pair = ("Set-Cookie".into(), "hunter2".into());
        record.answer(
            Answered { code: 404, millis: 5, size: 10, headers: &[pair] },
            &Signals::default(),
            &Decision::unwatched(),
        );
        let line = serde_json::to_value(&record).unwrap();
        assert_eq!(line["Version"], "1");
        assert_eq!(line["Timestamp"], "2026-09-21T14:13:20.123Z");
        assert_eq!(line["Path"], "/a/b");
        assert_eq!(line["URI"], "http://shop.example/a/b");
        assert_eq!(line["Signals"][0]["Type"], "TRAVERSAL");
        assert_eq!(line["Signals"][0]["Value"], "q=../../etc/passwd");
        assert_eq!(line["Signals"][0]["Redaction"], "none");
        assert_eq!((line["ResponseCode"].as_i64(), line["WAFResponse"].as_i64()), (Some(404), Some(406)));
        assert_eq!(line["RequestHeaders"][0]["Name"], "User-Agent");
        let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys.join(" "),
            "Method Path Protocol RemoteAddr RequestHeaders RequestIDStr ResponseCode ResponseHeaders ResponseMillis \
             ResponseSize Scheme ServerFlavor ServerHostname ServerName Signals TLSCipher TLSProtocol Timestamp URI \
             UserAgent Version WAFResponse"
        );
    }

    #[test]
    fn holds_no_secret() {
        let record = record(vec![
            signal(Location::Cookie, "theme", "hunter2"),
            signal(Location::Post, "user.password", "hunter2"),
            signal(Location::Header, "Authorization", "hunter2"),
            signal(Location::Request, "", "a=1&token=hunter2"),
        ]);
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains("hunter2"), "{line}");
        assert_eq!(line.matches(REDACTED).count(), 5, "{line}");
    }

    #[test]
    fn shows_nothing_of_the_query_of_a_referer_whatever_its_parameters_are_called() {
        let header = |value: &'static str| [Header { name: b"Referer", value: value.as_bytes() }];
        let shown = |name: &str, headers: &[Header<'_>]| {
            finding(&signal(Location::Header, name, "<script>"), &Redactions::default(), headers).value
        };
        for name in ["x", "host", ""] {
            assert_eq!(
                shown(name, &header("http://a.example/?a=1&x=<script>&host=<script>&<script>")),
                REDACTED
            );
        }
        assert_eq!(shown("X-Other", &header("http://a.example/?a=1")), "<script>");
        let other = [Header { name: b"X-Url", value: b"http://a.example/?x=<script>" }];
        assert_eq!(shown("x", &other), "<script>");
    }

    #[test]
    fn holds_no_address_where_the_site_hides_them() {
        let policy = r#"{"site": {"agentAnonMode": "EU", "clientIPRules": [{"header": "X-Site-Client"}]}}"#;
        let policy = Policy::from_json("policy.json", policy).unwrap();
        let found = || vec![signal(Location::Header, "X-Client", "192.0.2.1, <script>")];
        let of = |policy, client, found| serde_json::to_string(&record_by(policy, client, found)).unwrap();
        let client = Some([192, 0, 2, 1].into());
        let line = of(&policy, client, found());
        assert!(!line.contains("192.0.2.1") && line.contains(r#""RemoteAddr":"fd"#), "{line}");
        // What is no address as we read them is not shown either.
        let line = of(&policy, None, found());
        assert!(!line.contains("192.0.2.1") && line.contains(r#""RemoteAddr":"[redacted]""#), "{line}");
        let line = of(&Policy::default(), client, found());
        assert_eq!(line.matches("192.0.2.1").count(), 5, "{line}");
    }
}
