//! The way of one request through the proxy, top to bottom.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use portcullis_framing::Rejection;
use tokio::sync::watch;
use tokio::time::Sleep;
use tracing::{debug, warn};

use crate::access_log::AccessLog;
use crate::activity::Activity;
use crate::body::Answer;
use crate::counters::{self, Counters};
use crate::failure::{Failed, Fault, Reason};
use crate::forward;
use crate::guarded::Refusal;
use crate::hold::{Extent, Held, Until};
use crate::inspect::{Action, Inspect, Judgement, Outcome, Page, Refused, Seen, TlsFacts};
use crate::memory::Memory;
use crate::onward::Onward;
use crate::pool::Purpose;
use crate::record::{Record, Sink};
use crate::settings::{Failure, Kind, Listener, Smuggling};
use crate::unread::Source;
use crate::upgrade::{self, Wanted};
use crate::upstream::{Answered, Sending, Upstreams};
use crate::websocket::Watch;

/// What the requests of a listener share on one worker.
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
    pub access_log: Option<Arc<AccessLog>>,
    /// What happened.
    pub counters: Arc<Counters>,
    /// What requests that wait hold.
    pub memory: Arc<Memory>,
    /// What messages of WebSockets hold. Apart from requests: a message may take as long as it likes.
    pub messages: Arc<Memory>,
    /// Every switched connection subscribes to it: the drain waits for them.
    pub tunnels: watch::Sender<()>,
}

impl<I> Shared<I> {
    /// The same for the worker of this number, which has connections of its own to the upstreams.
    pub(crate) fn beside(&self, worker: usize) -> Self {
        Self {
            listener: self.listener.clone(),
            name: Arc::clone(&self.name),
            upstreams: self.upstreams.beside(worker),
            inspect: Arc::clone(&self.inspect),
            access_log: self.access_log.clone(),
            counters: Arc::clone(&self.counters),
            memory: Arc::clone(&self.memory),
            messages: Arc::clone(&self.messages),
            tunnels: self.tunnels.clone(),
        }
    }
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Connection<I> {
    shared: Arc<Shared<I>>,
    client: SocketAddr,
    /// Its address, as upstreams are told it.
    address: HeaderValue,
    tls: Option<Arc<TlsFacts>>,
    refusal: Refusal,
    activity: Arc<Activity>,
    requests: AtomicU64,
}

/// A request between its verdict and its answer.
struct Judged {
    record: Box<Record>,
    added: Vec<(HeaderName, HeaderValue)>,
    extensions: http::Extensions,
    upgrade: Option<Wanted>,
}

impl<I: Inspect> Connection<I> {
    /// A connection of which no request was read.
    pub(crate) fn new(
        shared: Arc<Shared<I>>,
        client: SocketAddr,
        tls: Option<Arc<TlsFacts>>,
        refusal: Refusal,
        activity: Arc<Activity>,
    ) -> Self {
        let address = client.ip().to_canonical().to_string();
        let address = HeaderValue::try_from(address).unwrap_or(HeaderValue::from_static("unknown"));
        Self { shared, client, address, tls, refusal, activity, requests: AtomicU64::new(0) }
    }

    /// Answers one request.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> Response<Answer> {
        let started = Instant::now();
        let index = self.requests.fetch_add(1, Ordering::Relaxed);
        // 1. A refused head: the request at hand is only its stand-in.
        if request.version() < Version::HTTP_2
            && let Some((rejection, start)) = self.refusal.of(index)
        {
            return self.refuse_head(Version::HTTP_11, rejection, start, started);
        }
        self.exchange(request, index, started).await
    }

