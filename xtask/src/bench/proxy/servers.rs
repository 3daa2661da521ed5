//! What is measured, and the upstream that all forward to.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::proxy::load::CORE as OTHER_CORE;

/// The core of what is measured.
const CORE: &str = "0";
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent's names in the table.
pub(super) const OFF: &str = "agent, inspection off";
pub(super) const ON: &str = "agent, inspection on";

/// Starts them.
pub(super) struct Servers {
    folder: PathBuf,
    agent: PathBuf,
    kinds: Vec<Kind>,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    AgentOff,
    AgentOn,
    ModSecurity,
}

impl Kind {
    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::AgentOff => OFF,
            Self::AgentOn => ON,
            Self::ModSecurity => "nginx + ModSecurity",
        }
    }
}

/// A running server, killed when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
    http2_port: u16,
    folder: PathBuf,
}

impl Servers {
    /// Writes to `folder`.
    pub(super) fn new(folder: &Path, agent: PathBuf, with_rules: bool) -> Result<Self> {
        let mut kinds = vec![Kind::Nginx, Kind::AgentOff, Kind::AgentOn];
        if with_rules {
            kinds.push(Kind::ModSecurity);
            rules(folder)?;
        }
        Ok(Self { folder: folder.to_owned(), agent, kinds })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// In the order of the table, nginx first.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.kinds.iter().copied()
    }

    /// The application: it answers at once.
    pub(super) fn upstream(&self) -> Result<Server> {
        let port = free_port()?;
        let body = "location / { return 200 \"ok\"; }";
        self.nginx("upstream", OTHER_CORE, &format!("listen 127.0.0.1:{port};"), "", body, (port, port))
    }

    /// Starts what is measured, before the upstream.
    pub(super) fn start(&self, kind: Kind, upstream: u16) -> Result<Server> {
        match kind {
            Kind::Nginx => self.forwarding(upstream, ""),
            Kind::ModSecurity => {
                let rules = self.folder.join("rules.conf");
                let on = format!("modsecurity on; modsecurity_rules_file {};", rules.display());
                self.forwarding(upstream, &on)
            }
            Kind::AgentOff => self.proxying(upstream, "off"),
            Kind::AgentOn => self.proxying(upstream, "block"),
        }
    }

    fn forwarding(&self, upstream: u16, more: &str) -> Result<Server> {
        let ports = (free_port()?, free_port()?);
        let body = format!(
            "{more} location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; }}"
        );
        let listen = format!("listen 127.0.0.1:{}; listen 127.0.0.1:{} http2;", ports.0, ports.1);
        let pool = format!("upstream app {{ server 127.0.0.1:{upstream}; keepalive 100; }}");
        self.nginx("front", CORE, &listen, &pool, &body, ports)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of one file")]
    fn nginx(
        &self,
        name: &str,
        core: &str,
        listen: &str,
        pool: &str,
        body: &str,
        ports: (u16, u16),
    ) -> Result<Server> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        let root = folder.display();
        let modules = "/usr/lib/nginx/modules/ngx_http_modsecurity_module.so";
        let load =
            if body.contains("modsecurity") { format!("load_module {modules};") } else { String::new() };
        let text = format!(
            "{load} daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;\nevents {{ worker_connections 1024; }}\nhttp {{ access_log off; keepalive_requests 100000000; client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; {pool}\nserver {{ {listen} {body} }} }}"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = Command::new("taskset");
        command.args(["-c", core, "nginx", "-c"]).arg(&file);
        Server::start(command, ports, folder)
    }

    fn proxying(&self, upstream: u16, level: &str) -> Result<Server> {
        let port = free_port()?;
        let policy = self.folder.join(format!("{level}.json"));
        fs::write(&policy, format!(r#"{{"site": {{"agentLevel": "{level}", "immediateBlock": true}}}}"#))?;
        let listener = format!(
            "bench:{{listener='http://127.0.0.1:{port}',upstreams='http://127.0.0.1:{upstream}',pass-host-header=true}}"
        );
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(&self.agent);
        command
            .env_clear()
            .env("SIGSCI_ACCESSKEYID", "bench")
            .env("SIGSCI_SECRETACCESSKEY", "bench")
            .env("SIGSCI_CONFIG", "/dev/null")
            .env("SIGSCI_POLICY_FILE", policy)
            .env("SIGSCI_MAX_PROCS", "1")
            .env("SIGSCI_REVPROXY_LISTENER", listener);
        Server::start(command, (port, port), self.folder.clone())
    }
}

/// The rule set as Debian ships it, switched on.
fn rules(folder: &Path) -> Result<()> {
    let text = "SecRuleEngine On\nSecRequestBodyAccess On\nSecResponseBodyAccess Off\nSecAuditEngine Off\nSecPcreMatchLimit 100000\nSecRequestBodyLimit 13107200\nInclude /etc/modsecurity/crs/crs-setup.conf\nInclude /usr/share/modsecurity-crs/rules/*.conf\n";
    fs::write(folder.join("rules.conf"), text).context("cannot write the rules' file")
}

impl Server {
    fn start(mut command: Command, ports: (u16, u16), folder: PathBuf) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a server")?;
        let mut server = Self { child, port: ports.0, http2_port: ports.1, folder };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                let log = fs::read_to_string(server.folder.join("error.log")).unwrap_or_default();
                bail!("a server ended ({status}): {log}");
            }
            ensure!(started.elapsed() < PATIENCE, "a server does not start");
            std::thread::yield_now();
        }
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn http2_port(&self) -> u16 {
        self.http2_port
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
