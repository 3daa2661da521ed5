//! The life of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use portcullis_config::{Resolved, Settings};
use portcullis_protocol::frame;
use portcullis_proxy::Handle;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout_at};
use tracing::{info, warn};

use crate::counters::Counters;
use crate::drain;
use crate::health::{Health, Stage};
use crate::listen::{self, Limits, bind};
use crate::logging::Log;
use crate::process;
use crate::proxy::{self, Door};
use crate::reload::{Reload, Request, Requests};
use crate::repeats;
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::startup::{self, Tasks, or};
use crate::statsd::Statsd;
use crate::uploads::Uploads;
use crate::watch;

/// Bytes that a message may have beside the body: headers, target, keys.
const AROUND_THE_BODY: usize = 1024 * 1024;

const CONNECTIONS: usize = 10_000;
const BACKLOG: u32 = 1024;
const INSPECTING_PER_THREAD: usize = 64;

/// As good as for ever, and still a time that can be told.
const LONGEST_GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long what writes and sends may take at the end, though the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often repeated warnings are summed up.
const SUM_UP: Duration = Duration::from_secs(10);

/// Starts, serves until SIGTERM or SIGINT, drains and ends. `args` is the command line, for reloads.
///
/// # Errors
///
/// When the agent can not start.
pub fn run(resolved: &Resolved, args: Vec<String>) -> anyhow::Result<()> {
    let settings = &resolved.settings;
    let counters = Arc::new(Counters::default());
    let log = Log::start(settings, &counters)?;
    for warning in &resolved.warnings {
        warn!(target: repeats::STARTUP, "{warning}");
    }
    if let Some(path) = settings.startup_probe_filepath.as_ref() {
        startup::clear_probe_file(path)?;
    }
    process::raise_file_limit(or(*settings.max_connections, CONNECTIONS));
    // Counts what a container may use, not what the machine has.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = settings.max_procs.threads(cpus);
    let runtime = runtime(threads)?;
    let served = runtime.block_on(serve(Start { settings, counters, log, threads, args }));
    // An inspection whose answer nobody waits for must not hold up the end.
    runtime.shutdown_background();
    served
}

struct Start<'a> {
    settings: &'a Settings,
    counters: Arc<Counters>,
    log: Log,
    threads: usize,
    args: Vec<String>,
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

async fn serve(start: Start<'_>) -> anyhow::Result<()> {
    let Start { settings, counters, log, threads, args } = start;
    let mut signals = Signals::new()?;
    let (health, mut tasks) = (Arc::new(Health::default()), Tasks::default());
    let in_force = Arc::new(ArcSwap::from_pointee(settings.clone()));
    let snapshot = Snapshot::load(settings)?;
    let (mode, policy) = (snapshot.policy.site.mode, settings.policy_file.as_ref());
    let inspecting = or(*settings.max_inspecting, INSPECTING_PER_THREAD.saturating_mul(threads));
    for warning in snapshot.policy.warnings() {
        warn!(target: repeats::STARTUP, %warning, "policy");
    }
    let made = startup::service(settings, snapshot, inspecting, &counters, &health)?;
    let service = made.service;
    let (requests, asked) = Requests::channel();
    let (uploads, upload_log) = Uploads::new(settings, startup::hostname(settings), threads, &counters)?;
    let proxy = proxy::bind(settings, &service, threads)?;
    let handle = proxy.as_ref().map(|proxy| Arc::new(proxy.handle()));
    startup::questions(&in_force, &service, &health, (&requests, handle.clone()), &mut tasks).await?;
    let (drain, watch) = drain::channel();
    let backlog = u32::try_from(*settings.max_backlog).ok().filter(|backlog| *backlog > 0).unwrap_or(BACKLOG);
    let envoy = Envoy::bind(settings, &service, &health, backlog).await?;
    // A proxy has no module beside it, unless somebody says so.
    let (listening, address) = if proxy.is_some() && !settings.rpc_address.is_set() {
        (None, None)
    } else {
        let listener = bind::bind(&settings.rpc_address, *settings.rpc_socket_mode, backlog).await;
        let listener = listener.context("rpc-address")?;
        let address = listener.address();
        let serving = listen::serve(listener, Arc::clone(&service), limits(settings), watch.clone());
        (Some(tokio::spawn(serving)), Some(address))
    };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let proxied = proxy.map(|proxy| tokio::spawn(proxy.run(stopped)));
    tasks.spawn(sweep(Arc::clone(&service), settings.cleaner_interval.0));
    tasks.spawn(sum_up(log.clone()));
    let statsd = Statsd::new(settings).map(|statsd| {
        let (last, ended) = oneshot::channel();
        (last, tokio::spawn(statsd.run(Arc::clone(&service), ended)))
    });
    let exporting = made.exporter.map(|exporter| tokio::spawn(exporter.run()));
    let done = Arc::<Notify>::default();
    tasks.spawn(watch::watch(Arc::clone(&in_force), Arc::clone(&service), Arc::clone(&done), requests));
    if let Some(uploads) = uploads {
        tasks.spawn(uploads.run(Arc::clone(&service)));
    }
    health.enter(Stage::Serving);
    // Where there is none, the watch ends here.
    let connections = limits(settings).connections;
    let listening_to_envoy = envoy.map(move |envoy| tokio::spawn(envoy.serve(connections, watch)));
    if let Some(path) = settings.startup_probe_filepath.as_ref() {
        startup::probe_file(path)?;
    }
    match address {
        Some(address) => {
            info!(address, ?mode, ?policy, threads, version = env!("CARGO_PKG_VERSION"), "listening");
        }
        None => info!(?mode, ?policy, threads, version = env!("CARGO_PKG_VERSION"), "proxying"),
    }

    let reload = Reload {
        service: Arc::clone(&service),
        health: Arc::clone(&health),
        log: log.clone(),
        settings: in_force,
        uploads: upload_log.as_ref().map(|(log, _)| Arc::clone(log)),
        done,
        args,
    };
    signals.until_the_end(&Arc::new(reload), asked, handle.as_deref()).await;
    health.enter(Stage::Draining);
    drain.begin();
    stop.send_replace(true);
    let over = Instant::now() + settings.shutdown_grace.0.min(LONGEST_GRACE);
    if timeout_at(over.into(), drain.done()).await.is_err() {
        warn!(connections = drain.under_way(), "not everything was done within the grace");
    }
    for listening in [listening, listening_to_envoy].into_iter().flatten() {
        listening.abort();
    }
    if let Some(proxied) = proxied {
        // Each of its listeners has a shutdown-timeout.
        let _ended = proxied.await;
    }
    service.end();
    let mut writers = made.writers;
    if let Some((log, writer)) = upload_log {
        log.end();
        writers.push(writer);
    }
    // What waits is sent and written as long as there is grace; all of them work at once.
    let over = over.max(Instant::now() + LAST_WORDS);
    if let Some((last, sending)) = statsd {
        drop(last);
        let _in_time = timeout_at(over.into(), sending).await;
    }
    if let Some(mut exporting) = exporting
        && timeout_at(over.into(), &mut exporting).await.is_err()
    {
        exporting.abort();
        // What it gives up it counts.
        let _aborted = exporting.await;
    }
    writers.into_iter().for_each(|writer| writer.join(over));
    if let Some(keepers) = made.keepers {
        keepers.join();
    }
    log.repeats.sum_up();
    info!(%counters, "stopped");
    Ok(())
}

