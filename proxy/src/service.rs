//! The way of one request through the proxy, top to bottom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use portcullis_framing::Rejection;
use tracing::{debug, warn};

use crate::body::{Answer, Watch};
use crate::failure::{Failed, Fault};
use crate::forward::{self, Source};
use crate::guarded::Refusal;
use crate::hold::Held;
use crate::inspect::{Action, Inspect, Judgement, Outcome, Seen, TlsFacts};
use crate::settings::{Failure, Host, Listener, Smuggling};
use crate::upgrade;
use crate::upstream::{Answered, Upstreams};

/// What every request of a listener shares.
#[derive(Debug)]
pub(crate) struct Shared<I> {
    /// The listener.
    pub listener: Listener,
    /// Its name, shared with records.
    pub name: Arc<str>,
    /// Where requests go.
    pub upstreams: Upstreams,
    /// Who judges.
    pub inspect: Arc<I>,
    /// Who writes the access log.
    pub access_log: Option<crate::access_log::AccessLog>,
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection<I> {
    shared: Arc<Shared<I>>,
    client: SocketAddr,
    tls: Option<TlsFacts>,
    refusal: Refusal,
    requests: AtomicU64,
}

impl<I: Inspect> Connection<I> {
    /// A connection of which no request was read.
    pub(crate) fn new(
        shared: Arc<Shared<I>>,
        client: SocketAddr,
        tls: Option<TlsFacts>,
        refusal: Refusal,
    ) -> Self {
        Self { shared, client, tls, refusal, requests: AtomicU64::new(0) }
    }

    /// Answers one request.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> Response<Answer> {
        let started = Instant::now();
        let index = self.requests.fetch_add(1, Ordering::Relaxed);
        // 1. A refused head: the request at hand is only its stand-in.
        if request.version() < Version::HTTP_2
            && let Some(rejection) = self.refusal.of(index)
        {
            return self.refuse(&request, rejection, started);
        }
        let exchange = self.exchange(request, index, started);
        match self.shared.listener.limits.request {
            Some(limit) => match tokio::time::timeout(limit, exchange).await {
                Ok(response) => response,
                Err(_) => self.fail(&Failed::SlowExchange),
            },
            None => exchange.await,
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Incoming>,
        index: u64,
        started: Instant,
    ) -> Response<Answer> {
        // 2. What a reverse proxy does not do.
        if request.method() == Method::CONNECT && request.extensions().get::<hyper::ext::Protocol>().is_none()
        {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here");
        }
        let upgrade = upgrade::wanted(&mut request);
        // 3. Hold the body, so that the verdict covers it and the upstream sees nothing before.
        let limits = &self.shared.listener.limits;
        let (mut head, body) = request.into_parts();
        let limit = if upgrade.is_some() || is_grpc(&head.headers) { 0 } else { limits.body };
        let held = match hold(body, limit, limits.read).await {
            Ok(held) => held,
            Err(failed) => {
                if let Some(rejection) = self.refusal.of(index) {
                    return self.refuse(&Request::from_parts(head, ()), rejection, started);
                }
                return self.fail(&failed);
            }
        };
        // 4. Ask.
        let seen = Arc::new(self.seen(&head, &held));
        let judgement = self.shared.inspect.inspect(Seen::clone(&seen)).await;
        let record = Record { seen, judgement: Some(judgement.clone()), rejection: None, started };
        let headers = match judgement.action {
            Action::Forward { headers } => headers,
            Action::Block { status, location } => {
                return self.answer(block(status, location), record, String::new());
            }
            Action::NotInspected => match self.shared.listener.failure {
                Failure::Open => Vec::new(),
                Failure::Closed => {
                    let response = self.fail(&Failed::NotInspected);
                    return self.answer(response, record, String::new());
                }
            },
        };
        // 5. Forward.
        self.rewrite(&mut head, headers, upgrade.as_ref());
        let replay = held.replay();
        match self.shared.upstreams.send(&head, &replay, Instant::now()).await {
            Ok(answered) => self.pass_on(answered, upgrade, record),
            Err(failed) => {
                let response = match self.refusal.of(index) {
                    Some(rejection) => self.refuse(&Request::from_parts(head, ()), rejection, started),
                    None => self.fail(&failed),
                };
                self.answer(response, record, String::new())
            }
        }
    }

    fn seen(&self, head: &http::request::Parts, held: &Held) -> Seen {
        Seen {
            listener: Arc::clone(&self.shared.name),
            client: self.client,
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            body: held.bytes.clone(),
            truncated: held.rest.is_some(),
            tls: self.tls.clone(),
        }
    }

