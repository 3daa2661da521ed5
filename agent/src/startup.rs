//! What is settled between reading the configuration and serving.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use portcullis_config::{HostPort, Settings};
use portcullis_policy::{Secret, State, StateLimits};
use tokio::task::AbortHandle;
use tracing::warn;

use crate::admin::{self, Questions};
use crate::debug_log::DebugLog;
use crate::health::Health;
use crate::inspector::{Inspector, Options};
use crate::lines::{DataLog, Kind, Writer};
use crate::metrics::Metrics;
use crate::process;
use crate::service::{Limits, Service};
use crate::snapshot::Snapshot;

/// Records that may wait where nobody says how many.
const RECORDS: usize = 10_000;

/// Tasks beside those of connections, ended when this is dropped.
#[derive(Debug, Default)]
pub struct Tasks(Vec<AbortHandle>);

impl Tasks {
    /// Runs `task` until the end.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task).abort_handle());
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Makes the service, and the thread that writes requests down.
///
/// # Errors
///
/// When a file can not be opened or an option can not be used.
pub fn service(
    settings: &Settings,
    snapshot: Snapshot,
    inspecting: usize,
    counters: &Arc<crate::counters::Counters>,
) -> anyhow::Result<(Arc<Service>, Option<Writer>)> {
    let secret = Secret::new(settings.secretaccesskey.value.expose().as_bytes());
    let state = Arc::new(State::new(StateLimits::default(), &secret));
    let inspector = Inspector::new(snapshot, state, Options::new(settings, hostname(settings))?);
    let records = or(*settings.max_records, RECORDS);
    let started =
        settings.waf_data_log.as_ref().map(|path| DataLog::start(Kind::DATA, path, records, counters));
    let (data_log, writer) = match started.transpose()? {
        Some((data_log, writer)) => (Some(data_log), Some(writer)),
        None => (None, None),
    };
    let limits = Limits {
        inspecting,
        time: settings.inspection_timeout.0,
        context: settings.context_expiration.0,
        anomaly_size: settings.inspection_anomaly_size.0,
        anomaly_time: settings.inspection_anomaly_duration.0,
    };
    let debug = DebugLog::new(settings);
    Ok((Arc::new(Service::new(inspector, Arc::clone(counters), limits, debug, data_log)), writer))
}

/// The agent's name in records.
pub fn hostname(settings: &Settings) -> Arc<str> {
    match settings.server_hostname.value.as_str() {
        "" => process::hostname().into(),
        name => name.into(),
    }
}

/// Opens the listeners of operators and probes.
///
/// # Errors
///
/// When an address can not be taken.
pub async fn questions(
    settings: &Arc<ArcSwap<Settings>>,
    service: &Arc<Service>,
    health: &Arc<Health>,
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let in_force = settings.load_full();
    if let Some(address) = in_force.admin_listener.as_ref() {
        if !is_loopback(address) {
            warn!(%address, "admin-listener is open to other machines, and has no authentication");
        }
        let listener = admin::bind("admin-listener", address).await?;
        announce("admin-listener", &listener);
        let metrics = Metrics::new(Arc::clone(service), Arc::clone(health));
        let (health, settings) = (Arc::clone(health), Arc::clone(settings));
        tasks.spawn(admin::serve(listener, Arc::new(Questions::Admin { metrics, health, settings })));
    }
    if let Some(address) = in_force.startup_probe_listener.as_ref() {
        let listener = admin::bind("startup-probe-listener", address).await?;
        announce("startup-probe-listener", &listener);
        tasks.spawn(admin::serve(listener, Arc::new(Questions::Startup(Arc::clone(health)))));
    }
    Ok(())
}

fn announce(option: &str, listener: &tokio::net::TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(option, %address, "answering");
    }
}

/// Writes the file by which a probe sees that the policy is loaded.
///
/// # Errors
///
/// When it can not be written.
pub fn probe_file(path: &Path) -> anyhow::Result<()> {
    std::fs::write(path, "started\n")
        .with_context(|| format!("startup-probe-filepath: cannot write {}", path.display()))
}

/// Removes what an agent before this one left: it says nothing about this one.
///
/// # Errors
///
/// When it is there and can not be removed.
pub fn clear_probe_file(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("startup-probe-filepath: cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The number, or `automatic` where it is 0.
pub fn or(number: u64, automatic: usize) -> usize {
    match usize::try_from(number) {
        Ok(0) => automatic,
        Ok(number) => number.min(tokio::sync::Semaphore::MAX_PERMITS),
        Err(_) => tokio::sync::Semaphore::MAX_PERMITS,
    }
}

fn is_loopback(address: &HostPort) -> bool {
    address.socket_addr().is_some_and(|address| address.ip().is_loopback())
}
