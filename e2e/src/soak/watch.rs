//! Memory and counters while it lasts.

use std::time::Duration;

use anyhow::{Context, Result};
use portcullis_e2e::stack::Stack;
use portcullis_e2e::stats::Stats;
use portcullis_e2e::wait::until;

use crate::faults::Fault;
use crate::load::Sent;

/// All that was seen.
#[derive(Default)]
pub(crate) struct Watch {
    resident: Vec<f64>,
    module: Vec<f64>,
}

const MIB: f64 = 1024.0 * 1024.0;

impl Watch {
    pub(crate) async fn look(&mut self, stack: &Stack, at: Duration, fault: Fault) -> Result<()> {
        let stats = stack.stats().await?;
        let resident = resident(stack.envoy_id().context("Envoy has ended")?)?;
        let module = stats.sum("portcullis_memory_bytes", &[]);
        self.resident.push(resident);
        self.module.push(module);
        println!(
            "{:>5} s {:<7} Envoy {:>6.1} MiB, module {:>5.1} MiB, {:>8} requests, {:>6} failures, in flight {:>3}",
            at.as_secs(),
            format!("{fault:?}"),
            resident / MIB,
            module / MIB,
            stats.sum("portcullis_requests_total", &[]),
            stats.sum("portcullis_failures_total", &[]),
            stats.sum("portcullis_inflight", &[]),
        );
        Ok(())
    }

    /// What should not be, once all is quiet.
    pub(crate) async fn faults(&self, stack: &Stack, sent: &Sent) -> Result<Vec<String>> {
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let wanted = sent.requests as f64;
        let counted = until("every request is counted", Duration::from_secs(10), || async {
            let stats = stack.stats().await?;
            Ok((requests(&stats) >= wanted && outcomes(&stats) >= wanted).then_some(()))
        });
        let _told_below = counted.await;
        let stats = stack.stats().await?;
        let (requests, outcomes) = (requests(&stats), outcomes(&stats));
        println!(
            "requests {requests}: decisions {}, failures {}, abandoned {}",
            stats.sum("portcullis_decisions_total", &[]),
            stats.sum("portcullis_failures_total", &[]),
            stats.sum("portcullis_abandoned_total", &[])
        );
        let mut faults = Vec::new();
        if requests != wanted || outcomes != wanted {
            faults.push(format!("{wanted} sent, {requests} counted, {outcomes} with an outcome"));
        }
        let left = stats.sum("portcullis_inflight", &[]);
        if left != 0.0 {
            faults.push(format!("{left} requests are in flight for ever"));
        }
        let reloads = stats.sum("envoy_wasm_portcullis_vm_reload_success", &[]);
        if reloads != 0.0 {
            faults.push(format!("the VM crashed {reloads} times"));
        }
        faults.extend(grown("Envoy's resident memory", &self.resident));
        faults.extend(grown("the module's memory", &self.module));
        Ok(faults)
    }
}

fn requests(stats: &Stats) -> f64 {
    stats.sum("portcullis_requests_total", &[])
}

fn outcomes(stats: &Stats) -> f64 {
    ["portcullis_decisions_total", "portcullis_failures_total", "portcullis_abandoned_total"]
        .iter()
        .map(|name| stats.sum(name, &[]))
        .sum()
}

/// Compares the last quarter with the second: the first is spent on growing to size.
fn grown(what: &str, seen: &[f64]) -> Option<String> {
    let quarter = seen.len() / 4;
    if quarter == 0 {
        return None;
    }
    let middle = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part.get(part.len() / 2).copied().unwrap_or_default()
    };
    let early = middle(seen.get(quarter..2 * quarter)?);
    let late = middle(seen.get(seen.len() - quarter..)?);
    println!("{what}: {:.1} MiB in the second quarter, {:.1} MiB in the last", early / MIB, late / MIB);
    (late > early * 1.05 + 4.0 * MIB)
        .then(|| format!("{what} grew from {:.1} to {:.1} MiB", early / MIB, late / MIB))
}

fn resident(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().next().context("no VmRSS")?.parse::<f64>()? * 1024.0)
}
