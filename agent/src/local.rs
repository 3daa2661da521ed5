//! What the filter is told so that it can judge ordinary requests by itself; see docs/local-first.md.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;

use portcullis_policy::LocalMode;
use portcullis_protocol::LocalFacts;

/// What of the configuration, beside the policy, matters to a filter that judges by itself.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Whether the agent wants to see every request, for a reason of its own.
    pub every: Every,
    /// Headers in which the client's address may stand.
    pub address_headers: &'a [String],
}

/// Whether every request is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// It is.
    Wanted,
    /// Only those that are out of the ordinary.
    Unwanted,
}

/// The message for a filter, its version included.
pub fn facts<'a>(
    policy: &'a portcullis_policy::LocalFacts,
    circumstances: Circumstances<'a>,
) -> LocalFacts<'a> {
    let texts = |list: &'a [String]| list.iter().map(|text| text.as_str().into());
    // What is flagged is asked about, and so is who never passes: the agent stops both.
    let flagged = policy.flagged.iter().map(|(address, _)| client(*address, policy.ipv6_prefix).into());
    let mut facts = LocalFacts {
        version: 0,
        unchanged: false,
        engine: ENGINE.into(),
        patches: Vec::new(),
        // An agent that is off is asked as well: it says so.
        ask_always: circumstances.every == Every::Wanted
            || policy.mode == LocalMode::Off
            || policy.asks_about_clean
            // Of a request that went by itself nothing is kept for its response.
            || policy.asks_about_responses
            || policy.is_partial,
        blocks: policy.mode == LocalMode::Block && policy.immediate,
        block_code: policy.block_code.into(),
        location: policy.block_location.as_str().into(),
        block_signals: texts(&policy.immediate_signals).collect(),
        allowed: texts(&policy.allow).collect(),
        address_headers: texts(circumstances.address_headers).collect(),
        flagged: texts(&policy.block).chain(flagged).collect(),
        concerns: Vec::new(),
    };
    facts.version = version(&facts);
    facts
}

/// A client as a network: of IPv6 so many bits make one.
fn client(address: IpAddr, ipv6_prefix: u8) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/{ipv6_prefix}"),
    }
}

/// A number that follows from the content: an agent that has restarted need not say the same things again.
fn version(facts: &LocalFacts<'_>) -> i64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&facts.encode());
    i64::from_ne_bytes(hasher.finish().to_ne_bytes()).saturating_abs().max(1)
}

/// The engine's version: all crates of the project have one.
const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// Addresses of each kind that are told; where there are more, every request is to be asked about.
pub const MOST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use portcullis_policy::{Policy, Secret, State, StateLimits};

    use super::*;

    fn told(policy: &str, every: Every) -> LocalFacts<'static> {
        let policy = Policy::from_json("policy.json", policy).unwrap();
        let state = State::new(StateLimits::default(), &Secret::new(b"of the test"));
        let local = policy.local_facts(&state, 1_800_000_000_000, MOST);
        message(&local, every)
    }

    fn message(local: &portcullis_policy::LocalFacts, every: Every) -> LocalFacts<'static> {
        let bytes: &'static [u8] =
            facts(local, Circumstances { every, address_headers: &[] }).encode().leak();
        LocalFacts::decode(bytes).unwrap()
    }

    #[test]
    fn tells_whether_attacks_are_blocked_and_how() {
        let policy = r#"{"site": {"agentLevel": "block", "immediateBlock": true, "blockHTTPCode": 451}}"#;
        let facts = told(policy, Every::Unwanted);
        assert!(facts.blocks && !facts.ask_always);
        assert_eq!((facts.block_code, facts.location.is_empty()), (451, true));
        for watching in ["{}", r#"{"site": {"agentLevel": "block"}}"#] {
            assert!(!told(watching, Every::Unwanted).blocks, "{watching}");
        }
    }

    #[test]
    fn wants_every_request_where_the_configuration_or_the_policy_does() {
        assert!(told("{}", Every::Wanted).ask_always);
        assert!(told(r#"{"site": {"agentLevel": "off"}}"#, Every::Unwanted).ask_always);
        let policy = Policy::from_json("policy.json", "{}").unwrap();
        let state = State::new(StateLimits::default(), &Secret::new(b"of the test"));
        let local = policy.local_facts(&state, 1, MOST);
        for local in [
            portcullis_policy::LocalFacts { asks_about_clean: true, ..local.clone() },
            portcullis_policy::LocalFacts { asks_about_responses: true, ..local.clone() },
            portcullis_policy::LocalFacts { is_partial: true, ..local.clone() },
        ] {
            assert!(message(&local, Every::Unwanted).ask_always, "{local:?}");
        }
    }

    #[test]
    fn flagged_clients_and_those_who_never_pass_are_asked_about() {
        let policy = Policy::from_json("policy.json", "{}").unwrap();
        let state = State::new(StateLimits::default(), &Secret::new(b"of the test"));
        let local = portcullis_policy::LocalFacts {
            block: vec!["198.51.100.0/24".to_owned()],
            allow: vec!["192.0.2.0/24".to_owned()],
            flagged: vec![([203, 0, 113, 5].into(), 9), ("2001:db8::".parse::<IpAddr>().unwrap(), 9)],
            ipv6_prefix: 64,
            ..policy.local_facts(&state, 1, MOST)
        };
        let facts = message(&local, Every::Unwanted);
        assert_eq!(facts.flagged, ["198.51.100.0/24", "203.0.113.5", "2001:db8::/64"]);
        assert_eq!(facts.allowed, ["192.0.2.0/24"]);
    }

    #[test]
    fn has_another_version_where_anything_differs_and_only_there() {
        let version = |policy: &str| told(policy, Every::Unwanted).version;
        let blocking = r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#;
        assert_eq!(version(blocking), version(blocking));
        assert_ne!(version(blocking), version("{}"));
        assert_ne!(version("{}"), told("{}", Every::Wanted).version);
    }
}
