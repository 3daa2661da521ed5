//! The policy: the signals of a request in, a [`Verdict`] out.
//!
//! Pure, as the engine is: what depends on time or on earlier requests is an argument, and the crate builds for
//! wasm32.
//!
//! ```
//! use portcullis_detect::{Engine, Request};
//! use portcullis_policy::Policy;
//!
//! let policy = Policy::from_json("policy.json", r#"{"site": {"agentLevel": "block", "immediateBlock": true}}"#)?;
//! let signals = Engine::default().inspect(&Request::default());
//! assert_eq!(policy.decide(&signals).code(), 200);
//! # Ok::<(), portcullis_policy::PolicyError>(())
//! ```
#![forbid(unsafe_code)]

mod load;
mod policy;
mod site;
mod verdict;

pub use crate::load::PolicyError;
pub use crate::policy::Policy;
pub use crate::site::{
    AgentMode, BlockCode, BlockCodeError, Blocking, Redirect, RedirectError, Site, SiteError,
};
pub use crate::verdict::{Action, FollowUp, Verdict};
