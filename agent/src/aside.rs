//! Work that no verdict waits for, on threads of its own. Those of the runtime are as few as inspections may run at once: a
//! resolver or a file system that does not answer would take them away.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::thread::Builder;

use tokio::sync::{Semaphore, oneshot};

use crate::process;

/// Threads at a time: where a resolver never answers, whoever asks again must not add another each time.
const MOST: usize = 32;
static PLACES: Semaphore = Semaphore::const_new(MOST);

/// Does `work` on a thread called `name` that steps back behind those that answer. Work that nobody waits for any more is
/// done all the same.
///
/// # Errors
///
/// When there is no thread, too many are under way, or the work has failed.
pub async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let place = PLACES.try_acquire().map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
    let (done, outcome) = oneshot::channel();
    Builder::new().name(name.to_owned()).spawn(move || {
        process::step_back();
        // Nobody waits any more where time was up.
        let result = work();
        drop(place);
        let _late = done.send(result);
    })?;
    outcome.await.map_err(|_| io::Error::other(format!("the thread {name} has failed")))
}

/// The addresses of `host`, a name or an address itself.
///
/// # Errors
///
/// When there is none, or the system can not tell.
pub async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let host = host.to_owned();
    let found: Vec<_> = run("lookup", move || (host.as_str(), port).to_socket_addrs()).await??.collect();
    if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_names_up_though_all_threads_inspect() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let (done, inspecting) = std::sync::mpsc::channel::<()>();
        runtime.spawn_blocking(move || inspecting.recv());
        let found = runtime.block_on(lookup("localhost", 80)).unwrap();
        assert!(found.iter().all(|found| found.ip().is_loopback() && found.port() == 80), "{found:?}");
        assert_eq!(runtime.block_on(lookup("::1", 1)).unwrap(), ["[::1]:1".parse().unwrap()]);
        drop(done);
    }
}
