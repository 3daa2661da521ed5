//! A reload: the policy and the secrets anew, the logs opened again. SIGHUP, `POST /reload` and a change of the policy's
//! files ask for one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use portcullis_config::Settings;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::{error, info, warn};

use crate::config;
use crate::debug_log::{self, Level};
use crate::events::What;
use crate::health::Health;
use crate::lines::Lines;
use crate::logging::Log;
use crate::process;
use crate::service::Service;
use crate::snapshot::Snapshot;

/// Asks for reloads; one is done after the other.
#[derive(Clone, Debug)]
pub struct Requests(mpsc::Sender<Request>);

/// What asked, to be told what became of it.
pub type Request = oneshot::Sender<Result<(), String>>;

impl Requests {
    /// Makes the two ends.
    pub fn channel() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(16);
        (Self(sender), receiver)
    }

    /// Asks for a reload and waits for it.
    ///
    /// # Errors
    ///
    /// What is wrong with what was to be loaded.
    pub async fn ask(&self) -> Result<(), String> {
        let ended = || "the agent is ending".to_owned();
        let (reply, outcome) = oneshot::channel();
        self.0.send(reply).await.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// What a reload needs.
#[derive(Debug)]
pub struct Reload {
    /// Judges by what is loaded.
    pub service: Arc<Service>,
    /// Hears of faults.
    pub health: Arc<Health>,
    /// Is opened again.
    pub log: Log,
    /// The configuration in force.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Is opened again.
    pub uploads: Option<Arc<Lines<Value>>>,
    /// Is told of each reload that was done.
    pub done: Arc<Notify>,
    /// The command line.
    pub args: Vec<String>,
}

impl Reload {
    /// Reloads. What can not be used leaves the old in force, and is loud.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub async fn run(self: &Arc<Self>) -> Result<(), String> {
        let reload = Arc::clone(self);
        let (done, outcome) = oneshot::channel();
        // It reads files and builds automata, which may take a second; verdicts come first.
        let spawned = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            process::step_back();
            let reloaded = reload.blocking();
            let (outcome, old) = match reloaded {
                Ok(old) => (Ok(()), Some(old)),
                Err(fault) => (Err(fault), None),
            };
            // Nobody waits any more where the agent is ending.
            let _ending = done.send(outcome);
            if let Some(old) = old {
                retire(old, reload.service.patience());
            }
        });
        let outcome = match spawned {
            Ok(_) => outcome.await.unwrap_or_else(|_| Err("the reload has failed".to_owned())),
            Err(error) => Err(format!("cannot start a thread: {error}")),
        };
        if let Err(fault) = &outcome {
            self.failed(fault);
        }
        outcome
    }

    /// Returns what was in force before.
    fn blocking(&self) -> Result<Arc<Snapshot>, String> {
        if let Err(error) = self.log.reopen() {
            error!(%error, "cannot open log-out again; the old one stays");
        }
        self.service.outlets.reopen();
        if let Some(uploads) = &self.uploads {
            uploads.reopen();
        }
        let resolved = config::from_process(self.args.clone()).map_err(|problems| problems.to_string())?;
        let old = self.settings.load_full();
        let snapshot = Snapshot::load(&resolved.settings)
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))?;
        for warning in snapshot.policy.warnings() {
            warn!(%warning, "policy");
        }
        let mode = snapshot.policy.site.mode;
        let updates = self.service.debug.config_updates;
        if updates > Level::Off {
            info!(target: debug_log::TARGET, ?mode, "policy updated");
        }
        if updates == Level::Details {
            info!(target: debug_log::TARGET, policy = ?snapshot.policy, "policy in force");
        }
        let before = self.service.inspector.replace(snapshot);
        self.keep(&old, &resolved.settings);
        self.service.counters.reloads.add();
        self.health.reloaded(None);
        self.service.outlets.event(What::PolicyLoaded { mode: format!("{mode:?}").to_lowercase() });
        self.done.notify_one();
        info!(?mode, "reloaded");
        Ok(before)
    }

    /// Takes over what a reload may change, and names what it may not.
    fn keep(&self, old: &Settings, new: &Settings) {
        let fixed = old.entries().into_iter().zip(new.entries());
        for ((name, before, _), (_, after, _)) in fixed {
            if before != after && !CHANGEABLE.contains(&name) {
                warn!(option = name, "changed, and takes effect at the next start");
            }
        }
        // Masked, it looks the same.
        if old.anonymous_ip_secret_key.value != new.anonymous_ip_secret_key.value {
            warn!(option = "anonymous-ip-secret-key", "changed, and takes effect at the next start");
        }
        let mut kept = old.clone();
        kept.policy_file = new.policy_file.clone();
        kept.geo_database = new.geo_database.clone();
        kept.accesskeyid = new.accesskeyid.clone();
        kept.accesskeyid_file = new.accesskeyid_file.clone();
        kept.secretaccesskey = new.secretaccesskey.clone();
        kept.secretaccesskey_file = new.secretaccesskey_file.clone();
        self.settings.store(Arc::new(kept));
    }

    fn failed(&self, fault: &str) {
        self.service.counters.reloads_failed.add();
        self.health.reloaded(Some(fault.to_owned()));
        self.service.outlets.event(What::PolicyRefused { fault: fault.to_owned() });
        // Last: whoever reads it finds the rest as it says.
        error!(fault, "cannot reload; the old policy stays in force");
    }
}

/// Lets go of a policy here and not on a thread that answers: a list of a hundred thousand entries takes milliseconds to be
/// given back. Whoever has it still, a request under way or one that waits for its response, has it for `patience` at most.
fn retire(old: Arc<Snapshot>, patience: Duration) {
    let begun = Instant::now();
    while Arc::strong_count(&old) > 1 && begun.elapsed() < patience {
        std::thread::park_timeout(LOOK);
    }
    drop(old);
}

/// How often it is seen whether a policy is in use.
const LOOK: Duration = Duration::from_millis(100);

const CHANGEABLE: &[&str] = &[
    "policy-file",
    "geo-database",
    "accesskeyid",
    "accesskeyid-file",
    "secretaccesskey",
    "secretaccesskey-file",
];
