//! The agent and Envoy as one unit in a temporary folder, started from the shipped configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::client::{self, Ask};
use crate::config::{Edit, Layout, Shipped, Upstream, derive};
use crate::process::{Freeze, Process};
use crate::stats::Stats;
use crate::wait::until;

/// The policy to block attacks at the first request.
pub const BLOCKING: &str = r#"{"site":{"agentLevel":"block","immediateBlock":true}}"#;

/// How long a part may take to be ready: a module of this size compiles in a second, a busy machine needs more.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a part may take to end when asked.
const PARTING: Duration = Duration::from_secs(10);

/// An agent as [`Stack::start_agent`] starts it.
#[derive(Clone, Copy, Debug)]
pub struct AgentSetup<'a> {
    /// The policy file's text.
    pub policy: &'a str,
    /// How long it may inspect; the agent's own default where there is none.
    pub inspection_timeout: Option<&'a str>,
}

/// The demo's agent: blocking, with defaults for everything else.
pub const DEMO: AgentSetup<'static> = AgentSetup { policy: BLOCKING, inspection_timeout: None };

/// The programs a stack is made of.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// Envoy itself.
    pub envoy: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The filter module.
    pub filter: PathBuf,
}

impl Binaries {
    /// Takes them from the environment, where `cargo xtask` puts them.
    ///
    /// # Errors
    /// Names the first that is missing.
    pub fn from_env() -> Result<Self> {
        let file = |name: &str| {
            let file = std::env::var_os(name).map(PathBuf::from);
            match file {
                Some(file) if file.is_file() => Ok(file),
                Some(file) => bail!("{name}: {} is no file", file.display()),
                None => bail!(
                    "{name} is not set; start this through `cargo xtask run` or `cargo xtask test envoy`"
                ),
            }
        };
        Ok(Self {
            envoy: file("PORTCULLIS_ENVOY")?,
            agent: file("PORTCULLIS_AGENT")?,
            filter: file("PORTCULLIS_FILTER_WASM")?,
        })
    }
}

/// A running agent and Envoy. Dropping it kills both and removes its folder.
pub struct Stack {
    binaries: Binaries,
    shipped: Shipped,
    agent: Option<Process>,
    envoy: Option<(Process, Addresses)>,
    // Last, so that it goes after the processes that write to it.
    folder: TempDir,
}

/// Where an Envoy listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For clients.
    pub ingress: SocketAddr,
    /// For its counters.
    pub admin: SocketAddr,
}

