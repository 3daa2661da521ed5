//! The life of the process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use portcullis_config::{Resolved, Settings};
use portcullis_protocol::frame;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::counters::Counters;
use crate::drain;
use crate::inspector::Inspector;
use crate::listen::{self, Limits, bind};
use crate::logging;
use crate::service::Service;
use crate::snapshot::Snapshot;

/// Bytes that a message may have beside the body: headers, target, keys.
const AROUND_THE_BODY: usize = 1024 * 1024;

const CONNECTIONS: usize = 10_000;
const BACKLOG: u32 = 1024;
const INSPECTING_PER_THREAD: usize = 64;

/// Starts, serves until SIGTERM or SIGINT, drains and ends.
///
/// # Errors
///
/// When the agent can not start.
pub fn run(resolved: &Resolved) -> anyhow::Result<()> {
    let settings = &resolved.settings;
    logging::start(settings)?;
    for warning in &resolved.warnings {
        warn!("{warning}");
    }
    let snapshot = Snapshot::load(settings)?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = settings.max_procs.threads(cpus).max(1);
    let runtime = runtime(threads)?;
    let served = runtime.block_on(serve(settings, snapshot, threads));
    // An inspection whose answer nobody waits for must not hold up the end.
    runtime.shutdown_background();
    served
}

fn runtime(threads: usize) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(threads.max(2))
        .thread_name("portcullis")
        .enable_all()
        .build()
        .context("cannot start threads")
}

async fn serve(settings: &Settings, snapshot: Snapshot, threads: usize) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (mode, policy) = (snapshot.policy.site.mode, settings.policy_file.as_ref());
    let counters = Arc::new(Counters::default());
    let inspector = Inspector::new(snapshot, Arc::clone(&counters));
    let inspecting = or(*settings.max_inspecting, INSPECTING_PER_THREAD.saturating_mul(threads));
    let service = Service::new(inspector, Arc::clone(&counters), inspecting, settings.inspection_timeout.0);
    let backlog = u32::try_from(*settings.max_backlog).ok().filter(|backlog| *backlog > 0).unwrap_or(BACKLOG);
    let listener = bind::bind(&settings.rpc_address, *settings.rpc_socket_mode, backlog).await?;
    let address = listener.address();

    let (drain, watch) = drain::channel();
    let listening = tokio::spawn(listen::serve(listener, Arc::new(service), limits(settings), watch));
    info!(address, ?mode, ?policy, threads, version = env!("CARGO_PKG_VERSION"), "listening");

    tokio::select! {
        _ = terminated.recv() => info!("SIGTERM: draining"),
        _ = interrupted.recv() => info!("SIGINT: draining"),
    }
    drain.begin();
    let grace: Duration = settings.shutdown_grace.0;
    if timeout(grace, drain.done()).await.is_err() {
        warn!(connections = drain.under_way(), "not everything was done within the grace");
    }
    listening.abort();
    info!(%counters, "stopped");
    Ok(())
}

fn limits(settings: &Settings) -> Limits {
    let body = usize::try_from(settings.inspection_max_content_length.0).unwrap_or(usize::MAX);
    let message = frame::Limits { bytes: body.saturating_add(AROUND_THE_BODY), ..frame::Limits::default() };
    Limits { connections: or(*settings.max_connections, CONNECTIONS), message }
}

/// The number, or `automatic` where it is 0.
fn or(number: u64, automatic: usize) -> usize {
    match usize::try_from(number) {
        Ok(0) => automatic,
        Ok(number) => number.min(tokio::sync::Semaphore::MAX_PERMITS),
        Err(_) => tokio::sync::Semaphore::MAX_PERMITS,
    }
}
