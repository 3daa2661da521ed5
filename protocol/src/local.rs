//! What lets the filter judge by itself, and what it tells of that afterwards.

use serde::Deserialize;

use crate::any::Fields;
use crate::bytestr::ByteStr;
use crate::decode::{self, DecodeError};
use crate::encode::Map;
use crate::lenient;
use crate::message::Pair;

/// What the filter knows already; the question at [`LOCAL`](crate::http::LOCAL).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default, bound(deserialize = "'de: 'a"))]
pub struct LocalQuery<'a> {
    /// The version of the facts that the filter has, 0 where it has none.
    #[serde(deserialize_with = "lenient::int")]
    pub version: i64,
    /// Name and version of the sender.
    pub module_version: ByteStr<'a>,
}

impl<'a> LocalQuery<'a> {
    /// Reads the message that is the whole of `bytes`, and borrows from it.
    ///
    /// # Errors
    ///
    /// When `bytes` is not one map, or a known key has a value of an impossible type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode::map(bytes)
    }

    /// Writes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::with_capacity(64);
        map.int("Version", self.version);
        map.str("ModuleVersion", &self.module_version);
        map.finish()
    }
}

/// What the filter needs to judge requests by itself; the answer at [`LOCAL`](crate::http::LOCAL).
///
/// A filter that lacks these facts, or has old ones, asks about every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts<'a> {
    /// Differs wherever anything below differs. Never 0.
    pub version: i64,
    /// The facts are those that the filter has; nothing below is set.
    pub unchanged: bool,
    /// Version of the agent's engine: a filter with another one asks about every request.
    pub engine: ByteStr<'a>,
    /// The engine's virtual patches that are on.
    pub patches: Vec<ByteStr<'a>>,
    /// The policy wants to see every request.
    pub ask_always: bool,
    /// Requests with an attack are blocked at once.
    pub blocks: bool,
    /// With this status.
    pub block_code: i64,
    /// Where a blocked client is sent, where the status is a redirect.
    pub location: ByteStr<'a>,
    /// Signals that are blocked at once, beside attacks.
    pub block_signals: Vec<ByteStr<'a>>,
    /// Networks whose requests are never stopped.
    pub allowed: Vec<ByteStr<'a>>,
    /// Headers that may name the client, beside the peer's address.
    pub address_headers: Vec<ByteStr<'a>>,
    /// Addresses and networks whose every request is to be asked about.
    pub flagged: Vec<ByteStr<'a>>,
    /// Requests that are to be asked about whoever sends them.
    pub concerns: Vec<Concern<'a>>,
}

/// Conditions that hold together of a request about which the agent is to be asked.
///
/// Each is a kind and a value: `method` (as sent), `host` (without port; `*.` before it means its subdomains as well),
/// `path` (a prefix), `header` (a name that is there), `address` (an address or a network). A kind that is not known
/// holds of every request.
pub type Concern<'a> = Vec<Pair<'a>>;

impl<'a> LocalFacts<'a> {
    /// Reads the message that is the whole of `bytes`, and borrows from it.
    ///
    /// # Errors
    ///
    /// When `bytes` is not one map, or a known key has a value of an impossible type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::read(bytes)?;
        Ok(Self {
            version: fields.int("Version")?.unwrap_or(0),
            unchanged: fields.flag("Unchanged")?,
            engine: fields.string("Engine")?,
            patches: fields.strings("Patches")?,
            ask_always: fields.flag("AskAlways")?,
            blocks: fields.flag("Blocks")?,
            block_code: fields.int("BlockCode")?.unwrap_or(0),
            location: fields.string("Location")?,
            block_signals: fields.strings("BlockSignals")?,
            allowed: fields.strings("Allowed")?,
            address_headers: fields.strings("AddressHeaders")?,
            flagged: fields.strings("Flagged")?,
            concerns: fields.pair_lists("Concerns")?,
        })
    }

    /// Writes the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::with_capacity(256 + self.flagged.len() * 16);
        map.int("Version", self.version);
        map.flag("Unchanged", self.unchanged);
        if !self.unchanged {
            map.str("Engine", &self.engine);
            map.strings("Patches", &self.patches);
            map.flag("AskAlways", self.ask_always);
            map.flag("Blocks", self.blocks);
            map.int("BlockCode", self.block_code);
            map.maybe_str("Location", &self.location);
            map.strings("BlockSignals", &self.block_signals);
            map.strings("Allowed", &self.allowed);
            map.strings("AddressHeaders", &self.address_headers);
            map.strings("Flagged", &self.flagged);
            map.pair_lists("Concerns", &self.concerns);
        }
        map.finish()
    }
}