    async fn exchange(
        &self,
        mut request: Request<Incoming>,
        index: u64,
        started: Instant,
    ) -> Response<Answer> {
        let listener = &self.shared.listener;
        let mut deadline = listener.limits.request.map(|limit| Box::pin(tokio::time::sleep(limit)));
        let upgrade = upgrade::wanted(&mut request);
        let (head, body) = request.into_parts();
        let doubt = doubt(&head);
        let Parts { method, uri, version, mut headers, extensions, .. } = head;
        if version == Version::HTTP_2 {
            forward::join_cookies(&mut headers);
        }
        // 2. Hold the body, so that the verdict covers it and the upstream sees nothing before.
        let mut share = self.shared.memory.share();
        let size = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        let room = share.grow(size);
        let seen = Seen {
            listener: Arc::clone(&self.shared.name),
            client: self.client,
            method,
            uri,
            version,
            headers,
            body: Bytes::new(),
            truncated: false,
            trailers: None,
            tls: self.tls.clone(),
        };
        let unfit = match (room, self.misfit(&seen, upgrade.as_ref())) {
            (Err(_), _) => Some(Reason::NoMemory),
            (Ok(()), misfit) => misfit,
        };
        let mut record = self.record(Arc::new(seen), started);
        if let Some(rejection) = doubt {
            return self.refuse(record, rejection);
        }
        if let Some(reason) = unfit {
            return self.fail(record, &reason.into());
        }
        let extent = self.extent(upgrade.as_ref());
        let held = match within(&mut deadline, Held::read(body, extent, share)).await {
            Ok(held) => held,
            Err(failed) => {
                return match (self.refusal.of(index), failed.reason) {
                    (Some((rejection, _)), _) => self.refuse(record, rejection),
                    // The client was what took the time.
                    (None, Reason::ExchangeTimeout) => self.fail(record, &Reason::BodyTimeout.into()),
                    (None, _) => self.fail(record, &failed),
                };
            }
        };
        record.read(&held);
        // 3. Ask.
        let mut judgement = self.shared.inspect.inspect(Arc::clone(record.seen())).await;
        // It is done here; what is kept tells of it by its code.
        let action = std::mem::replace(&mut judgement.action, Action::NotInspected);
        record.judged(judgement);
        let added = match action {
            Action::Forward { headers } => headers,
            Action::Block { status, location, page } => {
                self.shared.counters.request(counters::Outcome::Blocked);
                return self.own(record, block(status, location, page));
            }
            Action::NotInspected => match listener.failure {
                Failure::Open => Vec::new(),
                Failure::Closed => return self.fail(record, &Reason::NotInspected.into()),
            },
        };
        // 4. Forward.
        let judged = Judged { record, added, extensions, upgrade };
        self.forward(judged, held, index, deadline).await
    }

    /// Why the listener does not serve a request of this kind.
    fn misfit(&self, seen: &Seen, upgrade: Option<&Wanted>) -> Option<Reason> {
        // Over HTTP/2 it may be the form of a switch; over HTTP/1 it opens a tunnel whatever else it asks for.
        if seen.method == Method::CONNECT && !upgrade.is_some_and(Wanted::takes_the_body) {
            return Some(Reason::Connected);
        }
        match self.shared.listener.kind {
            Kind::Grpc if !is_grpc(&seen.headers) => Some(Reason::NotGrpc),
            Kind::Grpc if upgrade.is_some() => Some(Reason::NoSwitch),
            Kind::Grpc | Kind::Any => None,
        }
    }

    fn extent(&self, upgrade: Option<&Wanted>) -> Extent {
        let limits = &self.shared.listener.limits;
        Extent {
            // What follows an extended CONNECT is not a body.
            bytes: if upgrade.is_some_and(Wanted::takes_the_body) { 0 } else { limits.body },
            until: match self.shared.listener.kind {
                Kind::Grpc => Until::Message,
                Kind::Any => Until::End,
            },
            idle: limits.body_idle,
            whole: limits.body_whole,
            // A client may wait for the answer's head before it says anything.
            first: match (self.shared.listener.kind, self.shared.listener.failure) {
                (Kind::Grpc, Failure::Open) => Some(FIRST_MESSAGE),
                (Kind::Grpc, Failure::Closed) | (Kind::Any, _) => None,
            },
        }
    }

