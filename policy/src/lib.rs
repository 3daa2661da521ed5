//! The policy: the signals of a request in, a [`Decision`] out.
//!
//! Pure, as the engine is: what depends on time or on earlier requests is an argument, and the crate builds for
//! wasm32. Times are milliseconds since 1970.
//!
//! * [`Policy::compile`] reads texts, and tells everything that is wrong with them.
//! * [`Facts`] are what rules see of a request; [`Policy::needs`] says what of it has to be found out.
//! * [`State`] is what earlier requests left behind: counts, flags, rates. It is shared by all threads and outlives
//!   policies. [`State::export`] and [`State::import`] carry it over a restart, [`Event::change`] gives what a journal
//!   must keep so that no flag is lost in between, [`State::replay`] does it again.
//! * [`Policy::decide`] judges a request, [`Policy::respond`] its response.
//! * [`redact`] takes secrets out of what is written down.
//!
//! ```
//! use portcullis_detect::{Engine, Request};
//! use portcullis_policy::{Facts, Policy, Secret, State, StateLimits};
//!
//! let policy = Policy::from_json("policy.json", r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#)?;
//! let state = State::new(StateLimits::default(), &Secret::new(b"of the installation"));
//! let request = Request::default();
//! let signals = Engine::default().inspect(&request);
//! let facts = Facts::new(&request, Some([192, 0, 2, 1].into()));
//! let decision = policy.decide(&facts, &signals, state.at(1_790_000_000_000));
//! assert_eq!(decision.code(), 200);
//! # Ok::<(), portcullis_policy::PolicyError>(())
//! ```
#![forbid(unsafe_code)]

mod addresses;
mod challenge;
mod count;
mod decide;
mod decision;
mod facts;
mod ip;
mod lists;
mod local;
mod policy;
mod read;
pub mod redact;
mod respond;
mod rule;
mod signals;
mod site;
mod source;
mod state;
mod stop;
mod threshold;

pub use crate::challenge::COOKIE as CHALLENGE_COOKIE;
pub use crate::decision::{Action, Added, Cause, Decision, Event, FollowUp, HeaderEdit, Logging, Page};
pub use crate::facts::{Facts, Parameter, post_parameters};
pub use crate::local::{LocalFacts, LocalMode};
pub use crate::policy::{Needs, Policy, Summary};
pub use crate::respond::Remembered;
pub use crate::site::{
    AgentMode, AnswerError, AttackThreshold, BlockCode, BlockCodeError, Blocking, Redirect, RedirectError,
    Site,
};
pub use crate::source::{PolicyError, Problem, Source};
pub use crate::state::{
    Change, Client, Counts, Flag, FlagKind, Imported, Interval, Journal, Moment, Secret, State, StateError,
    StateLimits, Usage,
};
