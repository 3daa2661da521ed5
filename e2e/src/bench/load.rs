//! The load: wrk, and the three requests it sends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::setups::Running;

/// A request and a number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) request: Request,
    pub(crate) connections: u32,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nine headers, three parameters.
    Get,
    /// JSON of this many KiB.
    Post(usize),
}

impl Load {
    /// Every request at 16 and at 64 connections.
    pub(crate) const ALL: [Load; 6] = [
        Load { request: Request::Get, connections: 16 },
        Load { request: Request::Get, connections: 64 },
        Load { request: Request::Post(4), connections: 16 },
        Load { request: Request::Post(4), connections: 64 },
        Load { request: Request::Post(64), connections: 16 },
        Load { request: Request::Post(64), connections: 64 },
    ];

    /// Whether the shares are taken of it.
    pub(crate) fn is_headline(self) -> bool {
        self == Load { request: Request::Get, connections: 16 }
    }

    pub(crate) fn name(self) -> String {
        match self.request {
            Request::Get => format!("GET, {} connections", self.connections),
            Request::Post(kib) => format!("POST {kib} KiB, {} connections", self.connections),
        }
    }
}

/// What came of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) requests_a_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU time of Envoy.
    pub(crate) cpu_us_a_request: f64,
}

/// wrk with its scripts.
pub(crate) struct Wrk {
    folder: PathBuf,
    seconds: u32,
}

impl Wrk {
    pub(crate) fn new(folder: &Path, seconds: u32) -> Result<Self> {
        for kib in [4, 64] {
            std::fs::write(folder.join(format!("post-{kib}.lua")), script(Some(kib)))?;
        }
        std::fs::write(folder.join("get.lua"), script(None))?;
        Ok(Self { folder: folder.to_owned(), seconds })
    }

    /// Loads one Envoy.
    pub(crate) async fn run(&self, load: Load, envoy: &mut Running) -> Result<Measured> {
        let script = match load.request {
            Request::Get => "get.lua".to_owned(),
            Request::Post(kib) => format!("post-{kib}.lua"),
        };
        let target = match load.request {
            Request::Get => "/shop/items?category=garden+tools&page=2&sort=price",
            Request::Post(_) => "/shop/orders",
        };
        let before = envoy.cpu()?;
        let output = Command::new("wrk")
            .arg(format!("-c{}", load.connections))
            .args(["-t1", "--latency", &format!("-d{}s", self.seconds), "-s"])
            .arg(self.folder.join(script))
            .arg(format!("http://{}{target}", envoy.ingress))
            .output()
            .await
            .context("wrk does not start")?;
        let cpu = envoy.cpu()?.saturating_sub(before);
        envoy.ensure_running()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk failed: {text}");
        read(&text, cpu).with_context(|| format!("{} of {}: {text}", load.name(), envoy.setup.name()))
    }
}

/// Reads the line that the script's `done` writes.
fn read(text: &str, cpu: Duration) -> Result<Measured> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT ")).context("wrk tells no result")?;
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [requests, micros, p50_us, p99_us, errors] = numbers[..] else {
        anyhow::bail!("wrk tells another result");
    };
    ensure!(errors == 0.0, "{errors} requests were not answered 200");
    ensure!(requests > 100.0, "only {requests} requests were answered");
    Ok(Measured {
        requests_a_second: requests / micros * 1e6,
        p50_us,
        p99_us,
        cpu_us_a_request: cpu.as_secs_f64() * 1e6 / requests,
    })
}

/// The headers of a browser, with Host nine, and a body where there is one.
fn script(kib: Option<usize>) -> String {
    let body = kib.map_or(String::new(), |kib| {
        format!(
            r#"wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local row = '{{"sku":"A-1001","name":"Garden rake, 14 teeth","quantity":2,"price":24.50,"note":"leave at the door"}}'
local rows = {{}}
while #rows * (#row + 1) < {bytes} - #row do rows[#rows + 1] = row end
wrk.body = '[' .. table.concat(rows, ',') .. ']'
"#,
            bytes = kib * 1024
        )
    });
    format!("{HEADERS}{body}{DONE}")
}

const HEADERS: &str = r#"wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
wrk.headers["Accept-Language"] = "en-US,en;q=0.5"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br"
wrk.headers["Referer"] = "https://shop.example/shop/items?category=garden"
wrk.headers["Cookie"] = "session=4f1a2b3c4d5e6f708192a3b4; theme=dark; cart=3"
wrk.headers["Cache-Control"] = "max-age=0"
wrk.headers["Upgrade-Insecure-Requests"] = "1"
"#;

const DONE: &str = r#"function done(summary, latency, requests)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors))
end
"#;
