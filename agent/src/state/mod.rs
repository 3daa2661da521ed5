//! What is remembered of clients, kept over the end of the process.
//!
//! The policy's [`State`] is in memory. A snapshot of it is written every `snapshot-interval`; a flag goes to a journal
//! before the first answer that relies on it goes out. What is on disk is restored at the start: a process that is killed
//! forgets counts of the last seconds and no flag that anybody has seen the effect of.

mod envelope;
mod journal;
mod keeper;
mod store;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_policy::{Change, Client, Flag, FlagKind, Journal, State};
use tracing::{error, info, warn};

pub use self::envelope::Refusal;
use self::keeper::Keeper;
pub use self::keeper::Threads;
pub use self::store::StoreError;
use self::store::{Found, Parts, Store};
use crate::clock;
use crate::counters::Counters;
use crate::health::Health;

/// How long after it was set a flag may still be on its way to the journal, in milliseconds.
const YOUNG: u64 = 5_000;

/// Flags of which it is known that they are in the journal.
const MOST_LATELY: usize = 1024;

/// The state, and what keeps it.
#[derive(Debug)]
pub struct Keeping {
    state: Arc<State>,
    keeper: Option<Keeper>,
    lately: Mutex<VecDeque<(Client, FlagKind, u64)>>,
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Flags that hold.
    pub flags: usize,
    /// Counts that count.
    pub counters: usize,
    /// Age of the snapshot in milliseconds.
    pub age: u64,
}

impl Keeping {
    /// Keeps `state` in memory only.
    pub fn nowhere(state: Arc<State>) -> Self {
        Self { state, keeper: None, lately: Mutex::default() }
    }

    /// Restores what is in `folder` into `state`, and keeps it there from then on, with a snapshot every `every`. Where that
    /// is not possible `health` knows, and the state is in memory only: requests are judged all the same.
    pub fn restore(
        folder: &Path,
        state: Arc<State>,
        every: Duration,
        counters: &Arc<Counters>,
        health: &Arc<Health>,
    ) -> (Self, Option<Threads>, Option<Restored>) {
        let nowhere = |state, error: StoreError| {
            error!(%error, "state is kept in memory only: the end of the process will forget it");
            health.keeps_state(Some(error.to_string()));
            Self::nowhere(state)
        };
        let (mut store, found) = match Store::open(folder) {
            Ok(opened) => opened,
            Err(error) => return (nowhere(state, error), None, None),
        };
        let restored = take(&state, &mut store, found);
        match Keeper::start(store, Arc::clone(&state), every, counters, health) {
            Ok((keeper, threads)) => {
                let keeping = Self { state, keeper: Some(keeper), lately: Mutex::default() };
                (keeping, Some(threads), restored)
            }
            Err(error) => (nowhere(state, error), None, restored),
        }
    }

    /// The state.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// A client was flagged: has the journal know.
    pub fn flagged(&self, flag: &Flag) {
        let Some(keeper) = &self.keeper else { return };
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.len() == MOST_LATELY {
            lately.pop_front();
        }
        lately.push_back((flag.client, flag.kind, flag.since));
        // Under the lock: whoever finds the flag in the list waits for it, too.
        keeper.put(Change::Set(flag.clone()).to_entry());
    }

    /// A decision at `now` relies on `flag`, which another thread may be about to note.
    pub fn relies(&self, flag: &Flag, now: u64) {
        if self.keeper.is_none() || now.saturating_sub(flag.since) > YOUNG {
            return;
        }
        let known = {
            let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
            lately.contains(&(flag.client, flag.kind, flag.since))
        };
        if !known {
            self.flagged(flag);
        }
    }

    /// A flag was taken away.
    pub fn cleared(&self, flag: &Flag) {
        if let Some(keeper) = &self.keeper {
            keeper.put(Change::Cleared(flag.clone()).to_entry());
        }
    }

    /// Waits until what was noted is with the system; not for ever.
    pub async fn settled(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.settled().await;
        }
    }

    /// Has a last snapshot made.
    pub fn end(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.end();
        }
    }
}

/// Puts what was found into `state`, and tells about it.
fn take(state: &State, store: &mut Store, mut found: Found) -> Option<Restored> {
    let now = clock::millis();
    let mut restored = None;
    if let Some((written, parts)) = found.snapshot.take() {
        match import(state, parts, now) {
            Ok(imported) => restored = Some(Restored { age: now.saturating_sub(written), ..imported }),
            Err(reason) => store.refuse_snapshot(reason, &mut found),
        }
    }
    let (mut replayed, mut torn) = (0, 0);
    for entries in &found.journals {
        let journal = Journal::read(entries);
        replayed += state.replay(&journal, now);
        torn += journal.torn;
    }
    for (name, refusal) in &found.refused {
        error!(kept = name, reason = %refusal, "a state file is not used; it is kept aside under this name");
    }
    if torn > 0 {
        warn!(
            bytes = torn,
            "a journal ends within an entry, as after a power failure; what is before it counts"
        );
    }
    match (&restored, replayed) {
        (None, 0) => info!("no state to restore"),
        (None, flags) => info!(flags, "state restored from journals alone"),
        (Some(restored), flags) => info!(
            age_seconds = restored.age / 1000,
            flags = restored.flags,
            counters = restored.counters,
            flags_since = flags,
            "state restored"
        ),
    }
    if replayed > 0 {
        let restored = restored.get_or_insert(Restored { flags: 0, counters: 0, age: 0 });
        restored.flags += replayed;
    }
    restored
}

fn import(state: &State, parts: Parts, now: u64) -> Result<Restored, String> {
    let mut restored = Restored { flags: 0, counters: 0, age: 0 };
    for part in parts {
        let part = part.map_err(|error| error.to_string())?;
        let imported = state.import(&part, now).map_err(|error| error.to_string())?;
        restored.flags += imported.flags;
        restored.counters += imported.counters;
    }
    Ok(restored)
}

#[cfg(test)]
mod tests;
