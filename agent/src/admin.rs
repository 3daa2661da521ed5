//! What operators and probes ask: `admin-listener` and `startup-probe-listener`.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_config::{HostPort, Settings};
use portcullis_policy::Flag;
use thiserror::Error;
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::clock;
use crate::events::timestamp;
use crate::health::{Health, Stage};
use crate::metrics::{self, Metrics};
use crate::reload::Requests;
use crate::service::Service;

/// Connections at once, and how long one may last: probes are short.
const CONNECTIONS: usize = 64;
const LONGEST: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Flags that are shown.
const MOST_FLAGS: usize = 1000;

/// A question's answer.
type Reply = (StatusCode, &'static str, String);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Which questions a listener answers.
#[derive(Debug)]
pub enum Questions {
    /// All.
    Admin(Box<Admin>),
    /// Whether the policy is loaded.
    Startup(Arc<Health>),
}

/// What all questions are about.
#[derive(Debug)]
pub struct Admin {
    /// The numbers.
    pub metrics: Metrics,
    /// Whether the agent can be relied on.
    pub health: Arc<Health>,
    /// The configuration in force.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Who is flagged.
    pub service: Arc<Service>,
    /// Reloads.
    pub requests: Requests,
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
                let questions = Arc::clone(&questions);
                async move { Ok::<_, Infallible>(questions.response(&request).await) }
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
    async fn response<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let reply = match *request.method() {
            Method::GET | Method::HEAD => self.reply(request.uri().path()),
            Method::POST => self.order(request).await,
            _ => None,
        };
        let (status, kind, text) = match reply {
            Some(reply) => reply,
            None if self.reply(request.uri().path()).is_some() => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, "use GET\n".to_owned())
            }
            None => (StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
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
            Self::Admin(admin) => Some(match path {
                "/healthz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
                "/readyz" => ready(&admin.health),
                "/startup" => startup(&admin.health),
                "/metrics" => numbers(&admin.metrics),
                "/config" => (StatusCode::OK, JSON, configuration(&admin.settings.load())),
                "/flags" => (StatusCode::OK, JSON, flags(&admin.service)),
                "/version" => (StatusCode::OK, TEXT, concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()),
                _ => return None,
            }),
        }
    }

    /// What changes something. A page in an operator's browser must not: it can not but say where it is from.
    async fn order<B>(&self, request: &Request<B>) -> Option<Reply> {
        let Self::Admin(admin) = self else { return None };
        let path = request.uri().path();
        if !matches!(path, "/reload" | "/unflag") {
            return None;
        }
        if request.headers().contains_key(ORIGIN) {
            return Some((StatusCode::FORBIDDEN, TEXT, "not from a web page\n".to_owned()));
        }
        Some(match path {
            "/reload" => match admin.requests.ask().await {
                Ok(()) => (StatusCode::OK, TEXT, "reloaded\n".to_owned()),
                Err(fault) => (StatusCode::UNPROCESSABLE_ENTITY, TEXT, format!("{fault}\n")),
            },
            _ => unflag(&admin.service, request.uri().query().unwrap_or_default()),
        })
    }
}

fn unflag(service: &Service, query: &str) -> Reply {
    let address = query.strip_prefix("address=").and_then(|address| address.parse::<IpAddr>().ok());
    let Some(address) = address else {
        return (StatusCode::BAD_REQUEST, TEXT, "use /unflag?address=ADDRESS\n".to_owned());
    };
    match service.unflag(address).len() {
        0 => (StatusCode::NOT_FOUND, TEXT, format!("{address} is not flagged\n")),
        _ => (StatusCode::OK, TEXT, format!("{address} is not flagged any more\n")),
    }
}