/// Reports of responses, and how many requests went without a question; the message at
/// [`REPORTS`](crate::http::REPORTS).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default, bound(deserialize = "'de: 'a"))]
pub struct ReportBatch<'a> {
    /// Requests that the filter let pass by itself since its last batch.
    #[serde(deserialize_with = "lenient::int")]
    pub passed: i64,
    /// Requests that it blocked by itself, the agent being away.
    #[serde(deserialize_with = "lenient::int")]
    pub blocked: i64,
    /// Each the kind of a report, [`POST`](Self::POST) or [`UPDATE`](Self::UPDATE), and its message.
    #[serde(deserialize_with = "lenient::pairs")]
    pub reports: Vec<Pair<'a>>,
}

impl<'a> ReportBatch<'a> {
    /// The report of a request without an id: an [`RpcMsgIn`](crate::RpcMsgIn).
    pub const POST: &'static str = "post";
    /// The report of a request with an id: an [`RpcMsgIn2`](crate::RpcMsgIn2).
    pub const UPDATE: &'static str = "update";

    /// Reads the message that is the whole of `bytes`, and borrows from it.
    ///
    /// # Errors
    ///
    /// When `bytes` is not one map, or a known key has a value of an impossible type.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        decode::map(bytes)
    }

    /// Writes the message.
    pub fn encode(&self) -> Vec<u8> {
        let reports: usize = self.reports.iter().map(|(kind, message)| kind.len() + message.len() + 8).sum();
        let mut map = Map::with_capacity(64 + reports);
        map.int("Passed", self.passed);
        map.int("Blocked", self.blocked);
        map.pairs("Reports", &self.reports);
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> LocalFacts<'static> {
        LocalFacts {
            version: 77,
            unchanged: false,
            engine: "1.2.3".into(),
            patches: vec!["CVE-2021-44228".into()],
            ask_always: true,
            blocks: true,
            block_code: 406,
            location: "/sorry".into(),
            block_signals: vec!["NULLBYTE".into()],
            allowed: vec!["10.0.0.0/8".into()],
            address_headers: vec!["x-forwarded-for".into()],
            flagged: vec!["192.0.2.1".into(), "2001:db8::/32".into()],
            concerns: vec![
                vec![("method".into(), "POST".into()), ("path".into(), "/login".into())],
                vec![("header".into(), "authorization".into())],
            ],
        }
    }

    #[test]
    fn facts_come_back_as_they_were_written() {
        assert_eq!(LocalFacts::decode(&facts().encode()).unwrap(), facts());
        let unchanged = LocalFacts { version: 5, unchanged: true, ..LocalFacts::default() };
        assert_eq!(LocalFacts::decode(&unchanged.encode()).unwrap(), unchanged);
    }

    #[test]
    fn facts_that_are_cut_anywhere_are_an_error() {
        let whole = facts().encode();
        for end in 0..whole.len() {
            assert!(LocalFacts::decode(&whole[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn unknown_keys_are_passed_over() {
        let mut map = Map::with_capacity(0);
        map.int("Version", 3);
        map.str("Colour", b"red");
        assert_eq!(LocalFacts::decode(&map.finish()).unwrap().version, 3);
    }

    #[test]
    fn a_batch_keeps_reports_apart_and_in_order() {
        let batch = ReportBatch {
            passed: 12,
            blocked: 1,
            reports: vec![
                (ReportBatch::POST.into(), vec![0x81, 0xa1, b'a', 0xc0].into()),
                (ReportBatch::UPDATE.into(), vec![0xff; 40].into()),
            ],
        };
        assert_eq!(ReportBatch::decode(&batch.encode()).unwrap(), batch);
        let query = LocalQuery { version: 9, module_version: "filter".into() };
        assert_eq!(LocalQuery::decode(&query.encode()).unwrap(), query);
    }
}
