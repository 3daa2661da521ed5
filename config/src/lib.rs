//! The agent's options, from four layers: command line over environment over `agent.conf` over defaults.
//!
//! One table ([`Settings`] for the agent, [`ListenerSettings`] for a reverse proxy listener) drives parsing, `--usage`,
//! `check-config` and docs/configuration.md. Resolving reports every error at once, each with the option, its source
//! and, for a file, the line; options nobody knows are warnings with the nearest known name.
//!
//! ```
//! use portcullis_config::{Inputs, Settings};
//!
//! let inputs = Inputs {
//!     args: vec!["--max-procs".into(), "50%".into()],
//!     env: vec![("SIGSCI_ACCESSKEYID".into(), "id".into()), ("SIGSCI_SECRETACCESSKEY".into(), "key".into())],
//! };
//! let resolved = Settings::resolve(&inputs, |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
//! assert_eq!(resolved.settings.max_procs.to_string(), "50%");
//! assert!(resolved.warnings.is_empty());
//! ```
#![forbid(unsafe_code)]

mod args;
mod file;
mod listener;
mod options;
mod origin;
mod resolve;
mod table;
mod usage;
mod values;

pub use crate::listener::{ListenerSettings, Listeners};
pub use crate::options::Settings;
pub use crate::origin::{Origin, Problem, Problems, Set, Warning};
pub use crate::resolve::{Inputs, Resolved};
pub use crate::table::{Effect, Spec};
pub use crate::usage::{configuration_markdown, usage};
pub use crate::values::{
    ByteSize, Csv, HostPort, LogFormat, LogLevel, Mode, Networks, Optional, Percent, Procs, RpcAddress,
    Secret, Span, StatsdType, ValueError,
};
