//! WebSockets whose text is inspected on its way.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tracing::info;

use crate::inspect::{Action, Direction, Inspect, Message, Seen};

/// The largest message that is relayed; a larger one ends the connection, as RFC 6455 section 7.4.1 provides.
const MOST_MESSAGE: usize = 4 * 1024 * 1024;

/// Relays messages between both sides until one ends. A text that is to be blocked is not relayed: both sides are
/// closed with status 1008.
pub(crate) async fn relay<I: Inspect>(
    client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    inspect: Arc<I>,
    request: Arc<Seen>,
) -> io::Result<()> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MOST_MESSAGE)).max_frame_size(Some(MOST_MESSAGE));
    let client = WebSocketStream::from_raw_socket(client, Role::Server, Some(config)).await;
    let upstream = WebSocketStream::from_raw_socket(upstream, Role::Client, Some(config)).await;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_upstream, mut from_upstream) = upstream.split();
    let ended = tokio::select! {
        ended = one_way(&mut from_client, &mut to_upstream, &*inspect, &request, Direction::ToUpstream) => ended,
        ended = one_way(&mut from_upstream, &mut to_client, &*inspect, &request, Direction::ToClient) => ended,
    };
    let close = match ended {
        Ended::Blocked => {
            let reason = "blocked".into();
            Some(CloseFrame { code: CloseCode::Policy, reason })
        }
        Ended::Closed(close) => close,
        Ended::Broken(error) => return Err(io::Error::other(error)),
    };
    // Either side may be gone already.
    let _ = to_upstream.send(Frame::Close(close.clone())).await;
    let _ = to_client.send(Frame::Close(close)).await;
    Ok(())
}

enum Ended {
    Closed(Option<CloseFrame>),
    Blocked,
    Broken(tungstenite::Error),
}

async fn one_way<I: Inspect>(
    from: &mut (impl Stream<Item = Result<Frame, tungstenite::Error>> + Unpin),
    to: &mut (impl Sink<Frame, Error = tungstenite::Error> + Unpin),
    inspect: &I,
    request: &Arc<Seen>,
    direction: Direction,
) -> Ended {
    while let Some(frame) = from.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Ended::Broken(error),
        };
        match &frame {
            Frame::Text(text) => {
                let text = Bytes::copy_from_slice(text.as_bytes());
                let message = Message { request: Arc::clone(request), text, direction };
                if let Action::Block { .. } = inspect.inspect_message(message).await.action {
                    info!(client = %request.client, "WebSocket message blocked");
                    return Ended::Blocked;
                }
            }
            Frame::Close(close) => return Ended::Closed(close.clone()),
            Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
        }
        if let Err(error) = to.send(frame).await {
            return Ended::Broken(error);
        }
    }
    Ended::Closed(None)
}
