//! What is behind Envoy: an application and an authorization server that say yes and nothing else.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, UnixListener};

/// The two servers.
pub(crate) struct Servers {
    /// Where the application listens.
    pub(crate) application: SocketAddr,
    /// Where the authorization server listens.
    pub(crate) authorization: PathBuf,
}

impl Servers {
    /// Starts both; they end with this process.
    pub(crate) async fn start(authorization: &Path) -> Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for the application")?;
        let application = tcp.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let _delayed = stream.set_nodelay(true);
                serve(stream);
            }
        });
        let unix = UnixListener::bind(authorization)?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = unix.accept().await {
                serve(stream);
            }
        });
        Ok(Self { application, authorization: authorization.to_owned() })
    }
}

fn serve<S>(stream: S)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    tokio::spawn(async move {
        let service = hyper::service::service_fn(yes);
        let _gone =
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
    });
}

async fn yes(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    // The body is read, not kept.
    while let Some(Ok(_)) = body.frame().await {}
    Ok(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
}
