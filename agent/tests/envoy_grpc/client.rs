//! An agent with `envoy-grpc-address`, and tonic's client to it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::unfold;
use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use crate::common::{Agent, command};

pub(crate) struct Started {
    pub(crate) agent: Agent,
    /// Where it serves Envoy.
    pub(crate) address: String,
    /// Where it serves operators.
    pub(crate) admin: String,
}

/// Starts an agent with this policy and whatever `more` sets.
pub(crate) fn agent(policy: &str, more: impl FnOnce(&mut Command, &Path)) -> Started {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("policy.json"), policy).unwrap();
    let mut command = command(&dir);
    command
        .env("SIGSCI_POLICY_FILE", dir.path().join("policy.json"))
        .env("SIGSCI_ADMIN_LISTENER", "127.0.0.1:0")
        .env("SIGSCI_ENVOY_GRPC_ADDRESS", "127.0.0.1:0");
    more(&mut command, dir.path());
    let mut said = Vec::new();
    let agent = Agent::start_and_hear(dir, &mut command, &mut said);
    let address = |option: &str| {
        let line = said.iter().find(|line| line.contains(option)).unwrap();
        line.split("address=").nth(1).unwrap().trim().trim_matches('"').to_owned()
    };
    Started { address: address("envoy-grpc-address"), admin: address("admin-listener"), agent }
}

impl Started {
    pub(crate) async fn connect(&self) -> Connection {
        Connection::tcp(&self.address).await
    }

    /// A line of /metrics that begins like this.
    pub(crate) fn metric(&self, name: &str) -> String {
        let mut stream = std::net::TcpStream::connect(&self.admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        all.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{all}"))
            .trim()
            .to_owned()
    }

    /// Ends the agent, which must not take longer than its work, and reads its data log.
    pub(crate) async fn records(self) -> Vec<serde_json::Value> {
        let ended = tokio::task::spawn_blocking(|| {
            self.agent.signal("-TERM");
            self.agent.await_log("SIGTERM");
            self.agent.drained_leaving()
        });
        let dir = ended.await.unwrap();
        let text = std::fs::read_to_string(dir.path().join("data.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A connection that carries any number of calls.
#[derive(Clone)]
pub(crate) struct Connection(SendRequest<Body>);

impl Connection {
    pub(crate) async fn tcp(address: &str) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn unix(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap()).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    fn grpc(&self) -> Grpc<Self> {
        Grpc::with_origin(self.clone(), "http://agent".parse().unwrap())
    }

    pub(crate) async fn unary<In, Out>(&self, path: &'static str, message: In) -> Result<Out, Status>
    where
        In: Message + Send + Sync + 'static,
        Out: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc();
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<In, Out>::default();
        let path = PathAndQuery::from_static(path);
        Ok(grpc.unary(tonic::Request::new(message), path, codec).await?.into_inner())
    }

    pub(crate) async fn server_streaming<In, Out>(
        &self,
        path: &'static str,
        message: In,
    ) -> Result<Streaming<Out>, Status>
    where
        In: Message + Send + Sync + 'static,
        Out: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc();
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<In, Out>::default();
        let path = PathAndQuery::from_static(path);
        Ok(grpc.server_streaming(tonic::Request::new(message), path, codec).await?.into_inner())
    }

    /// A call that sends what is put into the first and ends when it is dropped.
    pub(crate) fn client_streaming<In, Out>(
        &self,
        path: &'static str,
    ) -> (mpsc::Sender<In>, BoxFuture<'static, Result<Out, Status>>)
    where
        In: Message + Send + Sync + 'static,
        Out: Message + Default + Send + Sync + 'static,
    {
        let (sender, messages) = mpsc::channel(16);
        let mut grpc = self.grpc();
        let call = async move {
            grpc.ready().await.unwrap();
            let codec = ProstCodec::<In, Out>::default();
            let request = tonic::Request::new(received(messages));
            Ok(grpc.client_streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner())
        };
        (sender, Box::pin(call))
    }

    /// A call that sends what comes out of `messages`. The first must be there: the server may wait for it.
    pub(crate) async fn stream<In, Out>(
        &self,
        path: &'static str,
        messages: mpsc::Receiver<In>,
    ) -> Result<Streaming<Out>, Status>
    where
        In: Message + Send + Sync + 'static,
        Out: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = self.grpc();
        grpc.ready().await.unwrap();
        let codec = ProstCodec::<In, Out>::default();
        let request = tonic::Request::new(received(messages));
        Ok(grpc.streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner())
    }
}

fn received<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send + 'static {
    unfold(receiver, |mut receiver| async { receiver.recv().await.map(|message| (message, receiver)) })
}

impl tower_service::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