    async fn forward(
        &self,
        judged: Judged,
        held: Held,
        index: u64,
        mut deadline: Option<Pin<Box<Sleep>>>,
    ) -> Response<Answer> {
        let Judged { record, added, extensions, upgrade } = judged;
        let purpose = if upgrade.is_some() { Purpose::Switch } else { Purpose::Exchange };
        // A call may be silent for as long as it likes.
        let idle = (self.shared.listener.kind == Kind::Any).then_some(self.shared.listener.limits.body_idle);
        // Over HTTP/1 a body of a told length has none.
        let trailers = held.trailers.is_some();
        let body = held.replay(idle);
        let seen = Arc::clone(record.seen());
        let head = Onward {
            seen: &seen,
            added: &added,
            peer: &self.address,
            listener: &self.shared.listener,
            extensions: &extensions,
            upgrade: upgrade.as_ref(),
            trailers,
        };
        let sending = Sending { head, body: &body, purpose };
        let sent = self.shared.upstreams.send(&sending, Instant::now());
        match within(&mut deadline, sent).await {
            Ok(answered) => {
                let switches = answered.response.status() == StatusCode::SWITCHING_PROTOCOLS;
                match self.refusal.since(index).filter(|_| switches) {
                    // What came behind it was refused as another request, whose stand-in would go to the upstream.
                    Some(rejection) => self.refuse(record, rejection),
                    None => self.pass_on(answered, upgrade, record, deadline),
                }
            }
            Err(failed) => match self.refusal.of(index) {
                Some((rejection, _)) => self.refuse(record, rejection),
                None => self.fail(record, &failed),
            },
        }
    }

    fn pass_on(
        &self,
        answered: Answered,
        upgrade: Option<Wanted>,
        mut record: Box<Record>,
        deadline: Option<Pin<Box<Sleep>>>,
    ) -> Response<Answer> {
        let Answered { mut response, upstream, lease } = answered;
        let inspect_messages = self.shared.listener.inspect_websocket;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                return self.fail(record, &Failed::at(Reason::Switch, &upstream, "status 101"));
            };
            self.shared.counters.switches.add();
            self.refusal.tunnel();
            let watch = || Watch {
                inspect: Arc::clone(&self.shared.inspect),
                request: Arc::clone(record.seen()),
                failure: self.shared.listener.failure,
                memory: Arc::clone(&self.shared.messages),
                counters: Arc::clone(&self.shared.counters),
            };
            let sides = upgrade::Sides {
                watch: inspect_messages.then(watch),
                lease,
                open: self.shared.tunnels.subscribe(),
                busy: self.activity.busy(),
            };
            let mut response = upgrade.accept(&mut response, sides);
            edit(record.judgement(), response.headers_mut());
            self.shared.counters.request(counters::Outcome::Forwarded);
            record.answered(response.status(), response.headers().clone(), Some(upstream));
            return response.map(|body| body.recorded(record));
        }
        if upgrade.is_some_and(|upgrade| upgrade.is_mistaken_for_one(response.status())) {
            return self.fail(record, &Failed::at(Reason::NoSwitch, &upstream, "no switch was made"));
        }
        forward::strip_hop_by_hop(response.headers_mut());
        edit(record.judgement(), response.headers_mut());
        // The client is answered in its own version.
        *response.version_mut() = Version::HTTP_11;
        self.shared.counters.request(counters::Outcome::Forwarded);
        record.answered(response.status(), response.headers().clone(), Some(upstream));
        response.map(|body| {
            let source = Source::new(body, lease);
            if record.seen().version == Version::HTTP_2 {
                self.activity.watch(source.unread());
            }
            Answer::upstream(source, deadline).recorded(record)
        })
    }

    fn record(&self, seen: Arc<Seen>, started: Instant) -> Box<Record> {
        let sink: Arc<Shared<I>> = Arc::clone(&self.shared);
        Record::new(seen, started, sink, self.activity.busy())
    }

    /// Gives an answer of the proxy's own.
    fn own(&self, mut record: Box<Record>, mut response: Response<Answer>) -> Response<Answer> {
        edit(record.judgement(), response.headers_mut());
        record.answered(response.status(), response.headers().clone(), None);
        response.map(|body| body.recorded(record))
    }

    fn refuse_head(
        &self,
        version: Version,
        rejection: Rejection,
        start: Bytes,
        started: Instant,
    ) -> Response<Answer> {
        let (method, uri) = told(&start);
        let seen = Seen {
            listener: Arc::clone(&self.shared.name),
            client: self.client,
            method,
            uri,
            version,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            truncated: false,
            trailers: None,
            tls: self.tls.clone(),
        };
        let mut record = self.record(Arc::new(seen), started);
        record.refused(Refused { rejection, start });
        self.refused(record, rejection)
    }

    /// Notes that the client broke a rule for which its connection was ended: there is no request to answer.
    pub(crate) fn breached(&self, rejection: Rejection) {
        let version = if rejection == Rejection::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        drop(self.refuse_head(version, rejection, Bytes::new(), Instant::now()));
    }

    fn refuse(&self, mut record: Box<Record>, rejection: Rejection) -> Response<Answer> {
        record.refused(Refused { rejection, start: Bytes::new() });
        self.refused(record, rejection)
    }

    fn refused(&self, record: Box<Record>, rejection: Rejection) -> Response<Answer> {
        debug!(client = %self.client, reason = rejection.as_str(), "request refused");
        self.shared.counters.request(counters::Outcome::Refused);
        self.shared.counters.rejection(rejection);
        let mut response = plain(StatusCode::BAD_REQUEST, "the request is malformed");
        let http1 = record.seen().version < Version::HTTP_2;
        if http1 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        } else if self.shared.listener.smuggling == Smuggling::Close {
            self.activity.close();
        }
        self.own(record, response)
    }

    fn fail(&self, mut record: Box<Record>, failed: &Failed) -> Response<Answer> {
        record.failed(failed);
        self.shared.counters.request(counters::Outcome::Failed);
        let status = failed.reason.status();
        self.own(record, plain(status, status.canonical_reason().unwrap_or("failed")))
    }
}

