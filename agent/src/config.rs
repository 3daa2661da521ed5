//! The configuration as this process was given it.

use std::path::Path;

use portcullis_config::{Inputs, Problems, Resolved, Settings};

/// Reads the command line `args`, the environment, and the files they name.
///
/// # Errors
///
/// Every problem at once, a missing key among them.
pub fn from_process(args: Vec<String>) -> Result<Resolved, Problems> {
    // What is not UTF-8 can not be an option, and must not keep the agent from starting.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Settings::resolve(&Inputs { args, env }, |path: &Path| std::fs::read(path))
}