fn flags(service: &Service) -> String {
    let show = |flag: &Flag| {
        serde_json::json!({
            "source": flag.client.address(),
            "action": flag.kind.as_str(),
            "signal": *flag.cause,
            "since": timestamp(flag.since),
            "expires": timestamp(flag.until),
        })
    };
    let all = service.keeping.state().flags(clock::millis());
    let shown: Vec<_> = all.iter().take(MOST_FLAGS).map(show).collect();
    let mut text = serde_json::json!({ "totalCount": all.len(), "data": shown }).to_string();
    text.push('\n');
    text
}

fn startup(health: &Health) -> Reply {
    match health.stage() {
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n".to_owned()),
        Stage::Serving | Stage::Draining => (StatusCode::OK, TEXT, "started\n".to_owned()),
    }
}

fn ready(health: &Health) -> Reply {
    match health.stage() {
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n".to_owned()),
        Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".to_owned()),
        // It still protects: taking it out of service would make a fault an outage.
        Stage::Serving => {
            let mut text = "ready\n".to_owned();
            if let Some(fault) = health.fault() {
                text += &format!("degraded: the last reload failed: {fault}\n");
            }
            if let Some(fault) = health.state_fault() {
                text += &format!("degraded: a restart would forget flags and counts: {fault}\n");
            }
            (StatusCode::OK, TEXT, text)
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

    fn ask(questions: &Questions, method: &str, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let status = runtime.block_on(questions.response(&request)).status().as_u16();
        (status, questions.reply(path).map(|reply| reply.2).unwrap_or_default())
    }

    fn admin(health: &Arc<Health>) -> Questions {
        let args = ["--accesskeyid=a", "--secretaccesskey=hunter2"].map(str::to_owned).to_vec();
        let inputs = Inputs { args, env: Vec::new() };
        let resolved = Settings::resolve(&inputs, |_| Err(io::ErrorKind::NotFound.into())).unwrap();
        let service = Service::testing(1, LONGEST);
        let metrics = Metrics::new(Arc::clone(&service), Arc::clone(health), None);
        let settings = Arc::new(ArcSwap::from_pointee(resolved.settings));
        let (requests, _) = Requests::channel();
        Questions::Admin(Box::new(Admin { metrics, health: Arc::clone(health), settings, service, requests }))
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
    fn takes_no_orders_from_web_pages() {
        let admin = admin(&Arc::default());
        let request = Request::builder().method("POST").uri("/unflag?address=192.0.2.1");
        let request = request.header("origin", "http://a.example").body(()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(admin.response(&request)).status().as_u16(), 403);
        assert_eq!(ask(&admin, "POST", "/unflag?address=192.0.2.1").0, 404);
        assert_eq!(ask(&admin, "POST", "/unflag?address=me").0, 400);
        assert_eq!(ask(&admin, "GET", "/unflag?address=192.0.2.1").0, 404);
    }

    #[test]
    fn tells_who_is_flagged() {
        let admin = admin(&Arc::default());
        let Questions::Admin(inner) = &admin else { return };
        let since = clock::millis();
        let client = portcullis_policy::Client::new([192, 0, 2, 1].into(), 64);
        let kind = portcullis_policy::FlagKind::Block;
        let flag = Flag { client, kind, since, until: since + 60_000, cause: "SQLI".into() };
        inner.service.keeping.state().flag(flag, since);
        let (_, text) = ask(&admin, "GET", "/flags");
        assert!(text.starts_with(r#"{"data":[{"action":"flagged","expires":""#), "{text}");
        assert!(text.contains(r#""source":"192.0.2.1""#) && text.contains(r#""totalCount":1"#), "{text}");
        assert_eq!(ask(&admin, "POST", "/unflag?address=192.0.2.1").0, 200);
        assert!(ask(&admin, "GET", "/flags").1.contains(r#""totalCount":0"#));
    }

    #[test]
    fn answers_nothing_else() {
        let admin = admin(&Arc::default());
        assert_eq!(ask(&admin, "GET", "/").0, 404);
        assert_eq!(ask(&admin, "POST", "/metrics").0, 405);
        assert_eq!(ask(&Questions::Startup(Arc::default()), "GET", "/config").0, 404);
    }
}