impl<I: Inspect> Sink for Shared<I> {
    fn tell(&self, outcome: &Outcome) {
        if let Some(log) = &self.access_log {
            log.write(outcome, &self.inspect.shown(&outcome.seen));
        }
        self.inspect.answered(outcome);
    }

    fn failed(&self, outcome: &Outcome, reason: Reason, causes: &str) {
        self.counters.failure(reason);
        let (listener, client) = (&*self.name, outcome.seen.client);
        let (fault, upstream) = (reason.fault().as_str(), outcome.upstream.as_deref().unwrap_or("-"));
        let reason_name = reason.as_str();
        if reason.fault() != Fault::Downstream || self.listener.log_all_errors {
            warn!(listener, fault, reason = reason_name, upstream, %client, causes, "{reason}");
        } else {
            debug!(listener, fault, reason = reason_name, upstream, %client, causes, "{reason}");
        }
    }
}

/// Waits for `work`, but not beyond the exchange's time.
async fn within<T>(
    deadline: &mut Option<Pin<Box<Sleep>>>,
    work: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let Some(deadline) = deadline else { return work.await };
    tokio::select! {
        done = work => done,
        () = deadline => Err(Reason::ExchangeTimeout.into()),
    }
}

/// HTTP/2 has framing of its own, but can name two hosts (RFC 9113 section 8.3.1), and what frames nothing there may read as
/// a framing header further on. HTTP/1 is judged by the guard.
fn doubt(head: &Parts) -> Option<Rejection> {
    if head.version < Version::HTTP_2 {
        return None;
    }
    if head.headers.keys().any(forward::is_disguised_framing) {
        return Some(Rejection::Disguised);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let sound = match (head.uri.authority(), hosts.next(), hosts.next()) {
        (Some(_), None, _) => true,
        (Some(authority), Some(host), None) => {
            authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
        }
        (None, Some(host), None) => !host.is_empty(),
        (_, _, Some(_)) | (None, None, None) => false,
    };
    (!sound).then_some(Rejection::Host)
}

/// What can be told of a request that was refused: its method and target, where its first line has some.
fn told(start: &[u8]) -> (Method, Uri) {
    let line = start.split(|&byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty());
    let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
    let method = words.next().and_then(|method| Method::from_bytes(method).ok());
    let target = words.next().and_then(|target| Uri::try_from(target).ok());
    (method.unwrap_or(Method::GET), target.unwrap_or(Uri::from_static("/")))
}

fn edit(judgement: Option<&Judgement>, headers: &mut HeaderMap) {
    judgement.iter().flat_map(|judgement| &judgement.response).for_each(|edit| edit.apply(headers));
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn block(status: StatusCode, location: Option<HeaderValue>, page: Option<Page>) -> Response<Answer> {
    let mut response = plain(status, "the request was blocked");
    if let Some(Page { content_type, headers, body }) = page {
        response.headers_mut().extend(headers);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Answer::page(body);
    }
    if let Some(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Answer> {
    let mut response = Response::new(Answer::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// How long the first message of a call is waited for where the listener fails open.
const FIRST_MESSAGE: Duration = Duration::from_millis(250);

/// How long a switch of protocols may stay one-sided.
pub(crate) const SWITCHING: Duration = Duration::from_secs(30);
