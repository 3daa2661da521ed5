//! The loads, and the generators that make them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::bench::proxy::cpu;
use crate::bench::proxy::servers::Server;

/// Connections at once.
const CONNECTIONS: &str = "32";
/// The core of the load generator.
pub(super) const CORE: &str = "1";

const TARGET: &str = "/search?q=garden+chairs&page=2&sort=price";

/// What a load found.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Measured {
    pub(super) requests_a_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) cpu_us_a_request: f64,
}

/// A kind of request.
pub(super) struct Load {
    name: &'static str,
    generator: Generator,
}

enum Generator {
    /// wrk with this script.
    Wrk(PathBuf),
    /// h2load.
    H2load,
}

struct Found {
    requests: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Load {
    /// Every load; scripts go to `folder`.
    pub(super) fn all(folder: &Path) -> Result<Vec<Self>> {
        let wrk = |name: &'static str, file: &str, more: &str| -> Result<Self> {
            let path = folder.join(file);
            fs::write(&path, format!("{HEADERS}{more}"))?;
            Ok(Self { name, generator: Generator::Wrk(path) })
        };
        let post = |kind: &str, file: &str, body: String| -> Result<String> {
            let path = folder.join(file);
            fs::write(&path, body)?;
            let path = path.display();
            Ok(format!(
                "wrk.method = 'POST'\nwrk.body = io.open('{path}', 'rb'):read('*a')\nwrk.headers['Content-Type'] = '{kind}'\n"
            ))
        };
        let json = post("application/json", "body.json", json())?;
        let form = post("application/x-www-form-urlencoded", "body.form", form())?;
        Ok(vec![
            wrk("GET, 3 parameters", "get.lua", "")?,
            wrk("JSON POST, 2 KB", "json.lua", &json)?,
            wrk("form POST, 64 KB", "form.lua", &form)?,
            Self { name: "GET over HTTP/2", generator: Generator::H2load },
        ])
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Loads `server` for `time`; nothing is measured where it answers no request in that time.
    pub(super) fn run(&self, server: &Server, time: Duration) -> Result<Option<Measured>> {
        let before = cpu(server)?;
        let found = match &self.generator {
            Generator::Wrk(script) => wrk(script, server, time)?,
            Generator::H2load => h2load(server, time)?,
        };
        let used = cpu(server)?.saturating_sub(before);
        Ok((found.requests > 0.0).then(|| Measured {
            requests_a_second: found.requests / time.as_secs_f64(),
            p50_us: found.p50_us,
            p99_us: found.p99_us,
            cpu_us_a_request: used.as_secs_f64() * 1e6 / found.requests,
        }))
    }
}

/// What a browser sends, more or less.
const HEADERS: &str = "wrk.headers['User-Agent'] = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'\nwrk.headers['Accept'] = 'text/html,application/xhtml+xml'\nwrk.headers['Accept-Language'] = 'en-GB,en'\n";

fn wrk(script: &Path, server: &Server, time: Duration) -> Result<Found> {
    let url = format!("http://127.0.0.1:{}{TARGET}", server.port());
    let seconds = format!("{}s", time.as_secs());
    let args = ["-t1", "-c", CONNECTIONS, "-d", &seconds, "--latency", "-s"];
    let said = generator("wrk", &args, &[script.as_os_str(), url.as_ref()])?;
    ensure!(!said.contains("Non-2xx"), "requests were refused:\n{said}");
    let field = |mark: &str| {
        let line = said.lines().map(str::trim).find(|line| line.starts_with(mark));
        line.and_then(|line| line.split_whitespace().nth(1)).with_context(|| format!("no {mark} in\n{said}"))
    };
    let total = said.lines().find(|line| line.contains(" requests in "));
    let requests = total.and_then(|line| line.split_whitespace().next()).context("no total")?.parse()?;
    Ok(Found { requests, p50_us: micros(field("50%")?)?, p99_us: micros(field("99%")?)? })
}

fn h2load(server: &Server, time: Duration) -> Result<Found> {
    let url = format!("http://127.0.0.1:{}{TARGET}", server.http2_port());
    let seconds = time.as_secs().to_string();
    let log = server.folder().join("h2load.log");
    // It appends.
    fs::write(&log, "")?;
    let args = ["-t1", "-c", "4", "-m", "8", "-D", &seconds, "--log-file"];
    let said = generator("h2load", &args, &[log.as_os_str(), url.as_ref()])?;
    ensure!(said.contains(" 0 failed, 0 errored"), "requests failed:\n{said}");
    // A line a request: its start, its status, and how long it took, in microseconds.
    let text = fs::read_to_string(&log)?;
    let mut took: Vec<f64> =
        text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse().ok()).collect();
    took.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    let requests = took.len() as f64;
    Ok(Found { requests, p50_us: at(50), p99_us: at(99) })
}

fn generator(name: &str, args: &[&str], more: &[&std::ffi::OsStr]) -> Result<String> {
    let output = Command::new("taskset").args(["-c", CORE, name]).args(args).args(more).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// `1.23ms` in microseconds.
fn micros(text: &str) -> Result<f64> {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (text.trim_end_matches("us"), 1.0),
        _ if text.ends_with("ms") => (text.trim_end_matches("ms"), 1e3),
        _ => (text.trim_end_matches('s'), 1e6),
    };
    Ok(number.parse::<f64>()? * factor)
}

/// An order, as a shop's page would send it: about 2 KB.
fn json() -> String {
    let line = |number: u32| {
        serde_json::json!({
            "sku": format!("CH-{number:04}"),
            "title": "Garden chair, oak, with arm rests",
            "quantity": number % 3 + 1,
            "price": {"amount": 8950 + number, "currency": "EUR"},
            "tags": ["outdoor", "oak", "sale"],
        })
    };
    let order = serde_json::json!({
        "customer": {"name": "Ada Example", "email": "ada@shop.example", "phone": "+44 20 7946 0000"},
        "address": {"street": "12 Castle Road", "city": "Leeds", "postcode": "LS1 4AP", "country": "GB"},
        "note": "Please leave it with the neighbours if nobody is at home. Thanks!",
        "lines": (0..11).map(line).collect::<Vec<_>>(),
    });
    order.to_string()
}

/// A long form of text: 64 KB.
fn form() -> String {
    const TEXT: &str =
        "The+chairs+arrived+on+Tuesday%2C+well+packed%2C+and+were+put+together+within+the+hour.+";
    let mut form = String::from("title=A+review+of+our+garden+chairs&rating=5");
    let mut number = 0;
    while form.len() < 64 * 1024 - 600 {
        form += &format!("&paragraph{number}={}", TEXT.repeat(6));
        number += 1;
    }
    form
}
