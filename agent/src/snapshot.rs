//! What a request is judged by, as one immutable value.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_config::Settings;
use portcullis_detect::{Budgets, Engine};
use portcullis_policy::{Policy, PolicyError};
use thiserror::Error;

/// Bytes that a policy file may have.
const MAX_POLICY_BYTES: u64 = 16 * 1024 * 1024;

/// The bit of `debug-standalone` that leaves the policy file out.
const BUILT_IN_ONLY: u8 = 4;

/// Engine and policy, swapped as a whole; a request takes one and keeps it.
#[derive(Debug)]
pub struct Snapshot {
    /// Finds signals.
    pub engine: Engine,
    /// Decides.
    pub policy: Policy,
}

/// Why there is no new snapshot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The policy file can not be read.
    #[error("policy-file: cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The policy file is larger than any policy.
    #[error("policy-file: {} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The policy file is not a policy.
    #[error("policy-file")]
    Policy(#[from] PolicyError),
}

impl Snapshot {
    /// Reads the policy and builds the engine.
    ///
    /// # Errors
    ///
    /// When there is a policy file and it can not be used.
    pub fn load(settings: &Settings) -> Result<Self, SnapshotError> {
        let policy = match settings.policy_file.as_ref() {
            Some(path) if *settings.debug_standalone & BUILT_IN_ONLY == 0 => read(path)?,
            Some(_) | None => Policy::default(),
        };
        let mut budgets = Budgets::default();
        budgets.body_bytes = usize::try_from(settings.inspection_max_content_length.0).unwrap_or(usize::MAX);
        Ok(Self { engine: Engine::new(budgets), policy })
    }
}

fn read(path: &Path) -> Result<Policy, SnapshotError> {
    let unread = |source| SnapshotError::Read { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(unread)?.len();
    if size > MAX_POLICY_BYTES {
        return Err(SnapshotError::TooLarge { path: path.to_owned(), limit: MAX_POLICY_BYTES });
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    Ok(Policy::from_json(&path.display().to_string(), &text)?)
}
