//! The captures of real modules: all decode, survive a round trip, and survive being cut anywhere.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use portcullis_protocol::envelope::{Call, Method};
use portcullis_protocol::frame::{Limits, Progress, Scanner};
use portcullis_protocol::{DecodeError, RpcMsgIn, RpcMsgIn2};

fn captures() -> BTreeMap<String, Vec<u8>> {
    let text = include_str!("../../vectors/rpc/golden.json");
    let file: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    file.into_iter().map(|(name, capture)| (name, bytes(capture["hex"].as_str().unwrap()))).collect()
}

fn scanned(wire: &[u8]) -> Progress {
    Scanner::new(Limits::default()).scan(wire).unwrap()
}

#[test]
fn all_captures_decode_and_survive_a_round_trip() {
    let captures = captures();
    assert_eq!(captures.len(), 64);
    for (name, wire) in captures {
        assert_eq!(scanned(&wire), Progress::Complete { len: wire.len() }, "{name}");
        let call = Call::parse(&wire).unwrap();
        match call.method {
            Method::UpdateRequest => {
                let message = RpcMsgIn2::decode(call.params).unwrap();
                assert!((200..600).contains(&message.response_code), "{name}");
                assert_eq!(message.request_id, "0123456789abcdef01234567", "{name}");
                assert_eq!(RpcMsgIn2::decode(&message.encode()).unwrap(), message, "{name}");
            }
            Method::ModuleInit | Method::PreRequest | Method::PostRequest => {
                let message = RpcMsgIn::decode(call.params).unwrap();
                assert!(message.now_millis > 1_700_000_000_000, "{name}");
                assert!(!message.module_version.is_empty(), "{name}");
                assert_eq!(RpcMsgIn::decode(&message.encode()).unwrap(), message, "{name}");
                assert_eq!(
                    call.method == Method::PostRequest,
                    message.waf_response.unwrap_or(0) != 0,
                    "{name}"
                );
                assert_eq!(message.uri.starts_with(b"/"), call.method != Method::ModuleInit, "{name}");
            }
            Method::Unknown => panic!("{name}: unknown method"),
        }
    }
}

#[test]
fn nothing_that_a_capture_says_is_lost() {
    for (name, wire) in captures() {
        let call = Call::parse(&wire).unwrap();
        let ours = match call.method {
            Method::UpdateRequest => RpcMsgIn2::decode(call.params).unwrap().encode(),
            _ => RpcMsgIn::decode(call.params).unwrap().encode(),
        };
        let (theirs, ours) = (tree(call.params), tree(&ours));
        for (key, value) in theirs {
            let says_nothing = value == "[]" || value == "\"\"" || key == "PostData";
            assert!(ours.get(&key).map_or(says_nothing, |kept| *kept == value), "{name}: {key} = {value}");
        }
    }
}

#[test]
fn captures_survive_truncation_at_every_byte() {
    for (name, wire) in captures() {
        let mut bytewise = Scanner::new(Limits::default());
        let call = Call::parse(&wire).unwrap();
        for cut in 0..wire.len() {
            let part = &wire[..cut];
            let Progress::Incomplete { at_least } = scanned(part) else { panic!("{name} whole at {cut}") };
            assert!(cut < at_least && at_least <= wire.len(), "{name} at {cut}: {at_least}");
            assert_eq!(bytewise.scan(part), Ok(Progress::Incomplete { at_least }), "{name} at {cut}");
            let _parsed = Call::parse(part);
        }
        for cut in 0..call.params.len() {
            let part = &call.params[..cut];
            assert!(matches!(RpcMsgIn::decode(part), Err(DecodeError::Truncated)), "{name} at {cut}");
            assert!(matches!(RpcMsgIn2::decode(part), Err(DecodeError::Truncated)), "{name} at {cut}");
        }
    }
}

/// The map's keys and values, with every width and family of a type made one.
fn tree(wire: &[u8]) -> BTreeMap<String, String> {
    struct Entries(BTreeMap<String, String>);
    impl<'de> serde::Deserialize<'de> for Entries {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let map = BTreeMap::<String, Plain>::deserialize(deserializer)?;
            Ok(Self(map.into_iter().map(|(key, Plain(value))| (key, value)).collect()))
        }
    }
    rmp_serde::from_slice::<Entries>(wire).unwrap().0
}

struct Plain(String);

impl<'de> serde::Deserialize<'de> for Plain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl<'de> serde::de::Visitor<'de> for PlainVisitor {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything that a capture holds")
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(format!("{text:?}"))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(format!("{bytes:02x?}"))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<String, A::Error> {
        let mut items = Vec::new();
        while let Some(Plain(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(format!("[{}]", items.join(",")))
    }
}