/// The gRPC server for Envoy with its address.
#[cfg(feature = "envoy-grpc")]
struct Envoy {
    server: Arc<listen::grpc::Server>,
    listener: bind::Listener,
}

#[cfg(feature = "envoy-grpc")]
impl Envoy {
    async fn bind(
        settings: &Settings,
        service: &Arc<Service>,
        health: &Arc<Health>,
        backlog: u32,
    ) -> anyhow::Result<Option<Self>> {
        let Some(address) = settings.envoy_grpc_address.as_ref() else { return Ok(None) };
        let (service, health) = (Arc::clone(service), Arc::clone(health));
        let server = Arc::new(listen::grpc::Server::new(settings, limits(settings), service, health)?);
        let listener = bind::bind(address, *settings.rpc_socket_mode, backlog).await;
        let listener = listener.context("envoy-grpc-address")?;
        info!(option = "envoy-grpc-address", address = listener.address(), "answering");
        Ok(Some(Self { server, listener }))
    }

    async fn serve(self, connections: usize, watch: drain::Watch) {
        self.server.serve(self.listener, connections, watch).await;
    }
}

/// Stands in for what this build lacks.
#[cfg(not(feature = "envoy-grpc"))]
enum Envoy {}

#[cfg(not(feature = "envoy-grpc"))]
impl Envoy {
    async fn bind(
        settings: &Settings,
        _service: &Arc<Service>,
        _health: &Arc<Health>,
        _backlog: u32,
    ) -> anyhow::Result<Option<Self>> {
        if settings.envoy_grpc_address.as_ref().is_some() {
            anyhow::bail!("envoy-grpc-address: this build has no gRPC server");
        }
        Ok(None)
    }

    async fn serve(self, _connections: usize, _watch: drain::Watch) {
        match self {}
    }
}

/// The signals that the process obeys.
struct Signals {
    terminated: Signal,
    interrupted: Signal,
    hung_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupted: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            hung_up: signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?,
        })
    }

    /// Waits until the process is told to end, and reloads meanwhile.
    async fn until_the_end(
        &mut self,
        reload: &Arc<Reload>,
        mut asked: mpsc::Receiver<Request>,
        proxy: Option<&Handle<Door>>,
    ) {
        let Self { terminated, interrupted, hung_up } = self;
        let reloads = async {
            loop {
                tokio::select! {
                    _ = hung_up.recv() => {
                        info!("SIGHUP: reloading");
                        proxy.inspect(|proxy| proxy.reopen());
                        // What is wrong is in the log already.
                        let _outcome = reload.run().await;
                    }
                    Some(reply) = asked.recv() => {
                        info!("reloading");
                        // Who asked may be gone.
                        let _gone = reply.send(reload.run().await);
                    }
                }
            }
        };
        // A reload that hangs on a file is not waited for.
        tokio::select! {
            _ = terminated.recv() => info!("SIGTERM: draining"),
            _ = interrupted.recv() => info!("SIGINT: draining"),
            () = reloads => {}
        }
    }
}

async fn sweep(service: Arc<Service>, every: Duration) {
    // Sweeping more often finds nothing new.
    let mut ticks = interval(every.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.sweep(Instant::now());
    }
}

async fn sum_up(log: Log) {
    let mut ticks = interval(SUM_UP);
    loop {
        ticks.tick().await;
        log.repeats.sum_up();
    }
}

fn limits(settings: &Settings) -> Limits {
    let body = usize::try_from(settings.inspection_max_content_length.0).unwrap_or(usize::MAX);
    let message = frame::Limits { bytes: body.saturating_add(AROUND_THE_BODY), ..frame::Limits::default() };
    Limits { connections: or(*settings.max_connections, CONNECTIONS), message }
}
