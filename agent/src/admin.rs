//! What operators and probes ask: `admin-listener` and `startup-probe-listener`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_config::{HostPort, Settings};
use thiserror::Error;
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::health::{Health, Stage};
use crate::metrics::{self, Metrics};

/// Connections at once, and how long one may last: probes are short.
const CONNECTIONS: usize = 64;
const LONGEST: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// A question's answer.
type Reply = (StatusCode, &'static str, String);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Which questions a listener answers.
#[derive(Debug)]
pub enum Questions {
    /// All.
    Admin {
        /// The numbers.
        metrics: Metrics,
        /// Whether the agent can be relied on.
        health: Arc<Health>,
        /// The configuration in force.
        settings: Arc<ArcSwap<Settings>>,
    },
    /// Whether the policy is loaded.
    Startup(Arc<Health>),
}

/// Why a listener can not be opened.
#[derive(Debug, Error)]
#[error("{option}: cannot listen on {address}")]
pub struct AdminError {
    option: &'static str,
    address: String,
    source: io::Error,
}

/// Opens the address of `option`.
///
/// # Errors
///
/// When the system refuses.
pub async fn bind(option: &'static str, address: &HostPort) -> Result<TcpListener, AdminError> {
    let bound = match address.socket_addr() {
        Some(resolved) => TcpListener::bind(resolved).await,
        None => match lookup_host((address.host.as_str(), address.port)).await {
            Ok(found) => TcpListener::bind(found.collect::<Vec<SocketAddr>>().as_slice()).await,
            Err(error) => Err(error),
        },
    };
    bound.map_err(|source| AdminError { option, address: address.to_string(), source })
}

/// Answers on `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, questions: Arc<Questions>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "cannot accept an admin connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let questions = Arc::clone(&questions);
        tokio::spawn(async move {
            let handler = service_fn(|request: Request<Incoming>| {
                let response = questions.response(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(LONGEST).max_buf_size(16 * 1024);
            let served = timeout(LONGEST, server.serve_connection(TokioIo::new(stream), handler)).await;
            if let Ok(Err(error)) = served {
                debug!(%error, "admin connection ended");
            }
            drop(place);
        });
    }
}

impl Questions {
    fn response<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let (status, kind, text) = match self.reply(request.uri().path()) {
            None => (StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
            Some(_) if !is_read => (StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".to_owned()),
            Some(reply) => reply,
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }

    fn reply(&self, path: &str) -> Option<Reply> {
        match self {
            Self::Startup(health) => (path == "/startup").then(|| startup(health)),
            Self::Admin { metrics, health, settings } => Some(match path {
                "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
                "/readyz" => ready(health),
                "/startup" => startup(health),
                "/metrics" => numbers(metrics),
                "/config" => (StatusCode::OK, JSON, configuration(&settings.load())),
                "/version" => (StatusCode::OK, TEXT, concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()),
                _ => return None,
            }),
        }
    }
}

fn startup(health: &Health) -> Reply {
    match health.stage() {
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n".to_owned()),
        Stage::Serving | Stage::Draining => (StatusCode::OK, TEXT, "started\n".to_owned()),
    }
}

fn ready(health: &Health) -> Reply {
    match (health.stage(), health.fault()) {
        (Stage::Starting, _) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n".to_owned()),
        (Stage::Draining, _) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".to_owned()),
        (Stage::Serving, None) => (StatusCode::OK, TEXT, "ready\n".to_owned()),
        // It still protects, by the old policy: taking it out of service would make a fault an outage.
        (Stage::Serving, Some(fault)) => {
            (StatusCode::OK, TEXT, format!("ready\ndegraded: the last reload failed: {fault}\n"))
        }
    }
}

fn numbers(metrics: &Metrics) -> Reply {
    match metrics.text() {
        Ok(text) => (StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, "no metrics\n".to_owned()),
    }
}

fn configuration(settings: &Settings) -> String {
    let option = |(name, value, origin): (&'static str, String, portcullis_config::Origin)| {
        (name.to_owned(), serde_json::json!({ "value": value, "origin": origin.to_string() }))
    };
    let all: serde_json::Map<_, _> = settings.entries().into_iter().map(option).collect();
    let mut text = serde_json::Value::Object(all).to_string();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use portcullis_config::Inputs;

    use super::*;
    use crate::service::Service;

    fn ask(questions: &Questions, method: &str, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let status = questions.response(&request).status().as_u16();
        (status, questions.reply(path).map(|reply| reply.2).unwrap_or_default())
    }

    fn admin(health: &Arc<Health>) -> Questions {
        let args = ["--accesskeyid=a", "--secretaccesskey=hunter2"].map(str::to_owned).to_vec();
        let inputs = Inputs { args, env: Vec::new() };
        let resolved = Settings::resolve(&inputs, |_| Err(io::ErrorKind::NotFound.into())).unwrap();
        let metrics = Metrics::new(Service::testing(1, LONGEST), Arc::clone(health));
        let settings = Arc::new(ArcSwap::from_pointee(resolved.settings));
        Questions::Admin { metrics, health: Arc::clone(health), settings }
    }

    #[test]
    fn tells_probes_where_the_agent_is() {
        let health = Arc::new(Health::default());
        let (admin, startup) = (admin(&health), Questions::Startup(Arc::clone(&health)));
        let all = |path| (ask(&admin, "GET", path).0, ask(&startup, "GET", "/startup").0);
        assert_eq!(all("/readyz"), (503, 503));
        health.enter(Stage::Serving);
        assert_eq!(all("/readyz"), (200, 200));
        health.reloaded(Some("policy.json:1".to_owned()));
        assert_eq!(all("/readyz"), (200, 200));
        assert!(ask(&admin, "GET", "/readyz").1.contains("degraded: the last reload failed: policy.json:1"));
        health.enter(Stage::Draining);
        assert_eq!(all("/readyz"), (503, 200));
        assert_eq!(ask(&admin, "GET", "/healthz").0, 200);
    }

    #[test]
    fn shows_the_configuration_without_secrets() {
        let admin = admin(&Arc::default());
        let (status, text) = ask(&admin, "GET", "/config");
        assert_eq!(status, 200);
        assert!(text.contains(r#""secretaccesskey":{"origin":"command line","value":"********"}"#), "{text}");
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn answers_nothing_else() {
        let admin = admin(&Arc::default());
        assert_eq!(ask(&admin, "GET", "/").0, 404);
        assert_eq!(ask(&admin, "POST", "/metrics").0, 405);
        assert_eq!(ask(&Questions::Startup(Arc::default()), "GET", "/config").0, 404);
    }
}