    /// Makes the head that the upstream gets.
    fn rewrite(
        &self,
        head: &mut http::request::Parts,
        added: Vec<(HeaderName, HeaderValue)>,
        upgrade: Option<&upgrade::Wanted>,
    ) {
        let listener = &self.shared.listener;
        let host = head
            .headers
            .get(HOST)
            .map(|host| host.as_bytes().to_vec())
            .or_else(|| head.uri.authority().map(|authority| authority.as_str().as_bytes().to_vec()))
            .unwrap_or_default();
        forward::strip_hop_by_hop(&mut head.headers);
        // The body is already here: there is nothing left to ask the upstream for.
        head.headers.remove(EXPECT);
        let source = Source {
            peer: self.client.ip(),
            host: &host,
            scheme: if listener.tls.is_some() { "https" } else { "http" },
        };
        forward::add_source(&mut head.headers, &source, listener.rewriting);
        match listener.host {
            Host::Client => {
                if let Ok(host) = HeaderValue::from_bytes(&host) {
                    head.headers.insert(HOST, host);
                }
            }
            Host::Upstream => {
                head.headers.remove(HOST);
            }
        }
        for (name, value) in added {
            head.headers.insert(name, value);
        }
        if let Some(upgrade) = upgrade {
            upgrade.announce(head, listener.inspect_websocket);
        }
    }

    fn pass_on(
        &self,
        answered: Answered,
        upgrade: Option<upgrade::Wanted>,
        record: Record,
    ) -> Response<Answer> {
        let Answered { mut response, upstream, place } = answered;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                return self.answer(
                    plain(StatusCode::BAD_GATEWAY, "unexpected protocol switch"),
                    record,
                    upstream,
                );
            };
            self.refusal.tunnel();
            let message = self.shared.listener.inspect_websocket.then(|| Arc::clone(&record.seen));
            let response = upgrade.accept(&mut response, Arc::clone(&self.shared.inspect), message, place);
            return self.answer(response, record, upstream);
        }
        forward::strip_hop_by_hop(response.headers_mut());
        let (head, body) = response.into_parts();
        let watch = self.watch(record, &head.headers, head.status, upstream);
        Response::from_parts(head, Answer::upstream(body, watch, place))
    }

    /// Gives an answer of the proxy's own, with its record.
    fn answer(&self, response: Response<Answer>, record: Record, upstream: String) -> Response<Answer> {
        let (head, body) = response.into_parts();
        let watch = self.watch(record, &head.headers, head.status, upstream);
        Response::from_parts(head, body.watched(watch))
    }

    fn watch(&self, record: Record, headers: &HeaderMap, status: StatusCode, upstream: String) -> Watch {
        let shared = Arc::clone(&self.shared);
        let headers = headers.clone();
        Watch::new(move |bytes| {
            let outcome = Outcome {
                seen: record.seen,
                judgement: record.judgement,
                rejection: record.rejection,
                status,
                headers,
                bytes,
                took: record.started.elapsed(),
                upstream,
            };
            if let Some(log) = &shared.access_log {
                log.write(&outcome);
            }
            shared.inspect.answered(&outcome);
        })
    }

    fn refuse<B>(&self, request: &Request<B>, rejection: Rejection, started: Instant) -> Response<Answer> {
        debug!(client = %self.client, reason = rejection.as_str(), "request refused");
        let seen = Seen {
            listener: Arc::clone(&self.shared.name),
            client: self.client,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            body: bytes::Bytes::new(),
            truncated: false,
            tls: self.tls.clone(),
        };
        let record = Record { seen: Arc::new(seen), judgement: None, rejection: Some(rejection), started };
        let mut response = plain(StatusCode::BAD_REQUEST, "the request is malformed");
        if self.shared.listener.smuggling == Smuggling::Close || request.version() < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.answer(response, record, String::new())
    }

    fn fail(&self, failed: &Failed) -> Response<Answer> {
        let fault = failed.fault();
        let cause = std::error::Error::source(failed).map(ToString::to_string).unwrap_or_default();
        let listener = &*self.shared.name;
        if fault != Fault::Downstream || self.shared.listener.log_all_errors {
            warn!(listener, fault = fault.as_str(), client = %self.client, cause, "{failed}");
        } else {
            debug!(listener, fault = fault.as_str(), client = %self.client, cause, "{failed}");
        }
        plain(failed.status(), failed.status().canonical_reason().unwrap_or("failed"))
    }
}

/// What is kept of a request until its response is done.
struct Record {
    seen: Arc<Seen>,
    judgement: Option<Judgement>,
    rejection: Option<Rejection>,
    started: Instant,
}

async fn hold(body: Incoming, limit: usize, idle: Option<Duration>) -> Result<Held, Failed> {
    if limit == 0 {
        return Ok(Held::untouched(body));
    }
    Ok(Held::read(body, limit, idle).await?)
}

/// gRPC streams: waiting for a body that ends only with the call would stop it.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn block(status: StatusCode, location: Option<HeaderValue>) -> Response<Answer> {
    let mut response = plain(status, "the request was blocked");
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
