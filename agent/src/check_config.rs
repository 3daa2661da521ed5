//! `check-config`: what is in force, and where it came from.

use std::fmt::Write as _;

use portcullis_config::{Origin, Resolved};

use crate::headers::Templates;
use crate::snapshot::Snapshot;

/// Tells the configuration in force with the origin of every value, secrets masked; checks what can be checked
/// without serving.
///
/// # Errors
///
/// When the agent would not start with it.
pub fn run(resolved: &Resolved) -> anyhow::Result<String> {
    let mut told = String::new();
    for (name, value, origin) in resolved.settings.entries() {
        let remark = if origin == Origin::Default { String::new() } else { format!("  # {origin}") };
        writeln!(told, "{name} = {}{remark}", serde_json::Value::from(value))?;
    }
    for warning in &resolved.warnings {
        eprintln!("warning: {warning}");
    }
    Templates::new(&resolved.settings.custom_request_headers)?;
    let snapshot = Snapshot::load(&resolved.settings)?;
    eprintln!("ok; mode {:?}", snapshot.policy.site.mode);
    Ok(told)
}
