//! What an engine in another place must know to decide by itself what needs no question.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::site::{AgentMode, BlockAnswer, Blocking};
use crate::state::{FlagKind, State};

/// What a local engine must know. Where [`Self::asks_about_clean`] is false, a request without signals, from an address
/// that is neither flagged nor listed, passes without a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalFacts {
    /// `block`, `log` or `off`.
    pub mode: LocalMode,
    /// Whether the first attack is blocked.
    pub immediate: bool,
    /// Status of a block.
    pub block_code: u16,
    /// Where blocked clients are sent; empty where they get a status only.
    pub block_location: String,
    /// Whether a rule, a list or a rate limit can concern a request without signals: then all have to be asked about.
    pub asks_about_clean: bool,
    /// Whether a rule, or a threshold on a response's signals, has to see responses.
    pub asks_about_responses: bool,
    /// Signals that are blocked whenever they come, beside attacks.
    pub immediate_signals: Vec<String>,
    /// Networks that always pass.
    pub allow: Vec<String>,
    /// Networks that never do.
    pub block: Vec<String>,
    /// Flagged clients: the address, or the first of the network, and until when in milliseconds since 1970.
    pub flagged: Vec<(IpAddr, u64)>,
    /// Bits of an IPv6 address that make a client.
    pub ipv6_prefix: u8,
    /// Whether something did not fit: then what is not among `flagged`, `allow` or `block` has to be asked about.
    pub is_partial: bool,
}

/// What a local engine may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalMode {
    /// Look and stop.
    Block,
    /// Look only.
    Log,
    /// Not even look.
    Off,
}

impl Policy {
    /// What an engine in another place must know at `now`; at most `most` addresses of each kind.
    pub fn local_facts(&self, state: &State, now: u64, most: usize) -> LocalFacts {
        let (block_code, block_location) = match &self.site.answer {
            BlockAnswer::Status(code) => (code.get(), String::new()),
            BlockAnswer::Redirect(redirect) => (redirect.code(), redirect.location().to_owned()),
        };
        let mut flagged: Vec<_> =
            state.flags(now).into_iter().filter(|flag| flag.kind == FlagKind::Block).collect();
        // Where not all fit, those that hold longest are worth most.
        flagged.sort_unstable_by_key(|flag| std::cmp::Reverse(flag.until));
        let mut is_partial = flagged.len() > most;
        flagged.truncate(most);
        let mut listed = |addresses: &crate::addresses::Addresses| -> Vec<String> {
            let mut live: Vec<_> = addresses.live(now).take(most + 1).map(ToString::to_string).collect();
            is_partial |= live.len() > most;
            live.truncate(most);
            live
        };
        let (allow, block) = (listed(&self.allow), listed(&self.block));
        LocalFacts {
            mode: match self.site.mode {
                AgentMode::Block => LocalMode::Block,
                AgentMode::Log => LocalMode::Log,
                AgentMode::Off => LocalMode::Off,
            },
            immediate: self.site.blocking == Blocking::Immediate,
            block_code,
            block_location,
            asks_about_clean: self.asks_about_clean(),
            asks_about_responses: self.needs().response,
            immediate_signals: self.immediate.iter().map(ToString::to_string).collect(),
            allow,
            block,
            flagged: flagged.into_iter().map(|flag| (flag.client.address(), flag.until)).collect(),
            ipv6_prefix: self.site.ipv6_prefix,
            is_partial,
        }
    }

    /// Whether something can concern a request without signals.
    fn asks_about_clean(&self) -> bool {
        self.rules.concern_clean()
    }
}
