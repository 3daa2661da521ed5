//! What is settled between reading the configuration and serving.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use portcullis_config::{HostPort, Settings};
use portcullis_policy::{Secret, State, StateLimits};
use portcullis_proxy::Handle;
use tokio::task::AbortHandle;
use tracing::warn;

use crate::admin::{self, Admin, Questions};
use crate::counters::Counters;
use crate::debug_log::DebugLog;
use crate::events::{EventsLog, What};
use crate::health::Health;
use crate::inspector::{Inspector, Options};
use crate::lines::{DataLog, Kind, Writer};
use crate::metrics::Metrics;
use crate::otlp::{Exporter, Otlp};
use crate::outlets::Outlets;
use crate::process;
use crate::proxy::Door;
use crate::reload::Requests;
use crate::service::{Limits, Service};
use crate::snapshot::Snapshot;
use crate::state::{Keeping, Threads};

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

/// The service, and what has to be waited for at the end.
#[derive(Debug)]
pub struct Made {
    /// The service.
    pub service: Arc<Service>,
    /// Threads that write files of lines.
    pub writers: Vec<Writer>,
    /// Threads that keep the state.
    pub keepers: Option<Threads>,
    /// What sends records away.
    pub exporter: Option<Exporter>,
}

/// Makes the service, and the threads that write.
///
/// # Errors
///
/// When a file can not be opened or an option can not be used.
pub fn service(
    settings: &Settings,
    snapshot: Snapshot,
    inspecting: usize,
    counters: &Arc<Counters>,
    health: &Arc<Health>,
) -> anyhow::Result<Made> {
    let mut writers = Vec::new();
    let (outlets, exporter) = outlets(settings, counters, &mut writers)?;
    let options = Options::new(settings, hostname(settings))?;
    let secret = Secret::new(settings.secretaccesskey.value.expose().as_bytes());
    let state = Arc::new(State::new(state_limits(*settings.state_addresses), &secret));
    let folder = settings.shared_cache_dir.value.as_path();
    // More often than that the disk has nothing else to do.
    let every = settings.snapshot_interval.0.max(Duration::from_millis(100));
    let (keeping, keepers, restored) = Keeping::restore(folder, state, every, counters, health);
    if let Some(restored) = restored {
        let age = restored.age / 1000;
        outlets.event(What::StateRestored { flags: restored.flags, counters: restored.counters, age });
    }
    outlets.event(What::PolicyLoaded { mode: format!("{:?}", snapshot.policy.site.mode).to_lowercase() });
    let inspector = Inspector::new(snapshot, Arc::new(keeping), options);
    let limits = Limits {
        inspecting,
        time: settings.inspection_timeout.0,
        context: settings.context_expiration.0,
        anomaly_size: settings.inspection_anomaly_size.0,
        anomaly_time: settings.inspection_anomaly_duration.0,
    };
    let debug = DebugLog::new(settings);
    let service = Service::new(inspector, Arc::clone(counters), limits, debug, outlets);
    Ok(Made { service: Arc::new(service), writers, keepers, exporter })
}

fn outlets(
    settings: &Settings,
    counters: &Arc<Counters>,
    writers: &mut Vec<Writer>,
) -> anyhow::Result<(Outlets, Option<Exporter>)> {
    let records = or(*settings.max_records, RECORDS);
    let mut outlets = Outlets::default();
    if let Some(path) = settings.waf_data_log.as_ref() {
        let (log, writer) = DataLog::start(Kind::DATA, path, records, counters)?;
        writers.push(writer);
        outlets.data_log = Some(log);
    }
    if let Some(path) = settings.events_log.as_ref() {
        let (log, writer) = EventsLog::start(Kind::EVENTS, path, records, counters)?;
        writers.push(writer);
        outlets.events_log = Some(log);
    }
    let url = settings.otlp_logs_url.value.as_str();
    if url.is_empty() {
        return Ok((outlets, None));
    }
    let roots = settings.otlp_ca_roots.as_ref().map(std::path::PathBuf::as_path);
    let (otlp, exporter) = Otlp::new((url, roots), records, hostname(settings), counters)?;
    outlets.otlp = Some(otlp);
    Ok((outlets, Some(exporter)))
}

fn state_limits(addresses: u64) -> StateLimits {
    let default = StateLimits::default();
    match or(addresses, 0) {
        0 => default,
        counters => StateLimits { counters, flags: counters.div_ceil(10), rates: counters.div_ceil(5) },
    }
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
    (requests, proxy): (&Requests, Option<Arc<Handle<Door>>>),
    tasks: &mut Tasks,
) -> anyhow::Result<()> {
    let in_force = settings.load_full();
    if let Some(address) = in_force.admin_listener.as_ref() {
        if !is_loopback(address) {
            warn!(%address, "admin-listener is open to other machines, and has no authentication");
        }
        let listener = admin::bind("admin-listener", address).await?;
        announce("admin-listener", &listener);
        let metrics = Metrics::new(Arc::clone(service), Arc::clone(health), proxy);
        let admin = Admin {
            metrics,
            health: Arc::clone(health),
            settings: Arc::clone(settings),
            service: Arc::clone(service),
            requests: requests.clone(),
        };
        tasks.spawn(admin::serve(listener, Arc::new(Questions::Admin(Box::new(admin)))));
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
