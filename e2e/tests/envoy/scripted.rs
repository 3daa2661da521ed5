//! An agent that does what a test says.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use portcullis_protocol::{LocalFacts, RpcMsgOut, http as wire};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// What the agent does with every question.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Answers with this message.
    Answer(Bytes),
    /// Answers about a request with the first message, about its response with the second.
    TwoAnswers(Bytes, Bytes),
    /// Answers 200 in the protocol's form, with this body.
    Body(&'static [u8]),
    /// Answers with this status.
    Status(u16),
    /// Answers 200 as any web server might.
    Foreign,
    /// Accepts, and never answers.
    Hang,
    /// Accepts, and closes at the first byte.
    Close,
}

impl Script {
    pub(crate) fn answer(message: &RpcMsgOut<'_>) -> Self {
        Self::Answer(message.encode().into())
    }
}

/// A report that reached the agent: its path and its body.
pub(crate) type Asked = (String, Bytes);

/// A running agent; dropping it closes its socket and its connections.
pub(crate) struct ScriptedAgent {
    asked: mpsc::UnboundedReceiver<Asked>,
    server: JoinHandle<()>,
}

impl ScriptedAgent {
    pub(crate) fn start(socket: &Path, script: Script) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        let script = Arc::new(script);
        let server = tokio::spawn(async move {
            // Ended with the server, as those of a killed agent are.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if matches!(*script, Script::Close) {
                    continue;
                }
                let (tell, script) = (tell.clone(), script.clone());
                let service = hyper::service::service_fn(move |request| {
                    let (tell, script) = (tell.clone(), script.clone());
                    async move { Ok::<_, Infallible>(play(request, &script, &tell).await) }
                });
                connections.spawn(async move {
                    let _closed = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { asked, server }
    }

    /// The next question or report.
    pub(crate) async fn next(&mut self) -> Asked {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), self.asked.recv());
        next.await.expect("the agent was not asked").expect("the agent is gone")
    }
}

impl Drop for ScriptedAgent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn play(
    request: Request<Incoming>,
    script: &Script,
    tell: &mpsc::UnboundedSender<Asked>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let report = path == wire::REPORTS;
    let about_response = path == wire::RESPONSE;
    let about_itself = path == wire::LOCAL;
    // Whether the agent is there is no question about a request. The test may be over: then nobody listens.
    if !about_itself {
        let _heard = tell.send((path, body));
    }
    match script {
        Script::Answer(_) if about_itself => {
            message(LocalFacts { version: 1, ask_always: true, ..LocalFacts::default() }.encode().into())
        }
        _ if report => message(Bytes::from_static(wire::ACK)),
        Script::Answer(answer) => message(answer.clone()),
        Script::TwoAnswers(_, response) if about_response => message(response.clone()),
        Script::TwoAnswers(request, _) => message(request.clone()),
        Script::Body(body) => message(Bytes::from_static(body)),
        Script::Status(status) => Response::builder().status(*status).body(Full::default()).unwrap(),
        Script::Foreign => Response::new(Full::new(Bytes::from_static(b"<html>It works!</html>"))),
        Script::Hang | Script::Close => std::future::pending().await,
    }
}

fn message(body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-type", wire::CONTENT_TYPE)
        .header(wire::VERSION_HEADER, wire::VERSION)
        .body(Full::new(body))
        .unwrap()
}
