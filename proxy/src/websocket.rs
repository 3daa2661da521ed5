//! WebSockets whose messages are inspected on their way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tracing::info;

use crate::counters::Counters;
use crate::failure::Reason;
use crate::inspect::{Action, Direction, Inspect, Message, Seen};
use crate::memory::Memory;
use crate::metered::Meter;
use crate::settings::Failure;

/// The largest message that is relayed; a larger one ends the connection, as RFC 6455 section 7.4.1 provides.
const MOST_MESSAGE: usize = 4 * 1024 * 1024;

/// How long both sides may take to answer a close.
const FAREWELL: Duration = Duration::from_secs(5);

/// How messages are judged.
#[derive(Debug)]
pub(crate) struct Watch<I> {
    /// Who judges them.
    pub inspect: Arc<I>,
    /// The request that opened the WebSocket.
    pub request: Arc<Seen>,
    /// What becomes of one that could not be inspected.
    pub failure: Failure,
    /// What those under way count against.
    pub memory: Arc<Memory>,
    /// What happened.
    pub counters: Arc<Counters>,
}

/// Relays messages between both sides until one ends. A text that is to be blocked is not relayed: both sides are
/// closed with status 1008; with 1013 where it could not be inspected and must be, or where all that is under way would hold
/// too much.
pub(crate) async fn relay<I: Inspect>(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    watch: &Watch<I>,
) -> io::Result<()> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MOST_MESSAGE)).max_frame_size(Some(MOST_MESSAGE));
    let (up, down) = (Meter::new(&watch.memory), Meter::new(&watch.memory));
    let client = WebSocketStream::from_raw_socket(up.on(client), Role::Server, Some(config)).await;
    let upstream = WebSocketStream::from_raw_socket(down.on(upstream), Role::Client, Some(config)).await;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_upstream, mut from_upstream) = upstream.split();
    let ended = tokio::select! {
        ended = one_way(&mut from_client, &mut to_upstream, watch, Direction::ToUpstream, &up) => ended,
        ended = one_way(&mut from_upstream, &mut to_client, watch, Direction::ToClient, &down) => ended,
    };
    let close = match ended {
        Ended::Blocked => {
            let reason = "blocked".into();
            Some(CloseFrame { code: CloseCode::Policy, reason })
        }
        Ended::NotInspected => {
            let reason = "not inspected".into();
            Some(CloseFrame { code: CloseCode::Again, reason })
        }
        Ended::NoMemory => {
            let reason = "too much is under way".into();
            Some(CloseFrame { code: CloseCode::Again, reason })
        }
        Ended::Closed(close) => close,
        Ended::Broken(error) => return Err(io::Error::other(error)),
    };
    let both = async {
        let to_upstream = farewell(from_upstream, to_upstream, close.clone(), &down);
        tokio::join!(to_upstream, farewell(from_client, to_client, close, &up))
    };
    // Whoever does not answer is left without.
    let _answered = tokio::time::timeout(FAREWELL, both).await;
    Ok(())
}

/// Closes one side, and reads it to its end: with bytes that nobody has read a connection is reset, and the close may be
/// lost with it. The side may be gone already.
async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(
    mut from: SplitStream<WebSocketStream<S>>,
    mut to: SplitSink<WebSocketStream<S>, Frame>,
    close: Option<CloseFrame>,
    meter: &Meter,
) {
    // Not taken where it was this side that closed: the answer to that waits already, and has only to be flushed.
    let _ = to.send(Frame::Close(close)).await;
    let _ = to.close().await;
    while let Some(Ok(_)) = from.next().await {
        // Dropped at once: it must not count against what others may hold.
        meter.message();
    }
    if let Ok(mut side) = to.reunite(from) {
        let _ = side.get_mut().shutdown().await;
    }
}

enum Ended {
    Closed(Option<CloseFrame>),
    Blocked,
    NotInspected,
    NoMemory,
    Broken(tungstenite::Error),
}

async fn one_way<I: Inspect>(
    from: &mut (impl Stream<Item = Result<Frame, tungstenite::Error>> + Unpin),
    to: &mut (impl Sink<Frame, Error = tungstenite::Error> + Unpin),
    watch: &Watch<I>,
    direction: Direction,
    meter: &Meter,
) -> Ended {
    while let Some(frame) = from.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::OutOfMemory => {
                watch.counters.failure(Reason::NoMemory);
                return Ended::NoMemory;
            }
            Err(error) => return Ended::Broken(error),
        };
        if let Some(text) = text(&frame) {
            let message = Message { request: Arc::clone(&watch.request), text, direction };
            let client = watch.request.client;
            match (watch.inspect.inspect_message(message).await.action, watch.failure) {
                (Action::Forward { .. }, _) | (Action::NotInspected, Failure::Open) => {}
                (Action::Block { .. }, _) => {
                    info!(%client, "WebSocket message blocked");
                    return Ended::Blocked;
                }
                (Action::NotInspected, Failure::Closed) => {
                    info!(%client, "WebSocket message not inspected, and not relayed");
                    return Ended::NotInspected;
                }
            }
        }
        if let Frame::Close(close) = frame {
            return Ended::Closed(close);
        }
        let control = control(&frame, direction);
        if let Err(error) = to.send(frame).await {
            return Ended::Broken(error);
        }
        match control {
            Some(bytes) => meter.control(bytes),
            None => meter.message(),
        }
    }
    Ended::Closed(None)
}

