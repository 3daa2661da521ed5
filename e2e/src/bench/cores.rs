//! Who runs on which core: Envoy on the first, everything else on the last.

use std::path::Path;

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::process::Command;

/// Keeps this process, and what it starts, on the last core; no effect where there is only one.
pub(crate) fn keep_to_the_last() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        println!("one core: Envoy shares it with everything else");
        return;
    }
    let mut last = CpuSet::new();
    last.set(cores - 1);
    if sched_setaffinity(None, &last).is_err() {
        println!("cores cannot be chosen here: the figures are those of a machine that schedules freely");
    }
}

/// A command that runs `program` on the first core.
pub(crate) fn on_the_first(command: &mut Command, program: &Path) {
    command.args(["-c", "0"]).arg(program);
}
