//! Sending requests to upstreams: connections, their pool, and which upstream gets the next one.

use std::sync::Arc;
use std::time::Instant;

use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::balance::Balance;
use crate::connect::{Connect, ConnectError};
use crate::failure::Failed;
use crate::hold::{Outgoing, Replay};
use crate::settings::{Listener, Upstream, UpstreamProtocol};

/// The upstreams of one listener.
#[derive(Debug)]
pub(crate) struct Upstreams {
    balance: Balance,
    targets: Vec<Target>,
    response_header: Option<std::time::Duration>,
}

#[derive(Debug)]
struct Target {
    upstream: Upstream,
    client: Client<Connect, Outgoing>,
    places: Option<Arc<Semaphore>>,
}

/// An upstream's answer.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The response, its body not read.
    pub response: Response<Incoming>,
    /// Which upstream gave it, for the log.
    pub upstream: String,
    /// The connection's place, given back once the response is done.
    pub place: Option<OwnedSemaphorePermit>,
}

impl Upstreams {
    /// Prepares connections to the upstreams of `listener`; none is made yet.
    pub(crate) fn new(listener: &Listener, connect: &Connect, now: Instant) -> Self {
        let targets = listener.upstreams.iter().map(|upstream| Target {
            upstream: upstream.clone(),
            client: client(listener, upstream, connect.clone()),
            places: listener.limits.upstream_most.map(|most| Arc::new(Semaphore::new(most))),
        });
        Self {
            balance: Balance::new(listener.upstreams.len(), now),
            targets: targets.collect(),
            response_header: listener.limits.response_header,
        }
    }

    /// Sends a request to the next upstream. Where one refuses the connection the next is tried, as long as none of
    /// the body was sent.
    ///
    /// # Errors
    /// Who was at fault, where no upstream answers.
    pub(crate) async fn send(
        &self,
        head: &http::request::Parts,
        body: &Replay,
        now: Instant,
    ) -> Result<Answered, Failed> {
        let mut last = Failed::NoUpstream;
        for index in self.balance.order(now) {
            let Some(target) = self.targets.get(index) else { continue };
            match self.try_one(target, head, body).await {
                Ok(answered) => {
                    self.balance.served(index);
                    return Ok(answered);
                }
                Err(failed) => {
                    let refused = failed.is_refusal();
                    if refused {
                        self.balance.refused(index, now);
                    }
                    last = failed;
                    if !refused || !body.is_untouched() {
                        return Err(last);
                    }
                }
            }
        }
        Err(last)
    }

    async fn try_one(
        &self,
        target: &Target,
        head: &http::request::Parts,
        body: &Replay,
    ) -> Result<Answered, Failed> {
        let name = target.upstream.authority.to_string();
        let place = match &target.places {
            Some(places) => Some(Arc::clone(places).acquire_owned().await.map_err(|_| Failed::NoUpstream)?),
            None => None,
        };
        let request = target.request(head, body).ok_or(Failed::Target)?;
        let sent = target.client.request(request);
        let outcome = match self.response_header {
            Some(limit) => match tokio::time::timeout(limit, sent).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(Failed::SlowUpstream { upstream: name }),
            },
            None => sent.await,
        };
        match outcome {
            Ok(response) => Ok(Answered { response, upstream: name, place }),
            Err(error) => Err(Failed::upstream(name, error)),
        }
    }
}

impl Target {
    fn request(&self, head: &http::request::Parts, body: &Replay) -> Option<Request<Outgoing>> {
        let mut request = Request::new(body.body());
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.headers.clone();
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::builder()
            .scheme(self.upstream.scheme.clone())
            .authority(self.upstream.authority.clone())
            .path_and_query(path)
            .build()
            .ok()?;
        if !request.headers().contains_key(http::header::HOST) {
            let host = http::HeaderValue::from_str(self.upstream.authority.as_str()).ok()?;
            request.headers_mut().insert(http::header::HOST, host);
        }
        Some(request)
    }
}

fn client(listener: &Listener, upstream: &Upstream, connect: Connect) -> Client<Connect, Outgoing> {
    let limits = &listener.limits;
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(limits.upstream_idle)
        .pool_max_idle_per_host(limits.upstream_idle_most)
        .set_host(false)
        // An idle connection that the upstream closed before anything was sent costs a new one, not a failure.
        .retry_canceled_requests(true)
        .http1_preserve_header_case(false)
        .http2_adaptive_window(true);
    let prior_knowledge = upstream.protocol == UpstreamProtocol::Http2 && upstream.scheme == Scheme::HTTP;
    if prior_knowledge || upstream.protocol == UpstreamProtocol::Http2 {
        builder.http2_only(true);
    }
    builder.build(connect)
}

/// Whether an error of the client came from [`Connect`].
pub(crate) fn connect_error(error: &hyper_util::client::legacy::Error) -> Option<&ConnectError> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref::<ConnectError>() {
            return Some(found);
        }
        source = error.source();
    }
    None
}
