//! What is compared: the shipped configuration with one thing different.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portcullis_e2e::client;
use portcullis_e2e::config::{Layout, Shipped, derive};
use portcullis_e2e::process::Process;
use portcullis_e2e::stack::{self, Binaries, Stack};
use portcullis_e2e::stats::Stats;
use portcullis_e2e::wait::until;

use crate::cores;
use crate::servers::Servers;

/// What stands before the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Plain,
    AskAlways,
    LocalFirst,
    ExtAuthz,
}

/// A running Envoy.
pub(crate) struct Running {
    pub(crate) setup: Setup,
    pub(crate) ingress: SocketAddr,
    admin: SocketAddr,
    process: Process,
    /// From its start until it served.
    start: Duration,
}

/// What an Envoy takes beside time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) start: Duration,
    pub(crate) resident: u64,
}

impl Setup {
    pub(crate) const ALL: [Setup; 4] = [Setup::Plain, Setup::AskAlways, Setup::LocalFirst, Setup::ExtAuthz];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Setup::Plain => "plain",
            Setup::AskAlways => "ask_always",
            Setup::LocalFirst => "local_first",
            Setup::ExtAuthz => "ext_authz",
        }
    }

    /// Starts an Envoy of one worker.
    pub(crate) async fn start(
        self,
        binaries: &Binaries,
        stack: &Stack,
        servers: &Servers,
    ) -> Result<Running> {
        let agent = stack.socket();
        let socket = if self == Setup::ExtAuthz { &servers.authorization } else { &agent };
        let upstream = servers.application.into();
        let layout = Layout {
            shipped: Shipped::Filter,
            listen: 0,
            upstream: &upstream,
            filter: &binaries.filter,
            socket,
        };
        let config = stack.folder().join(format!("{}.yaml", self.name()));
        std::fs::write(&config, self.configure(&derive(&layout, &[])?)?)?;
        let admin_file = stack.folder().join(format!("{}-admin", self.name()));
        let log = stack.folder().join(format!("{}.log", self.name()));
        let started = Instant::now();
        let mut process = Process::start("Envoy", "taskset".as_ref(), &log, |command| {
            cores::on_the_first(command, &binaries.envoy);
            command.arg("--config-path").arg(&config).arg("--admin-address-path").arg(&admin_file);
            command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        })?;
        let addresses = until("Envoy serves", Duration::from_secs(60), || {
            let state = process.ensure_running();
            let admin_file = admin_file.clone();
            async move {
                state?;
                Ok(stack::serving(&admin_file).await)
            }
        })
        .await?;
        let start = started.elapsed();
        Ok(Running { setup: self, ingress: addresses.ingress, admin: addresses.admin, process, start })
    }

    fn configure(self, text: &str) -> Result<String> {
        // A saturated machine makes requests wait longer than the shipped time-out, and what is not inspected costs less
        // than what is compared here.
        if text.matches(TIMEOUT).count() != 1 {
            bail!("envoy/envoy.yaml does not hold `{TIMEOUT}` once");
        }
        let text = without(text, ACCESS_LOG, FILTERS)?.replace(TIMEOUT, "\"timeout_ms\": 2000");
        match self {
            Setup::AskAlways => Ok(text),
            Setup::LocalFirst => {
                let [from, to] = ["ask-always", "local-first"].map(|mode| format!("\"mode\": \"{mode}\""));
                if text.matches(&from).count() != 1 {
                    bail!("envoy/envoy.yaml does not hold `{from}` once");
                }
                Ok(text.replace(&from, &to))
            }
            Setup::Plain => without(&text, FILTER, ROUTER),
            Setup::ExtAuthz => {
                Ok(without(&text, FILTER, ROUTER)?.replace(ROUTER, &format!("{EXT_AUTHZ}{ROUTER}")))
            }
        }
    }
}

impl Running {
    pub(crate) async fn stats(&self) -> Result<Stats> {
        client::stats(self.admin).await
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        // The scheduler's own count, in nanoseconds; the other one is rounded to hundredths of a second.
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.id()?))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split_whitespace().next().context("empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    pub(crate) fn footprint(&self) -> Result<Footprint> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.split_whitespace().next().context("no VmRSS")?.parse()?;
        Ok(Footprint { start: self.start, resident: kib * 1024 })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.process.stop(Duration::from_secs(10)).await
    }

    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        self.process.ensure_running()
    }

    fn id(&self) -> Result<u32> {
        self.process.id().context("Envoy has ended")
    }
}

/// The text without what stands from one mark up to another, both of which stand in it once.
fn without(text: &str, from: &str, to: &str) -> Result<String> {
    let (Some((before, rest)), 1) = (text.split_once(from), text.matches(from).count()) else {
        bail!("envoy/envoy.yaml does not hold `{from}` once");
    };
    let (_, after) = rest.split_once(to).with_context(|| format!("nothing like `{to}` follows `{from}`"))?;
    Ok(format!("{before}{to}{after}"))
}

const TIMEOUT: &str = "\"timeout_ms\": 100";
const ACCESS_LOG: &str = "                access_log:\n";
const FILTERS: &str = "                http_filters:\n";
const FILTER: &str = "                  # First in the chain";
const ROUTER: &str = "                  - name: envoy.filters.http.router\n";

/// As small as ext_authz is: no body, few headers.
const EXT_AUTHZ: &str = r#"                  - name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      http_service:
                        server_uri: { uri: "http://authz", cluster: portcullis-agent, timeout: 2s }
"#;
