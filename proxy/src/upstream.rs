//! Sending requests to upstreams: which gets the next one, and when another may be tried.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{HOST, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::balance::Balance;
use crate::connect::{Connect, Tls};
use crate::counters::Counters;
use crate::failure::{Failed, Reason};
use crate::hold::{Outgoing, Replay};
use crate::lease::{BoxError, Lease, Received, SendError};
use crate::onward::Onward;
use crate::pool::{Limits, Pool, Purpose};
use crate::settings::{Listener, Upstream, UpstreamProtocol};
use crate::tls::{self, TlsError};
use crate::wire::Broken;

/// The upstreams of one listener.
#[derive(Debug)]
pub(crate) struct Upstreams {
    balance: Arc<Balance>,
    targets: Vec<Target>,
    response_header: Option<Duration>,
    wait: Duration,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Target {
    name: Arc<str>,
    upstream: Upstream,
    host: HeaderValue,
    pool: Arc<Pool>,
    places: Option<Arc<Semaphore>>,
}

/// An upstream's answer.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The response, its body not read.
    pub response: Response<Received>,
    /// Which upstream gave it.
    pub upstream: Arc<str>,
    /// The connection, with its place among those that are allowed.
    pub lease: Held,
}

/// A connection that counts against `conn-max-per-host`.
#[derive(Debug)]
pub(crate) struct Held {
    lease: Lease,
    place: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Reads the next part of `body`, which is that of the answer.
    pub(crate) fn poll_frame(
        &mut self,
        body: &mut Received,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.lease.poll_frame(body, cx)
    }

    /// Whether the answer's body is over, and what is known of the length of the rest of it.
    pub(crate) fn left(&self, body: &Received) -> (bool, SizeHint) {
        self.lease.left(body)
    }

    /// Gives both back.
    pub(crate) fn give_back(self) {
        self.lease.give_back();
        drop(self.place);
    }
}

/// A request to send.
pub(crate) struct Sending<'a> {
    /// The head.
    pub head: Onward<'a>,
    /// The body.
    pub body: &'a Replay,
    /// What the connection is for.
    pub purpose: Purpose,
}

impl Upstreams {
    /// Prepares connections to the upstreams of `listener` for the first of `workers` threads; none is made yet.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub(crate) fn new(
        listener: &Listener,
        counters: &Arc<Counters>,
        workers: usize,
        now: Instant,
    ) -> Result<Self, TlsError> {
        let files = &listener.upstream_tls;
        // Where none is https nothing is asked of the system: a container may have no roots at all.
        let is_https = |upstream: &Upstream| upstream.scheme == Scheme::HTTPS;
        let configs = listener.upstreams.iter().any(is_https).then(|| tls::clients(files)).transpose()?;
        let configs = configs.map(Arc::new);
        let target = |upstream: &Upstream| {
            let tls = match configs.as_ref().filter(|_| is_https(upstream)) {
                Some(configs) => {
                    let name = tls::server_name(files, &upstream.authority)?;
                    Some(Tls { name, configs: Arc::clone(configs) })
                }
                None => None,
            };
            Ok(Target::new(listener, upstream, tls, counters, workers))
        };
        let targets: Result<Vec<_>, TlsError> = listener.upstreams.iter().map(target).collect();
        Ok(Self {
            balance: Arc::new(Balance::new(listener.upstreams.len(), now)),
            targets: targets?,
            response_header: listener.limits.response_header,
            wait: listener.limits.connect,
            counters: Arc::clone(counters),
        })
    }

    /// The same upstreams for the thread of number `worker`: it has connections of its own, and shares what is known and
    /// allowed.
    #[must_use]
    pub(crate) fn beside(&self, worker: usize) -> Self {
        let beside = |target: &Target| Target {
            name: Arc::clone(&target.name),
            upstream: target.upstream.clone(),
            host: target.host.clone(),
            pool: target.pool.beside(worker),
            places: target.places.clone(),
        };
        Self {
            balance: Arc::clone(&self.balance),
            targets: self.targets.iter().map(beside).collect(),
            response_header: self.response_header,
            wait: self.wait,
            counters: Arc::clone(&self.counters),
        }
    }

    /// Sends a request to the next upstream. Where one refuses the connection the next is tried, as long as none of
    /// the body was sent.
    ///
    /// # Errors
    /// Who was at fault, where no upstream answers.
    pub(crate) async fn send(&self, sending: &Sending<'_>, now: Instant) -> Result<Answered, Failed> {
        let mut last = Failed::from(Reason::Connect);
        for index in self.balance.order(now) {
            let Some(target) = self.targets.get(index) else { continue };
            match self.try_one(target, sending).await {
                Ok(answered) => {
                    self.balance.served(index);
                    return Ok(answered);
                }
                Err(failed) if failed.is_refusal() && sending.body.is_untouched() => {
                    // It may have been waited for, for longer than the pause is.
                    self.balance.refused(index, Instant::now());
                    last = failed;
                }
                Err(failed) => return Err(failed),
            }
        }
        Err(last)
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn tidy(&self, now: Instant) {
        self.targets.iter().for_each(|target| target.pool.tidy(now));
    }

    async fn try_one(&self, target: &Target, sending: &Sending<'_>) -> Result<Answered, Failed> {
        let place = target.place(self.wait).await?;
        let mut purpose = sending.purpose;
        loop {
            let connected = target.pool.lease(purpose).await;
            let mut lease = connected.map_err(|error| Failed::at(error.reason(), &target.name, error))?;
            let answer = target.answer(&mut lease, sending);
            let answer = match self.response_header {
                Some(limit) => in_time(limit, sending.body, answer).await,
                None => Some(answer.await),
            };
            let error = match answer {
                Some(Ok(response)) => {
                    if !sending.body.is_over() {
                        // Answered before all was sent: the client may read nothing before it has sent the rest.
                        lease.detach();
                    }
                    let lease = Held { lease, place };
                    return Ok(Answered { response, upstream: Arc::clone(&target.name), lease });
                }
                Some(Err(None)) => return Err(Reason::Target.into()),
                Some(Err(Some(error))) => error,
                None => {
                    let cause = "response-header-timeout is over";
                    return Err(Failed::at(Reason::ResponseTimeout, &target.name, cause));
                }
            };
            let safe = is_safe(sending.head.method()) && sending.body.is_empty();
            let again = sending.body.is_untouched() && error.may_repeat(safe);
            if lease.used && purpose != Purpose::Afresh && again {
                // The upstream closed the connection while it was idle, and we were not told yet.
                self.counters.retries.add();
                purpose = Purpose::Afresh;
                continue;
            }
            return Err(failed(target, sending.body, error));
        }
    }
}

