//! The RPC address: one listener, two languages; and beside it the gRPC address.

pub mod bind;
#[cfg(feature = "envoy-grpc")]
pub mod grpc;
mod http;
mod rpc;
mod stream;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use portcullis_protocol::frame;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::drain::Watch;
use crate::listen::bind::Listener;
use crate::listen::stream::Stream;
use crate::service::Service;

/// How long a connection may be silent before its first byte. Modules speak at once; this only frees the place.
const SILENCE: Duration = Duration::from_secs(30);

/// The same once the agent stops: long enough for what is already in the socket.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long accepting pauses when the machine is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes asked for at once at first; most requests fit.
const FIRST_READ: usize = 4096;

/// What the listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more wait in the backlog.
    pub connections: usize,
    /// One message.
    pub message: frame::Limits,
}

/// Serves `listener` until `drain` says so, then what had already connected.
pub async fn serve(listener: Listener, service: Arc<Service>, limits: Limits, drain: Watch) {
    let asked = Arc::clone(&service);
    accept(listener, &service, limits.connections, drain, move |stream, drain| {
        connection(stream, Arc::clone(&asked), limits, drain)
    })
    .await;
}

/// Hands what connects to `serve`, at most `connections` at once, until `drain` says so; then what had already connected.
async fn accept<F, Served>(
    mut listener: Listener,
    service: &Service,
    connections: usize,
    mut drain: Watch,
    serve: F,
) where
    F: Fn(Stream, Watch) -> Served,
    Served: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = drain.draining() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok(stream) => {
                let connection = serve(stream, drain.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => paused(&error, service).await,
        }
    }
    // A module whose connection is dropped after it wrote may wait for ever: nobody new gets in, all others are served.
    for stream in listener.close() {
        tokio::spawn(serve(stream, drain.clone()));
    }
}

async fn paused(error: &io::Error, service: &Service) {
    match error.kind() {
        // The client was faster than we were.
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {}
        _ => {
            service.counters.unaccepted.add();
            warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

async fn connection(stream: Stream, service: Arc<Service>, limits: Limits, drain: Watch) {
    service.counters.connections.add();
    speak(stream, &service, limits, drain).await;
    service.counters.closed.add();
}

async fn speak(stream: Stream, service: &Arc<Service>, limits: Limits, mut drain: Watch) {
    let mut read = Vec::new();
    let heard = {
        let mut first = pin!(stream.peek(&mut read, FIRST_READ));
        tokio::select! {
            biased;
            heard = timeout(SILENCE, first.as_mut()) => heard,
            () = drain.draining() => timeout(LAST_WORDS, first).await,
        }
    };
    match heard {
        Ok(Ok(1..)) => {}
        Ok(Ok(0)) | Err(_) => return,
        Ok(Err(error)) => {
            debug!(%error, "connection lost before its first byte");
            service.debug.connection("first read", &error);
            return;
        }
    }
    // No HTTP request begins outside ASCII, and every msgpack array does.
    match read.first() {
        Some(0x80..) => rpc::serve(stream, read, service, limits.message, drain).await,
        _ => http::serve(stream, Arc::clone(service), limits.message.bytes, drain).await,
    }
}
