//! SIGHUP: the policy and the secrets anew, the logs opened again.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_config::Settings;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::config;
use crate::debug_log::{self, Level};
use crate::health::Health;
use crate::lines::Lines;
use crate::logging::Log;
use crate::service::Service;
use crate::snapshot::Snapshot;

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
    /// The command line.
    pub args: Vec<String>,
}

impl Reload {
    /// Reloads. What can not be used leaves the old in force, and is loud.
    pub async fn run(self: &Arc<Self>) {
        let reload = Arc::clone(self);
        // It reads files and builds automata.
        if spawn_blocking(move || reload.blocking()).await.is_err() {
            self.failed("the reload has failed");
        }
    }

    fn blocking(&self) {
        if let Err(error) = self.log.reopen() {
            error!(%error, "cannot open log-out again; the old one stays");
        }
        if let Some(data_log) = &self.service.data_log {
            data_log.reopen();
        }
        if let Some(uploads) = &self.uploads {
            uploads.reopen();
        }
        let resolved = match config::from_process(self.args.clone()) {
            Ok(resolved) => resolved,
            Err(problems) => return self.failed(&problems.to_string()),
        };
        let old = self.settings.load_full();
        let snapshot = match Snapshot::load(&resolved.settings) {
            Ok(snapshot) => snapshot,
            Err(error) => return self.failed(&format!("{:#}", anyhow::Error::from(error))),
        };
        let mode = snapshot.policy.site.mode;
        let updates = self.service.debug.config_updates;
        if updates > Level::Off {
            info!(target: debug_log::TARGET, ?mode, "policy updated");
        }
        if updates == Level::Details {
            info!(target: debug_log::TARGET, policy = ?snapshot.policy, "policy in force");
        }
        self.service.inspector.replace(snapshot);
        self.keep(&old, &resolved.settings);
        self.service.counters.reloads.add();
        self.health.reloaded(None);
        info!(?mode, "reloaded");
    }

    /// Takes over what a reload may change, and names what it may not.
    fn keep(&self, old: &Settings, new: &Settings) {
        let fixed = old.entries().into_iter().zip(new.entries());
        for ((name, before, _), (_, after, _)) in fixed {
            if before != after && !CHANGEABLE.contains(&name) {
                warn!(option = name, "changed, and takes effect at the next start");
            }
        }
        let mut kept = old.clone();
        kept.policy_file = new.policy_file.clone();
        kept.accesskeyid = new.accesskeyid.clone();
        kept.accesskeyid_file = new.accesskeyid_file.clone();
        kept.secretaccesskey = new.secretaccesskey.clone();
        kept.secretaccesskey_file = new.secretaccesskey_file.clone();
        self.settings.store(Arc::new(kept));
    }

    fn failed(&self, fault: &str) {
        self.service.counters.reloads_failed.add();
        self.health.reloaded(Some(fault.to_owned()));
        // Last: whoever reads it finds the rest as it says.
        error!(fault, "cannot reload; the old policy stays in force");
    }
}

const CHANGEABLE: &[&str] =
    &["policy-file", "accesskeyid", "accesskeyid-file", "secretaccesskey", "secretaccesskey-file"];