/// Waits for `answer`, for `limit` and no longer than twice that after the last part of `body` was sent: that a client is
/// slow is no fault of the upstream's.
async fn in_time<T>(limit: Duration, body: &Replay, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    loop {
        if let Ok(answer) = tokio::time::timeout(limit, answer.as_mut()).await {
            return Some(answer);
        }
        if !body.has_moved() {
            return None;
        }
    }
}

/// RFC 9110 section 9.2.1.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn failed(target: &Target, body: &Replay, error: SendError) -> Failed {
    // The client's body is part of the request: where it broke off, the upstream is not to blame.
    let reason = match body.fault() {
        Some(fault) => fault,
        None if error.is_parse() => Reason::BadResponse,
        None => Reason::BrokeOff,
    };
    Failed::at(reason, &target.name, error.into_cause())
}

impl Target {
    fn new(
        listener: &Listener,
        upstream: &Upstream,
        tls: Option<Tls>,
        counters: &Arc<Counters>,
        workers: usize,
    ) -> Self {
        let limits = &listener.limits;
        let (authority, https) = (&upstream.authority, upstream.scheme == Scheme::HTTPS);
        let connect = Connect {
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            timeout: limits.connect,
            handshake: limits.handshake,
            keepalive: limits.keepalive,
            tls,
        };
        let kept = Limits {
            idle: limits.upstream_idle_most,
            idle_time: limits.upstream_idle,
            header_case: listener.header_case,
            ping: limits.keepalive.filter(|_| upstream.protocol != UpstreamProtocol::Http1),
        };
        Self {
            name: authority.as_str().into(),
            host: HeaderValue::from_str(authority.as_str()).unwrap_or(HeaderValue::from_static("upstream")),
            upstream: upstream.clone(),
            pool: Pool::new(connect, upstream.protocol, kept, Arc::clone(counters), workers),
            places: limits.upstream_most.map(|most| Arc::new(Semaphore::new(most))),
        }
    }

    /// A place among the connections that are allowed.
    async fn place(&self, wait: Duration) -> Result<Option<OwnedSemaphorePermit>, Failed> {
        let Some(places) = &self.places else { return Ok(None) };
        match tokio::time::timeout(wait, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            Ok(Err(_)) | Err(_) => Err(Failed::at(Reason::NoPlace, &self.name, "conn-max-per-host")),
        }
    }

    /// Sends a request on `lease`; no error tells that it has no form for this upstream.
    async fn answer(
        &self,
        lease: &mut Lease,
        sending: &Sending<'_>,
    ) -> Result<Response<Received>, Option<SendError>> {
        if let (Some(wire), Some(body)) = (lease.wire(), sending.body.whole()) {
            let head = |out: &mut BytesMut| sending.head.write(&self.host, body.len(), out);
            let answer = wire.exchange(sending.head.method(), head, body.clone()).await;
            return match answer {
                Ok(response) => Ok(response.map(|()| Received::Wire)),
                Err(Broken { error, progress }) => Err(Some(SendError::Wire(error, progress))),
            };
        }
        let request = self.request(sending.head.parts(), sending.body, lease).ok_or(None)?;
        Ok(lease.send(request).await?.map(Received::Hyper))
    }

    fn request(&self, mut head: Parts, body: &Replay, lease: &Lease) -> Option<Request<Outgoing>> {
        let path = head.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if lease.is_http2() {
            // HTTP/2 has the host in the target, where both must be the same.
            let host = match head.headers.remove(HOST) {
                Some(host) => Authority::try_from(host.as_bytes()).ok()?,
                None => self.upstream.authority.clone(),
            };
            let target = Uri::builder().scheme(self.upstream.scheme.clone()).authority(host);
            head.uri = target.path_and_query(path).build().ok()?;
            head.version = http::Version::HTTP_2;
        } else {
            if !head.headers.contains_key(HOST) {
                head.headers.insert(HOST, self.host.clone());
            }
            head.uri = Uri::from(path);
            head.version = http::Version::HTTP_11;
        }
        Some(Request::from_parts(head, body.body()))
    }
}
