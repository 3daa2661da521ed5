//! Whether the agent can be relied on, for probes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the agent is doing, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    policy_fault: Option<String>,
    state_fault: Option<String>,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It does not serve yet.
    #[default]
    Starting,
    /// It serves.
    Serving,
    /// It takes nobody new.
    Draining,
}

impl Health {
    /// Notes where the process is.
    pub fn enter(&self, stage: Stage) {
        self.state().stage = stage;
    }

    /// Where the process is.
    pub fn stage(&self) -> Stage {
        self.state().stage
    }

    /// Notes what became of a reload: its fault, or none.
    pub fn reloaded(&self, fault: Option<String>) {
        self.state().policy_fault = fault;
    }

    /// What is wrong though the agent serves.
    pub fn fault(&self) -> Option<String> {
        self.state().policy_fault.clone()
    }

    /// Notes whether the state is kept: why not, or none. True where that is news.
    pub fn keeps_state(&self, fault: Option<String>) -> bool {
        let mut state = self.state();
        let is_news = state.state_fault != fault;
        state.state_fault = fault;
        is_news
    }

    /// Why the end of the process would forget the state.
    pub fn state_fault(&self) -> Option<String> {
        self.state().state_fault.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