/// The bytes of a frame that may stand between two of a message; a client's has a mask.
fn control(frame: &Frame, direction: Direction) -> Option<usize> {
    let (Frame::Ping(payload) | Frame::Pong(payload)) = frame else { return None };
    let header = match direction {
        Direction::ToUpstream => 6,
        Direction::ToClient => 2,
    };
    Some(header + payload.len())
}

/// What is to be inspected. Many applications read text out of binary messages, too, and it is the sender who says which a
/// message is; and the reason of a close ends up in a log.
fn text(frame: &Frame) -> Option<Bytes> {
    let text = match frame {
        Frame::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
        Frame::Binary(bytes) => bytes.clone(),
        Frame::Ping(bytes) | Frame::Pong(bytes) if !bytes.is_empty() => bytes.clone(),
        Frame::Close(Some(close)) if !close.reason.is_empty() => {
            Bytes::copy_from_slice(close.reason.as_bytes())
        }
        Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) | Frame::Frame(_) => return None,
    };
    std::str::from_utf8(&text).is_ok().then_some(text)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Uri, Version};
    use tokio::io::duplex;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame as RawFrame, FrameHeader};

    use super::*;
    use crate::inspect::{Judgement, Outcome, Shown};

    /// Blocks what says so, and knows nothing of what says that.
    #[derive(Debug)]
    struct Judge;

    impl Inspect for Judge {
        async fn inspect(&self, _: Arc<Seen>) -> Judgement {
            panic!("no request comes here")
        }

        async fn inspect_message(&self, message: Message) -> Judgement {
            let action = match &message.text[..] {
                b"bad" => {
                    Action::Block { status: http::StatusCode::NOT_ACCEPTABLE, location: None, page: None }
                }
                b"hard" => Action::NotInspected,
                _ => Action::Forward { headers: Vec::new() },
            };
            let (signals, response) = (Vec::new(), Vec::new());
            Judgement { action, code: 0, request_id: None, signals, took: Duration::ZERO, response }
        }

        fn answered(&self, _: &Outcome) {}

        fn shown(&self, _: &Seen) -> Shown {
            panic!("nothing is logged here")
        }
    }

    fn watch(failure: Failure, memory: &Arc<Memory>) -> Watch<Judge> {
        let request = Seen {
            listener: "app".into(),
            client: ([192, 0, 2, 1], 1).into(),
            method: Method::GET,
            uri: Uri::from_static("/"),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            truncated: false,
            trailers: None,
            tls: None,
        };
        let (memory, counters) = (Arc::clone(memory), Arc::default());
        Watch { inspect: Arc::new(Judge), request: Arc::new(request), failure, memory, counters }
    }

    /// What the upstream gets of one message from the client.
    async fn relayed(message: Frame, failure: Failure) -> Frame {
        let (client, client_side) = duplex(1024);
        let (upstream_side, upstream) = duplex(1024);
        let watch = watch(failure, &Arc::default());
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let mut upstream = WebSocketStream::from_raw_socket(upstream, Role::Server, None).await;
        client.send(message).await.unwrap();
        let relayed = async {
            relay(client_side, upstream_side, &watch).await.unwrap();
            std::future::pending().await
        };
        tokio::select! {
            got = upstream.next() => got.unwrap().unwrap(),
            got = relayed => got,
        }
    }

    fn closed(frame: &Frame) -> Option<CloseCode> {
        match frame {
            Frame::Close(Some(close)) => Some(close.code),
            _ => None,
        }
    }

    /// A connection over TCP, which loses what was sent where it is reset.
    async fn tcp() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    type Side = WebSocketStream<TcpStream>;

    /// Client and upstream, with a relay between them.
    async fn between(memory: &Arc<Memory>) -> (Side, Side, JoinHandle<io::Result<()>>) {
        let ((client, client_side), (upstream_side, upstream)) = (tcp().await, tcp().await);
        let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let upstream = WebSocketStream::from_raw_socket(upstream, Role::Server, None).await;
        let watch = watch(Failure::Open, memory);
        let relay = tokio::spawn(async move { relay(client_side, upstream_side, &watch).await });
        (client, upstream, relay)
    }

    #[tokio::test]
    async fn who_closes_is_answered_whichever_side_it_is() {
        let close = || CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        let (mut client, mut upstream, relay) = between(&Arc::default()).await;
        client.send(Frame::Close(Some(close()))).await.unwrap();
        assert_eq!(upstream.next().await.unwrap().unwrap(), Frame::Close(Some(close())));
        assert!(upstream.next().await.is_none());
        assert_eq!(client.next().await.unwrap().unwrap(), Frame::Close(Some(close())));
        assert!(client.next().await.is_none());
        drop(upstream);
        relay.await.unwrap().unwrap();
        let (mut client, mut upstream, relay) = between(&Arc::default()).await;
        upstream.send(Frame::Close(Some(close()))).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Frame::Close(Some(close())));
        assert_eq!(upstream.next().await.unwrap().unwrap(), Frame::Close(Some(close())));
        assert!(client.next().await.is_none() && upstream.next().await.is_none());
        drop(upstream);
        relay.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_close_reaches_who_sent_more_than_was_read() {
        let (mut client, mut upstream, relay) = between(&Arc::default()).await;
        client.feed(Frame::text("bad")).await.unwrap();
        for _ in 0..64 {
            client.feed(Frame::binary(vec![0xff; 64 * 1024])).await.unwrap();
        }
        client.flush().await.unwrap();
        assert_eq!(closed(&client.next().await.unwrap().unwrap()), Some(CloseCode::Policy));
        assert_eq!(closed(&upstream.next().await.unwrap().unwrap()), Some(CloseCode::Policy));
        drop((client, upstream));
        relay.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn messages_under_way_hold_no_more_than_all_may() {
        let memory = Memory::of(1 << 20);
        let (mut client, mut upstream, relay) = between(&memory).await;
        for _ in 0..40 {
            client.send(Frame::binary(vec![0xff; 64 * 1024])).await.unwrap();
            assert_eq!(upstream.next().await.unwrap().unwrap().len(), 64 * 1024);
        }
        let part = |code, bytes| {
            let header =
                FrameHeader { is_final: false, opcode: OpCode::Data(code), ..FrameHeader::default() };
            Frame::Frame(RawFrame::from_payload(header, bytes))
        };
        let mut code = Data::Binary;
        for _ in 0..40 {
            // What is sent between the parts of a message does not end it. The connection may end on the way.
            let _ = client.feed(part(code, vec![0xff; 64 * 1024].into())).await;
            let _ = client.send(Frame::Ping(vec![0; 100].into())).await;
            code = Data::Continue;
        }
        let mut last = None;
        while let Some(Ok(frame)) = timeout(FAREWELL, upstream.next()).await.expect("it goes on") {
            last = Some(frame);
        }
        assert_eq!(last.as_ref().and_then(closed), Some(CloseCode::Again));
        drop((client, upstream));
        relay.await.unwrap().unwrap();
        assert_eq!(memory.held(), 0);
    }

    #[tokio::test]
    async fn what_is_to_be_blocked_is_not_relayed() {
        assert_eq!(relayed(Frame::text("good"), Failure::Open).await, Frame::text("good"));
        assert_eq!(closed(&relayed(Frame::text("bad"), Failure::Open).await), Some(CloseCode::Policy));
    }

    #[tokio::test]
    async fn a_binary_message_that_is_text_is_inspected_as_such() {
        assert_eq!(closed(&relayed(Frame::binary("bad"), Failure::Open).await), Some(CloseCode::Policy));
        let other = Frame::binary(&b"bad\xff"[..]);
        assert_eq!(relayed(other.clone(), Failure::Open).await, other);
    }

    #[tokio::test]
    async fn text_in_control_frames_is_inspected_too() {
        let close = |reason: &str| CloseFrame { code: CloseCode::Normal, reason: reason.into() };
        assert_eq!(relayed(Frame::Ping("good".into()), Failure::Open).await, Frame::Ping("good".into()));
        let got = relayed(Frame::Close(Some(close("good"))), Failure::Open).await;
        assert_eq!(got, Frame::Close(Some(close("good"))));
        for frame in [Frame::Ping("bad".into()), Frame::Pong("bad".into()), Frame::Close(Some(close("bad")))]
        {
            let got = relayed(frame.clone(), Failure::Open).await;
            assert_eq!(closed(&got), Some(CloseCode::Policy), "{frame:?}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_inspected_passes_only_where_it_may() {
        assert_eq!(relayed(Frame::text("hard"), Failure::Open).await, Frame::text("hard"));
        assert_eq!(closed(&relayed(Frame::text("hard"), Failure::Closed).await), Some(CloseCode::Again));
    }
}
