//! The agent alone, as a reverse proxy before an application: the demo's second mode, and its smoke run.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::{HeaderMap, HeaderName, HeaderValue};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::app::{App, ID_HEADER};
use crate::client;
use crate::config::Upstream;
use crate::process::Process;
use crate::samples;
use crate::smoke::{Table, answered_by_app, stopped};
use crate::stack::BLOCKING;
use crate::wait::until;

/// How long the agent may take to listen, and to end when asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent; killed when dropped.
pub struct Proxied {
    agent: Process,
    at: SocketAddr,
    grpc: SocketAddr,
    // Last, so that it goes after the process that writes to it.
    folder: TempDir,
}

impl Proxied {
    /// Starts the agent (`PORTCULLIS_AGENT`) before `upstream`, on this port of the loopback address, 0 for a free one.
    ///
    /// # Errors
    /// When it ends, or does not listen in time.
    pub async fn start(port: u16, upstream: &Upstream) -> Result<Self> {
        let binary = std::env::var_os("PORTCULLIS_AGENT").map(PathBuf::from);
        let binary =
            binary.context("PORTCULLIS_AGENT is not set; start this through `cargo xtask run --proxy`")?;
        let folder = tempfile::Builder::new().prefix("portcullis-").tempdir()?;
        let policy = folder.path().join("policy.json");
        std::fs::write(&policy, BLOCKING)?;
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, if port == 0 { free_port().await? } else { port }));
        let grpc = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().await?));
        let log = folder.path().join("access.log");
        let listeners = format!(
            "app:{{listener='http://{at}',upstreams='{upstream}',pass-host-header=true,tls-insecure-skip-verify=true,access-log='{}',access-log-format=json}};\n grpc:{{listener='http://{grpc}',upstreams='{upstream}',tls-insecure-skip-verify=true,grpc=true}}",
            log.display()
        );
        let mut agent = Process::start("the agent", &binary, &folder.path().join("agent.log"), |command| {
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("SIGSCI_") {
                    command.env_remove(name);
                }
            }
            command
                .env("SIGSCI_REVPROXY_LISTENER", listeners)
                .env("SIGSCI_POLICY_FILE", &policy)
                .env("SIGSCI_ACCESSKEYID", "demo")
                .env("SIGSCI_SECRETACCESSKEY", "demo");
        })?;
        until("the agent listens", PATIENCE, || {
            let state = agent.ensure_running();
            async move {
                state?;
                Ok(tokio::net::TcpStream::connect(grpc).await.ok().map(drop))
            }
        })
        .await?;
        Ok(Self { agent, at, grpc, folder })
    }

    /// Where clients connect.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// The folder of logs, as long as this lives.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the agent ends by itself.
    ///
    /// # Errors
    /// Always: tells with what.
    pub async fn ended(&mut self) -> Result<()> {
        self.agent.ended().await
    }

    /// Ends the agent.
    ///
    /// # Errors
    /// When it did not end when asked; it is gone all the same.
    pub async fn stop(self) -> Result<()> {
        self.agent.stop(PATIENCE).await
    }

    /// Sends ordinary requests and attacks, printing a row each.
    ///
    /// # Errors
    /// When the agent breaks: a row that is not as wanted is counted in the table.
    pub async fn smoke(&mut self, app: &App) -> Result<Table> {
        let mut table = Table::begin();
        for sample in samples::benign() {
            let started = Instant::now();
            let got = answered_by_app(self.at, sample.clone(), app).await;
            table.row(sample.name, "200", started, got);
        }
        let started = Instant::now();
        table.row("WebSocket", "an echo", started, self.websocket(app).await);
        let started = Instant::now();
        table.row("gRPC-like stream", "echoes and grpc-status 0", started, self.stream(app).await);
        let attacks = samples::attacks();
        for sample in attacks.clone() {
            let started = Instant::now();
            let got = stopped(self.at, sample.clone(), app).await;
            table.row(sample.name, "406", started, got);
        }
        let started = Instant::now();
        let seen = attacks.iter().filter(|sample| app.seen(sample.name) > 0).count();
        let got =
            if seen == 0 { Ok(format!("0 of {}", attacks.len())) } else { Err(anyhow::anyhow!("{seen}")) };
        table.row("attacks in the app's own counter", "0", started, got);
        let started = Instant::now();
        table.row("access log has a line each", "the verdicts", started, self.logged(attacks.len()).await);
        self.agent.ensure_running()?;
        Ok(table)
    }

    async fn websocket(&self, app: &App) -> Result<String> {
        let sent = "over the drawbridge";
        let echo = client::websocket(self.at, "/echo", &id("WebSocket"), sent).await?;
        ensure!(echo == sent, "the echo was {echo:?}");
        ensure!(app.seen("WebSocket") == 1, "the echo, but not from the app");
        Ok("the echo".to_owned())
    }

    async fn stream(&self, app: &App) -> Result<String> {
        const NAME: &str = "gRPC-like stream";
        let status =
            client::grpc_echo(self.grpc, "/demo.Echo/Stream", &id(NAME), &["one", "two", "three"]).await?;
        ensure!(status == "0", "grpc-status {status:?}");
        ensure!(app.seen(NAME) == 1, "the echoes, but not from the app");
        Ok("3 echoes, grpc-status 0".to_owned())
    }

    async fn logged(&self, blocked: usize) -> Result<String> {
        let log = self.folder.path().join("access.log");
        until("the access log", PATIENCE, || async {
            let text = std::fs::read_to_string(&log)?;
            let found = text.lines().filter(|line| line.contains("\"waf\":406")).count();
            if found > blocked {
                bail!("{found} blocked requests are logged, {blocked} were sent");
            }
            Ok((found == blocked).then(|| format!("{found} with 406")))
        })
        .await
    }
}

async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?.port())
}

fn id(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static(ID_HEADER), HeaderValue::from_static(name))])
}
