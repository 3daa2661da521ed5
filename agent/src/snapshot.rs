//! What a request is judged by, as one immutable value.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_config::Settings;
use portcullis_detect::{Budgets, Engine, UnknownPatch};
use portcullis_policy::{Policy, PolicyError};
use thiserror::Error;

use crate::geo::{Countries, CountriesError};
use crate::policy_files::{PolicyFiles, PolicyFilesError};

/// The bit of `debug-standalone` that leaves the policy file out.
const BUILT_IN_ONLY: u8 = 4;

/// Engine and policy, swapped as a whole; a request takes one and keeps it.
#[derive(Debug)]
pub struct Snapshot {
    /// Finds signals.
    pub engine: Engine,
    /// Decides.
    pub policy: Policy,
    /// Tells countries, where there is a database.
    pub countries: Option<Countries>,
    /// Tells whether the policy's files have changed since.
    pub fingerprint: u64,
    /// Tells it from every other of this process.
    pub number: u64,
}

static MADE: AtomicU64 = AtomicU64::new(1);

/// Why there is no new snapshot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The policy's files can not be read.
    #[error(transparent)]
    Files(#[from] PolicyFilesError),
    /// The database of countries can not be used.
    #[error(transparent)]
    Countries(#[from] CountriesError),
    /// The policy switches on a virtual patch that the engine does not have.
    #[error("policy-file")]
    Patch(#[from] UnknownPatch),
    /// The policy file is not a policy.
    #[error("policy-file")]
    Policy(#[from] PolicyError),
}

impl Snapshot {
    /// Reads the policy and builds the engine.
    ///
    /// # Errors
    ///
    /// When there is a policy, or a database, and it can not be used.
    pub fn load(settings: &Settings) -> Result<Self, SnapshotError> {
        let files = Self::policy_file(settings).map(|path| PolicyFiles::read(path)).transpose()?;
        let policy = files.as_ref().map(|files| Policy::compile(&files.sources())).transpose()?;
        let countries = settings.geo_database.as_ref().map(|path| Countries::open(path)).transpose()?;
        let mut budgets = Budgets::default();
        budgets.body_bytes = usize::try_from(settings.inspection_max_content_length.0).unwrap_or(usize::MAX);
        let policy = policy.unwrap_or_default();
        let engine = Engine::new(budgets).with_patches(policy.patches())?;
        let fingerprint = files.map(|files| files.fingerprint()).unwrap_or_default();
        Ok(Self { engine, policy, countries, fingerprint, number: number() })
    }

    /// The policy's file or folder, where it is to be read.
    pub fn policy_file(settings: &Settings) -> Option<&PathBuf> {
        settings.policy_file.as_ref().filter(|_| *settings.debug_standalone & BUILT_IN_ONLY == 0)
    }

    /// One that judges by `policy` alone.
    #[cfg(test)]
    pub(crate) fn testing(policy: Policy) -> Self {
        Self { engine: Engine::default(), policy, countries: None, fingerprint: 0, number: number() }
    }
}

fn number() -> u64 {
    MADE.fetch_add(1, Ordering::Relaxed)
}