impl Stack {
    /// Prepares a folder; starts nothing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(binaries: Binaries) -> Result<Self> {
        Self::of(Shipped::Filter, binaries)
    }

    /// The same, of this configuration.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn of(shipped: Shipped, binaries: Binaries) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("portcullis-").tempdir()?;
        Ok(Self { binaries, shipped, agent: None, envoy: None, folder })
    }

    /// Where the agent listens and Envoy asks.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    /// Where the agent serves Envoy by gRPC.
    #[must_use]
    pub fn grpc_socket(&self) -> PathBuf {
        self.folder.path().join("envoy.sock")
    }

    /// The folder of logs and configuration, as long as the stack lives.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the agent writes requests down, unless Envoy has the filter.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.folder.path().join("data.log")
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// When Envoy has not been started.
    pub fn ingress(&self) -> Result<SocketAddr> {
        Ok(self.envoy.as_ref().context("Envoy is not started")?.1.ingress)
    }

    /// Where Envoy's counters are.
    ///
    /// # Errors
    /// When Envoy has not been started.
    pub fn admin(&self) -> Result<SocketAddr> {
        Ok(self.envoy.as_ref().context("Envoy is not started")?.1.admin)
    }

    /// Starts the agent and waits until it accepts.
    ///
    /// # Errors
    /// When it ends, or does not accept in time.
    pub async fn start_agent(&mut self, setup: AgentSetup<'_>) -> Result<()> {
        let file = self.folder.path().join("policy.json");
        std::fs::write(&file, setup.policy)?;
        let cache = self.folder.path().join("cache");
        let (shipped, socket, grpc) = (self.shipped, self.socket(), self.grpc_socket());
        let records = self.records();
        let log = self.folder.path().join("agent.log");
        let mut agent = Process::start("the agent", &self.binaries.agent, &log, |command| {
            for (name, _) in std::env::vars_os() {
                if name.to_string_lossy().starts_with("SIGSCI_") {
                    command.env_remove(name);
                }
            }
            command
                .env("SIGSCI_RPC_ADDRESS", format!("unix:{}", socket.display()))
                .env("SIGSCI_POLICY_FILE", &file)
                .env("SIGSCI_SHARED_CACHE_DIR", &cache)
                .env("SIGSCI_ACCESSKEYID", "demo")
                .env("SIGSCI_SECRETACCESSKEY", "demo");
            if shipped != Shipped::Filter {
                command
                    .env("SIGSCI_ENVOY_GRPC_ADDRESS", format!("unix:{}", grpc.display()))
                    .env("SIGSCI_ENVOY_EXPECT_RESPONSE_DATA", "1")
                    .env("SIGSCI_ENVOY_EXTPROC_ENABLED", "true")
                    .env("SIGSCI_WAF_DATA_LOG", &records);
            }
            if let Some(time) = setup.inspection_timeout {
                command.env("SIGSCI_INSPECTION_TIMEOUT", time);
            }
        })?;
        until("the agent accepts connections", PATIENCE, || {
            let state = agent.ensure_running();
            let socket = socket.clone();
            async move {
                state?;
                Ok(UnixStream::connect(&socket).await.ok().map(drop))
            }
        })
        .await?;
        self.agent = Some(agent);
        Ok(())
    }

    /// Kills the agent as a crash would: its socket file stays.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().context("the agent is not started")?.kill().await
    }

    /// Lets the agent stand still: it holds its connections and answers nothing.
    ///
    /// # Errors
    /// When it is not running.
    pub fn hang_agent(&self) -> Result<()> {
        self.agent.as_ref().context("the agent is not started")?.freeze(Freeze::Stop)
    }

    /// Lets a hung agent go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn wake_agent(&self) -> Result<()> {
        self.agent.as_ref().context("the agent is not started")?.freeze(Freeze::GoOn)
    }

    /// Envoy's process id.
    #[must_use]
    pub fn envoy_id(&self) -> Option<u32> {
        self.envoy.as_ref().and_then(|(envoy, _)| envoy.id())
    }

    /// Starts Envoy on this port (0 for a free one) and waits until it serves.
    ///
    /// # Errors
    /// When it ends, as with a configuration it refuses, or does not serve in time.
    pub async fn start_envoy(&mut self, listen: u16, upstream: &Upstream, edits: &[Edit<'_>]) -> Result<()> {
        let config = self.configure(listen, upstream, edits)?;
        self.start_envoy_with(&config).await
    }

    /// Starts Envoy with a configuration of the caller's and waits until it serves.
    ///
    /// # Errors
    /// When it ends, as with a configuration it refuses, or does not serve in time.
    pub async fn start_envoy_with(&mut self, config: &Path) -> Result<()> {
        let admin_file = self.folder.path().join("admin-address");
        let log = self.folder.path().join("envoy.log");
        let mut envoy = Process::start("Envoy", &self.binaries.envoy, &log, |command| {
            command
                .arg("--config-path")
                .arg(config)
                .arg("--admin-address-path")
                .arg(&admin_file)
                // No shared memory, so that any number can run side by side and nothing is left.
                .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "info"])
                // The access log is read while Envoy runs; by default it would be 10 s late.
                .args(["--file-flush-interval-msec", "100"]);
        })?;
        let addresses = until("Envoy serves", PATIENCE, || {
            let state = envoy.ensure_running();
            let admin_file = admin_file.clone();
            async move {
                state?;
                Ok(serving(&admin_file).await)
            }
        })
        .await?;
        self.envoy = Some((envoy, addresses));
        Ok(())
    }

    /// Writes the configuration that [`Stack::start_envoy`] would run, and returns its path.
    ///
    /// # Errors
    /// When an edit does not fit the shipped file.
    pub fn configure(&self, listen: u16, upstream: &Upstream, edits: &[Edit<'_>]) -> Result<PathBuf> {
        let socket = match self.shipped {
            Shipped::Filter => self.socket(),
            Shipped::ExtAuthz | Shipped::ExtProc => self.grpc_socket(),
        };
        let (shipped, filter) = (self.shipped, &self.binaries.filter);
        let layout = Layout { shipped, listen, upstream, filter, socket: &socket };
        let config = self.folder.path().join("envoy.yaml");
        std::fs::write(&config, derive(&layout, edits)?)?;
        Ok(config)
    }

    /// Envoy's counters now.
    ///
    /// # Errors
    /// When Envoy is not started or does not answer.
    pub async fn stats(&self) -> Result<Stats> {
        client::stats(self.admin()?).await
    }

    /// Fails if a part that was started has ended by itself.
    ///
    /// # Errors
    /// Tells which, with the end of its log.
    pub fn ensure_running(&mut self) -> Result<()> {
        if let Some(agent) = &mut self.agent {
            agent.ensure_running()?;
        }
        if let Some((envoy, _)) = &mut self.envoy {
            envoy.ensure_running()?;
        }
        Ok(())
    }

    /// Waits until a part ends by itself.
    ///
    /// # Errors
    /// Always: tells which, with the end of its log.
    pub async fn ended(&mut self) -> Result<()> {
        let (Some(agent), Some((envoy, _))) = (&mut self.agent, &mut self.envoy) else {
            bail!("the stack is not started");
        };
        tokio::select! {
            end = agent.ended() => end,
            end = envoy.ended() => end,
        }
    }

    /// Ends both in order, Envoy first, so that no request meets a missing agent.
    ///
    /// # Errors
    /// When one did not end when asked; it is gone all the same.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some((envoy, _)) = self.envoy.take() {
            envoy.stop(PARTING).await?;
        }
        if let Some(agent) = self.agent.take() {
            agent.stop(PARTING).await?;
        }
        Ok(())
    }
}

/// Envoy's addresses, once it is live and its listener is bound; it has written its admin address to `admin_file`.
pub async fn serving(admin_file: &Path) -> Option<Addresses> {
    let admin: SocketAddr = std::fs::read_to_string(admin_file).ok()?.trim().parse().ok()?;
    let ready = Ask::get("/ready").send(admin).await.ok()?;
    let listeners = Ask::get("/listeners?format=json").send(admin).await.ok()?.report().ok()?;
    let bound = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    let port = u16::try_from(bound.get("port_value")?.as_u64()?).ok()?;
    let ingress = SocketAddr::new(bound.get("address")?.as_str()?.parse().ok()?, port);
    (ready.status == http::StatusCode::OK && port != 0).then_some(Addresses { ingress, admin })
}
