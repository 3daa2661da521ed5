//! msgpack-RPC as modules speak it: one call a connection, one reply in one write, then half-closed.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_protocol::envelope::{Call, Method, MsgId, peek_msgid, write_ack, write_error, write_reply};
use portcullis_protocol::frame::{FrameError, Limits, Progress, Scanner};
use portcullis_protocol::{DecodeError, RpcMsgOut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::debug_log::{Level, TARGET};
use crate::drain::Watch;
use crate::listen::stream::Stream;
use crate::memory::{Full, Held};
use crate::service::Service;

/// How long a call may take to arrive; a module itself gives up after a second at most.
const ARRIVAL: Duration = Duration::from_secs(5);

/// How long the peer may take to close after the reply, and how much it may still send.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 256 * 1024;

/// Bytes by which the buffer grows at once: a declared length is not yet a reason to reserve it.
const GROWTH: usize = 64 * 1024;

/// Bytes asked for at least, however few are known to be missing: a length is known when its header is there.
const LEAST: usize = 512;

/// Bytes that every connection may hold, whatever others do: most requests fit.
const FREE: usize = 8192;

/// Serves one connection of which `read` has arrived, and is still in the socket.
pub(super) async fn serve(
    mut stream: Stream,
    mut read: Vec<u8>,
    service: &Arc<Service>,
    limits: Limits,
    drain: Watch,
) {
    // Given back when the reply is out.
    let mut held = service.memory.hold();
    let mut unread = 0;
    let turn = match timeout(ARRIVAL, arrival(&mut stream, &mut read, limits, &mut held)).await {
        Ok(Ok(arrived)) => {
            read.truncate(arrived.len);
            unread = arrived.unread;
            call(service, Bytes::from(read)).await
        }
        Ok(Err(lost)) => turned_away(service, &read, &lost),
        Err(_) => turned_away(service, &read, &Lost::Late),
    };
    let Some(Turn { reply, report }) = turn else { return };
    if let Err(error) = say(&mut stream, &reply).await {
        debug!(%error, "peer gone before the reply");
        service.debug.connection("reply", &error);
    }
    // A close would reset the connection as long as this is there, and the reply might not have been read.
    let _gone = stream.discard(unread).await;
    // Modules wait for the acknowledgement, some of them while their client waits: the work comes after it.
    if let Some(Report { method, message }) = report {
        take(service, method, &message);
    }
    // Nothing is owed to the peer any more, so this must not hold up the end of the process.
    drop(drain);
    drop(held);
    let _late = timeout(FAREWELL, farewell(&mut stream)).await;
}

/// What to say, and what to do after it is said.
struct Turn {
    reply: Vec<u8>,
    report: Option<Report>,
}

struct Report {
    method: Method,
    message: Bytes,
}

/// A call that is there: its bytes, and how many at the end of all that was seen are still in the socket.
struct Arrived {
    len: usize,
    unread: usize,
}

/// Why a call did not arrive.
enum Lost {
    Frame(FrameError),
    CutOff,
    Late,
    Crowded,
    Io(io::Error),
}

async fn arrival(
    stream: &mut Stream,
    read: &mut Vec<u8>,
    limits: Limits,
    held: &mut Held,
) -> Result<Arrived, Lost> {
    let mut scanner = Scanner::new(limits);
    let mut unread = read.len();
    loop {
        let missing = match scanner.scan(read).map_err(Lost::Frame)? {
            // The end of it stays in the socket until the reply is out: see `Stream::peek`.
            Progress::Complete { len } => return Ok(Arrived { len, unread }),
            Progress::Incomplete { at_least } => at_least.saturating_sub(read.len()),
        };
        stream.discard(unread).await.map_err(Lost::Io)?;
        let growth = missing.clamp(LEAST, GROWTH);
        let whole = read.len() + growth;
        if whole > FREE {
            held.grow_to(whole).map_err(|Full| Lost::Crowded)?;
        }
        unread = match stream.peek(read, growth).await {
            Ok(0) => return Err(Lost::CutOff),
            Ok(more) => more,
            Err(error) => return Err(Lost::Io(error)),
        };
    }
}

/// The answer to a call that did not arrive whole. A wrong id crashes one module and silence hangs it, so the call is
/// answered under its id where that much has arrived.
fn turned_away(service: &Service, read: &[u8], lost: &Lost) -> Option<Turn> {
    let text = match lost {
        Lost::Frame(error) => error.to_string(),
        Lost::CutOff => "request is cut off".to_owned(),
        Lost::Late => "request took too long to arrive".to_owned(),
        Lost::Crowded => "too many requests are arriving slowly".to_owned(),
        Lost::Io(error) => {
            service.counters.cut_off.add();
            debug!(%error, "connection lost within a request");
            service.debug.connection("request", error);
            return None;
        }
    };
    match lost {
        Lost::Frame(_) => service.counters.refused.add(),
        Lost::Crowded => {
            service.counters.crowded_out.add();
            warn!(
                "unfinished messages hold all the memory they may; a request was not inspected, and passes"
            );
        }
        Lost::CutOff | Lost::Late | Lost::Io(_) => service.counters.cut_off.add(),
    }
    debug!(reason = text, "request turned away");
    if service.debug.connection_errors > Level::Off {
        info!(target: TARGET, reason = text, "connection error");
    }
    let msgid = peek_msgid(read).unwrap_or(MsgId::NONE);
    Some(Turn { reply: write_error(msgid, &text), report: None })
}

async fn call(service: &Arc<Service>, frame: Bytes) -> Option<Turn> {
    let turn = match Call::parse(&frame) {
        Err(error) => ControlFlow::Break((error.msgid, error.to_string())),
        Ok(Call { msgid, method, params }) => {
            let message = frame.slice_ref(params);
            answer(service, msgid, method, message).await.map_break(|reason| (msgid, reason))
        }
    };
    Some(match turn {
        ControlFlow::Continue(turn) => turn,
        ControlFlow::Break((msgid, reason)) => {
            service.counters.refused.add();
            debug!(reason, "call refused");
            Turn { reply: write_error(msgid, &reason), report: None }
        }
    })
}

/// Answers a call, or says why it can not be.
async fn answer(
    service: &Arc<Service>,
    msgid: MsgId,
    method: Method,
    message: Bytes,
) -> ControlFlow<String, Turn> {
    let refused = |error: DecodeError| ControlFlow::Break(error.to_string());
    let replied = |message: &RpcMsgOut<'_>| {
        ControlFlow::Continue(Turn { reply: write_reply(msgid, message), report: None })
    };
    match method {
        Method::PreRequest => match service.pre_request(message).await {
            Ok(answer) => {
                let message = answer.to_module();
                service.debug.output(&message);
                replied(&message)
            }
            Err(error) => refused(error),
        },
        Method::ModuleInit => match service.module_init(&message) {
            Ok(()) => replied(&RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() }),
            Err(error) => refused(error),
        },
        Method::PostRequest | Method::UpdateRequest => {
            ControlFlow::Continue(Turn { reply: write_ack(msgid), report: Some(Report { method, message }) })
        }
        Method::Unknown => ControlFlow::Break("unknown method".to_owned()),
    }
}

fn take(service: &Service, method: Method, message: &[u8]) {
    let taken = match method {
        Method::PostRequest => service.post_request(message),
        Method::UpdateRequest => service.update_request(message),
        Method::ModuleInit | Method::PreRequest | Method::Unknown => Ok(()),
    };
    if let Err(error) = taken {
        service.counters.refused.add();
        debug!(%error, "report is not usable");
    }
}

/// Replies and half-closes: some modules take the end of the stream for the end of the reply.
async fn say(stream: &mut Stream, reply: &[u8]) -> io::Result<()> {
    stream.write_all(reply).await?;
    stream.shutdown().await
}

/// Waits for the peer to close, so that no reset overtakes the reply.
async fn farewell(stream: &mut Stream) {
    let mut heard = [0; 1024];
    let mut left = FAREWELL_BYTES;
    while let Ok(more @ 1..) = stream.read(&mut heard).await {
        match left.checked_sub(more) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests;
