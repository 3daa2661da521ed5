//! `cargo xtask bench proxy`: the agent as a reverse proxy beside a plain nginx, and beside nginx with ModSecurity and the
//! OWASP Core Rule Set where Debian's packages can be had.
//!
//! All forward to the same upstream, an nginx that answers at once. What is measured has the first core to itself; upstream
//! and load generator share the second, so requests per second say less than the CPU time that a request costs.

mod load;
mod servers;

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::bench::Output;
use crate::bench::proxy::load::{Load, Measured};
use crate::bench::proxy::servers::{Kind, Server, Servers};
use crate::programs::{self, H2LOAD, NGINX, Program, WRK};
use crate::{apt, proxy};

/// How long each load lasts.
const SECONDS: u64 = 5;

/// Multiples of nginx's CPU time that are allowed, and of its p99.
const MOST_OFF: f64 = 1.3;
const MOST_ON: f64 = 1.9;
const MOST_P99: f64 = 2.0;

#[derive(Serialize)]
struct Figures {
    seconds_each: u64,
    loads: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    load: &'static str,
    servers: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    server: &'static str,
    #[serde(flatten)]
    measured: Measured,
    /// CPU time for each request, as a multiple of nginx's.
    cpu_by_nginx: f64,
    p99_by_nginx: f64,
    /// Requests a second, as a multiple of nginx's.
    requests_by_nginx: f64,
}

/// Runs the comparison.
pub(crate) fn run(output: Output) -> Result<()> {
    ensure!(thread::available_parallelism()?.get() >= 2, "two cores are needed, one of them for the load");
    programs::provide(&[WRK, H2LOAD, NGINX, Program { name: "taskset", package: "util-linux" }])?;
    let with_rules = apt::install(&["libnginx-mod-http-modsecurity", "modsecurity-crs"]);
    if !with_rules {
        eprintln!("    nginx with ModSecurity is left out: its packages cannot be installed here");
    }
    let agent = proxy::agent()?;
    let measure = |folder: &Path| measure(&Servers::new(folder, agent, with_rules)?);
    output.tell("proxy", measure, table)
}

fn measure(servers: &Servers) -> Result<Figures> {
    let upstream = servers.upstream()?;
    let mut loads = Vec::new();
    for load in Load::all(servers.folder())? {
        let mut cells: Vec<Cell> = Vec::new();
        for kind in servers.kinds() {
            let server = servers.start(kind, upstream.port())?;
            load.run(&server, Duration::from_secs(1))?;
            let Some(measured) = load.run(&server, Duration::from_secs(SECONDS))? else {
                ensure!(kind == Kind::ModSecurity, "{} answered no request", kind.name());
                eprintln!("    {}: {} answered no request in {SECONDS} s", load.name(), kind.name());
                continue;
            };
            let nginx = cells.first().map_or(&measured, |cell| &cell.measured);
            cells.push(Cell {
                server: kind.name(),
                cpu_by_nginx: measured.cpu_us_a_request / nginx.cpu_us_a_request,
                p99_by_nginx: measured.p99_us / nginx.p99_us,
                requests_by_nginx: measured.requests_a_second / nginx.requests_a_second,
                measured,
            });
        }
        loads.push(Row { load: load.name(), servers: cells });
    }
    drop(upstream);
    Ok(Figures { seconds_each: SECONDS, loads })
}

fn table(figures: &Figures) {
    println!("{SECONDS} s each, one core for what is measured, one for upstream and load generator");
    for Row { load, servers } in &figures.loads {
        println!(
            "\n{load:<22} {:>9} {:>9} {:>9} {:>11} {:>8} {:>8}",
            "req/s", "p50 us", "p99 us", "CPU us/req", "x nginx", "p99 x"
        );
        for Cell { server, measured, cpu_by_nginx, p99_by_nginx, .. } in servers {
            let most = match *server {
                servers::OFF => MOST_OFF,
                servers::ON => MOST_ON,
                _ => f64::INFINITY,
            };
            let missed = *cpu_by_nginx > most || (most.is_finite() && *p99_by_nginx > MOST_P99);
            println!(
                "  {server:<20} {:>9.0} {:>9.0} {:>9.0} {:>11.1} {cpu_by_nginx:>8.2} {p99_by_nginx:>8.2}{}",
                measured.requests_a_second,
                measured.p50_us,
                measured.p99_us,
                measured.cpu_us_a_request,
                if missed { "  MISSED" } else { "" }
            );
        }
    }
    println!(
        "\nwanted: CPU at most {MOST_OFF} x nginx with inspection off, {MOST_ON} x on; p99 at most {MOST_P99} x"
    );
}

/// The CPU time of a process so far.
fn cpu(server: &Server) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{}/stat", server.pid()))?;
    // The name may hold anything, but ends with the last parenthesis.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let [Some(user), Some(system)] = [fields.get(11), fields.get(12)] else { bail!("no times in {text:?}") };
    let ticks = user.parse::<u64>()? + system.parse::<u64>()?;
    // Linux counts in hundredths of a second, whatever the kernel's own clock does.
    Ok(Duration::from_millis(ticks * 10))
}
