//! Requests as data.

use portcullis_detect::{Body, Engine, Header, Location, Request, Response, Signal, Signals, Tag};
use portcullis_policy::{Decision, Facts, Parameter, Policy, Secret, Source, State, StateLimits};
use serde_json::Value;
use std::sync::LazyLock;

/// A request, and maybe its response, as a vector describes it.
#[derive(Clone, Debug, Default)]
pub struct Given {
    method: String,
    scheme: String,
    host: String,
    target: String,
    protocol: String,
    headers: Vec<(String, String)>,
    body: String,
    ip: Option<String>,
    country: String,
    ja3: String,
    ja4: String,
    agent: String,
    post: Vec<Parameter>,
    signals: Vec<Signal>,
    code: u16,
    response_headers: Vec<(String, String)>,
}

/// Building one takes a while.
static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

/// A moment at which tests begin.
pub const START: u64 = 1_790_000_000_000;

impl Given {
    /// Reads a vector's request.
    pub fn new(value: &Value) -> Self {
        let text = |key: &str, default: &str| value[key].as_str().unwrap_or(default).to_owned();
        let pairs = |value: &Value| -> Vec<(String, String)> {
            let pairs = value.as_object().into_iter().flatten();
            pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
        };
        let post = value["post"].as_array().into_iter().flatten().map(|pair| Parameter {
            name: pair[0].as_str().unwrap().into(),
            value: pair[1].as_str().unwrap().into(),
        });
        let code = value["response"]["code"].as_u64().unwrap_or(200);
        Self {
            method: text("method", "GET"),
            scheme: text("scheme", "http"),
            host: text("host", "shop.example"),
            target: text("target", "/"),
            protocol: text("protocol", "HTTP/1.1"),
            headers: pairs(&value["headers"]),
            body: text("body", ""),
            ip: value["ip"].as_str().map(str::to_owned),
            country: text("country", ""),
            ja3: text("ja3", ""),
            ja4: text("ja4", ""),
            agent: text("agent", "agent-1"),
            post: post.collect(),
            signals: value["signals"].as_array().into_iter().flatten().map(signal).collect(),
            code: u16::try_from(code).unwrap(),
            response_headers: pairs(&value["response"]["headers"]),
        }
    }

    /// What `policy` decides about the request.
    pub fn decide(&self, policy: &Policy, state: &State, now: u64) -> Decision {
        self.with(|facts| policy.decide(facts, &self.signals(), state.at(now)))
    }

    /// What `policy` tells about the request.
    pub fn explain(&self, policy: &Policy, state: &State, now: u64) -> Decision {
        self.with(|facts| policy.explain(facts, &self.signals(), state.at(now)))
    }

    /// What `policy` decides about the response, where it wants to know of it.
    pub fn respond(&self, policy: &Policy, state: &State, now: u64) -> Option<Decision> {
        let decision = self.decide(policy, state, now);
        let remembered = decision.remembered?;
        let headers = headers(&self.response_headers);
        let response = Response { code: self.code, target: self.target.as_bytes(), headers: &headers };
        let signals = ENGINE.inspect_response(&response);
        Some(policy.respond(&remembered, &response, &signals, state.at(now)))
    }

    fn with<T>(&self, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
        let headers = headers(&self.headers);
        let request = Request {
            method: self.method.as_bytes(),
            scheme: self.scheme.as_bytes(),
            authority: self.host.as_bytes(),
            target: self.target.as_bytes(),
            protocol: self.protocol.as_bytes(),
            headers: &headers,
            body: Body { bytes: self.body.as_bytes(), truncated: false },
            ..Request::default()
        };
        let mut facts = Facts::new(&request, self.ip.as_ref().map(|ip| ip.parse().unwrap()));
        facts.country = &self.country;
        facts.ja3 = &self.ja3;
        facts.ja4 = &self.ja4;
        facts.agent = &self.agent;
        facts.post = &self.post;
        judge(&facts)
    }

    fn signals(&self) -> Signals {
        self.signals.iter().cloned().collect()
    }
}

fn headers(pairs: &[(String, String)]) -> Vec<Header<'_>> {
    pairs.iter().map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() }).collect()
}

fn signal(value: &Value) -> Signal {
    let name = value["tag"].as_str().unwrap();
    let patch = name.starts_with("CVE-");
    let tag = Tag::ALL.iter().find(|tag| tag.as_str() == name).copied();
    let detector = if patch { name.to_owned().leak() } else { "TEST" };
    Signal {
        tag: if patch { Tag::VirtualPatch } else { tag.unwrap_or_else(|| panic!("no tag {name}")) },
        location: Location::QueryString,
        name: value["name"].as_str().unwrap_or_default().into(),
        value: value["value"].as_str().unwrap_or_default().into(),
        span: 0..0,
        detector,
    }
}

/// The policy that a JSON value is.
pub fn policy(value: &Value) -> Policy {
    let text = value.to_string();
    Policy::compile(&[Source { name: "policy.json", text: &text }])
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Why a JSON value is no policy.
pub fn refusal(value: &Value) -> String {
    let text = value.to_string();
    Policy::compile(&[Source { name: "policy.json", text: &text }]).unwrap_err().to_string()
}

/// An empty state.
pub fn state() -> State {
    State::new(StateLimits::default(), &Secret::new(b"test"))
}

/// A file of vectors.
pub fn vectors(name: &str) -> Value {
    let path = format!("{}/../vectors/policy/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A request by a client, with the signals of these names.
pub fn request(ip: &str, target: &str, tags: &[&str]) -> Given {
    let signals: Vec<_> =
        tags.iter().map(|tag| serde_json::json!({"tag": tag, "name": "q", "value": "v"})).collect();
    Given::new(&serde_json::json!({"ip": ip, "target": target, "signals": signals}))
}
