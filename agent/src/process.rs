//! The process as the system sees it.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};

/// Descriptors beside those of connections.
const SPARE_FILES: u64 = 64;

/// Raises the limit of open files as far as it goes, and says so where it is too low for `connections`.
pub fn raise_file_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "cannot raise the limit of open files");
    }
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(SPARE_FILES);
    if let Some(files) = getrlimit(Resource::Nofile).current.filter(|files| *files < wanted) {
        warn!(files, connections, "the limit of open files is lower than max-connections needs");
    }
}

/// How much less than others a thread gets that nobody waits for.
const NICE: i32 = 19;

/// Has this thread step back behind those that answer. There is no way back, so it must be one of its own.
pub fn step_back() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        debug!(%error, "cannot lower the priority of a thread");
    }
}

/// CPU time used so far, by all threads.
pub fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(used.tv_nsec).unwrap_or_default())
}

/// Bytes of memory in use; none where the system does not tell.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The name of this machine; in a pod, of the pod.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_it_uses() {
        assert!(cpu_time() > Duration::ZERO);
        assert!(resident_bytes().unwrap() > 100_000);
        assert!(!hostname().is_empty());
    }
}
