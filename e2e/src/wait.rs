//! Waiting for a condition, never for a while.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::MissedTickBehavior;

/// How often a condition that cannot announce itself is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks at a condition until it holds.
///
/// `check` answers `Ok(None)` for "not yet"; an error ends the wait at once.
///
/// # Errors
/// The check's own error, or `what` was not there by the deadline.
pub async fn until<T, F>(what: &str, patience: Duration, mut check: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let poll = async {
        loop {
            ticks.tick().await;
            if let Some(found) = check().await? {
                return Ok(found);
            }
        }
    };
    tokio::time::timeout(patience, poll)
        .await
        .with_context(|| format!("{what}: not within {} s", patience.as_secs()))?
}
