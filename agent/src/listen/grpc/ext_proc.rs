//! `envoy.service.ext_proc.v3.ExternalProcessor`: Envoy shows a request and its response step by step.
//!
//! A request is judged once, when all of it that is inspected has come; Envoy holds it until then. With a body that is
//! streamed Envoy has sent the head on by the time the body comes: there the head is judged first, and the last piece is
//! held until the whole is judged.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::unfold;
use portcullis_policy::{HeaderEdit, Page};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::proto::core::{Field, HttpStatus, Named, Struct, Value};
use super::proto::process::{
    CommonResponse, Done, HeaderMutation, HttpBody, HttpHeaders, ImmediateResponse, ProcessingMode,
    ProcessingRequest, ProcessingResponse, Step, StepResponse, TrailersResponse,
};
use super::question::{Outcome, Question, pairs};
use super::reply::{Decision, In, Reply, edited, header};
use super::{Call, LAST_WORDS, Server, millis};
use crate::drain::Watch;
use crate::ids::RequestId;
use crate::memory::{self, Held};

pub(super) const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// How long a client may be silent within a body. Then it is told so: to let the request pass would be a way around.
const BODY: Duration = Duration::from_secs(120);

/// How long a response may take to begin; then Envoy goes on by itself.
const RESPONSE: Duration = Duration::from_secs(60);

/// Bytes of headers that every request may hold, whatever others do.
const FREE: usize = 8192;

const CROWDED: &str = "too many requests are held";

/// `details` of answers, which Envoy's access log shows.
const BLOCKED: &str = "portcullis_blocked";
const REDIRECTED: &str = "portcullis_redirected";
const SLOW: &str = "portcullis_body_timeout";

/// The namespace of metadata.
const METADATA: &str = "portcullis";

/// `envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode`.
const NONE: i32 = 0;
const STREAMED: i32 = 1;
const BUFFERED: i32 = 2;
const BUFFERED_PARTIAL: i32 = 3;

type Responses = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

/// Follows one request.
pub(super) async fn process(
    call: Call,
    messages: Request<Streaming<ProcessingRequest>>,
) -> Result<Response<Responses>, Status> {
    let memory = &call.server.service.memory;
    let (held, kept) = (memory.hold(), memory.hold());
    let exchange = Exchange {
        server: Arc::clone(&call.server),
        question: Question::default(),
        body: BytesMut::new(),
        held,
        kept,
        mode: BodyMode::Unknown,
        phase: Phase::Head,
        ids: Vec::new(),
        verdict: 0,
        edits: Vec::new(),
        started: Instant::now(),
    };
    let state = (exchange, messages.into_inner(), call);
    let responses = unfold(state, |(mut exchange, mut messages, mut call)| async {
        let response = exchange.next(&mut messages, &mut call.drain).await?;
        Some((response, (exchange, messages, call)))
    });
    Ok(Response::new(Box::pin(responses)))
}

/// A request, and later its response.
struct Exchange {
    server: Arc<Server>,
    question: Question,
    body: BytesMut,
    /// What the body holds, and the headers.
    held: Held,
    kept: Held,
    mode: BodyMode,
    phase: Phase,
    /// Ids under which the response is wanted.
    ids: Vec<RequestId>,
    /// The agent response code.
    verdict: i32,
    /// Edits of the response's headers.
    edits: Vec<HeaderEdit>,
    started: Instant,
}

/// How Envoy sends a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyMode {
    /// This Envoy does not say.
    Unknown,
    Unsent,
    Streamed,
    /// As much as its buffer holds, in one piece.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come.
    Head,
    /// The body comes.
    Body,
    /// The request is judged.
    Judged,
    /// Nothing is left to say.
    Over,
}

/// What a judgement answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Headers,
    Body,
    Trailers,
}

/// Why the next message does not come.
enum Silence {
    Ended,
    Late,
    Stopping,
}

type Said = Result<ProcessingResponse, Status>;

impl Exchange {
    /// What is said next; none at the end.
    async fn next(&mut self, messages: &mut Streaming<ProcessingRequest>, drain: &mut Watch) -> Option<Said> {
        while self.phase != Phase::Over {
            let said = match self.hear(messages, drain).await {
                Ok(message) => self.take(message).await,
                Err(Ok(Silence::Late)) if self.phase == Phase::Body => Ok(Some(self.too_slow())),
                Err(Ok(Silence::Ended | Silence::Late | Silence::Stopping)) => {
                    self.phase = Phase::Over;
                    Ok(None)
                }
                Err(Err(status)) => Err(status),
            };
            match said {
                Ok(Some(response)) => return Some(Ok(response)),
                Ok(None) => {}
                Err(status) => {
                    self.phase = Phase::Over;
                    self.server.refused(&status);
                    return Some(Err(status));
                }
            }
        }
        None
    }

    async fn hear(
        &self,
        messages: &mut Streaming<ProcessingRequest>,
        drain: &mut Watch,
    ) -> Result<ProcessingRequest, Result<Silence, Status>> {
        // The first message is timed where it arrives.
        let patience = if self.phase == Phase::Judged { RESPONSE } else { BODY };
        let stopping = async {
            drain.draining().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let heard = tokio::select! {
            heard = timeout(patience, messages.message()) => heard,
            () = stopping, if self.phase == Phase::Judged => return Err(Ok(Silence::Stopping)),
        };
        match heard {
            Ok(Ok(Some(message))) => Ok(message),
            Ok(Ok(None)) => Err(Ok(Silence::Ended)),
            Ok(Err(status)) => Err(Err(status)),
            Err(_) => Err(Ok(Silence::Late)),
        }
    }

    async fn take(&mut self, message: ProcessingRequest) -> Result<Option<ProcessingResponse>, Status> {
        if message.observability_mode {
            return Err(Status::failed_precondition("observability_mode takes no verdicts: turn it off"));
        }
        let step = message.step.ok_or_else(|| Status::invalid_argument("message has no step"))?;
        if self.phase == Phase::Head && !matches!(step, Step::RequestHeaders(_) | Step::ResponseHeaders(_)) {
            return Err(Status::failed_precondition("request_header_mode must be SEND"));
        }
        match step {
            Step::RequestHeaders(headers) if self.phase == Phase::Head => {
                self.mode = match message.protocol_config.map(|config| config.request_body_mode) {
                    None => BodyMode::Unknown,
                    Some(NONE) => BodyMode::Unsent,
                    Some(STREAMED) => BodyMode::Streamed,
                    Some(BUFFERED | BUFFERED_PARTIAL) => BodyMode::Whole,
                    Some(mode) => {
                        return Err(Status::failed_precondition(format!(
                            "request_body_mode {mode} is not served"
                        )));
                    }
                };
                self.headers(headers, &message.attributes).await.map(Some)
            }
            Step::RequestHeaders(_) => Err(Status::invalid_argument("request headers came twice")),
            Step::RequestBody(piece) if self.phase == Phase::Body => self.piece(piece).await.map(Some),
            Step::RequestTrailers(_) if self.phase == Phase::Body => {
                self.judge(About::Trailers).await.map(Some)
            }
            Step::ResponseHeaders(headers) => self.response(headers).await.map(Some),
            Step::RequestBody(_) => Ok(Some(done(Done::RequestBody(StepResponse::default())))),
            Step::RequestTrailers(_) => Ok(Some(done(Done::RequestTrailers(TrailersResponse {})))),
            Step::ResponseBody(_) => Ok(Some(done(Done::ResponseBody(StepResponse::default())))),
            Step::ResponseTrailers(_) => Ok(Some(done(Done::ResponseTrailers(TrailersResponse {})))),
        }
    }

    async fn headers(&mut self, headers: HttpHeaders, attributes: &[Named]) -> Said {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let came = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.question = Question::from_headers(headers.headers.unwrap_or_default(), attributes, came);
        let size = self.question.size();
        if size > FREE {
            self.kept.grow_to(size).map_err(|memory::Full| Status::resource_exhausted(CROWDED))?;
        }
        let stream = self.question.is_stream();
        if headers.end_of_stream || stream || self.mode == BodyMode::Unsent {
            let mut response = self.judge(About::Headers).await?;
            // A body that nobody looks at need not come here, where Envoy lets us say so.
            if stream
                && !headers.end_of_stream
                && self.phase == Phase::Judged
                && self.mode != BodyMode::Unsent
            {
                response.mode_override =
                    Some(ProcessingMode { request_body_mode: NONE, ..ProcessingMode::default() });
            }
            return Ok(response);
        }
        if self.mode == BodyMode::Whole {
            self.phase = Phase::Body;
            return Ok(done(Done::RequestHeaders(StepResponse::default())));
        }
        let response = self.judge(About::Headers).await?;
        if self.phase == Phase::Judged {
            self.phase = Phase::Body;
        }
        Ok(response)
    }

    async fn piece(&mut self, piece: HttpBody) -> Said {
        let room = self.server.options.body.saturating_sub(self.body.len());
        let mut fits = piece.body;
        let rest = fits.split_off(fits.len().min(room));
        let whole = self.body.len() + fits.len();
        self.held.grow_to(whole).map_err(|memory::Full| Status::resource_exhausted(CROWDED))?;
        if self.body.is_empty() && rest.is_empty() && self.mode == BodyMode::Whole {
            self.question.body = fits;
        } else {
            self.body.extend_from_slice(&fits);
        }
        self.question.truncated = !rest.is_empty() || !piece.end_of_stream;
        if piece.end_of_stream || !rest.is_empty() || self.mode == BodyMode::Whole {
            return self.judge(About::Body).await;
        }
        Ok(done(Done::RequestBody(StepResponse::default())))
    }

    /// Has judged what has come of the request.
    async fn judge(&mut self, about: About) -> Said {
        if !self.body.is_empty() {
            self.question.body = std::mem::take(&mut self.body).freeze();
        }
        let reply = self.server.ask(&self.question).await;
        // The report of an anomalous response tells the request without its body.
        self.question.body = Bytes::new();
        self.held.give_back();
        let reply = reply?;
        self.ids.extend(reply.id);
        self.verdict = reply.code;
        self.edits.clone_from(&reply.edits);
        self.phase = Phase::Judged;
        Ok(self.obey(&reply, about))
    }

    fn obey(&mut self, reply: &Reply, about: About) -> ProcessingResponse {
        let mut response = match &reply.decision {
            Decision::Deny { status, location } => {
                let details = if location.is_some() { REDIRECTED } else { BLOCKED };
                self.end(*status, location.as_deref(), reply.page.as_ref(), details)
            }
            Decision::Allow | Decision::NotInspected(_) => {
                let set = reply.set.iter().map(|(name, value)| header(name, value, In::RawValue)).collect();
                let mutation = HeaderMutation { set_headers: set, remove_headers: reply.remove.clone() };
                let common = CommonResponse { header_mutation: Some(mutation) };
                let step = StepResponse { response: Some(common) };
                done(match about {
                    About::Headers => Done::RequestHeaders(step),
                    About::Body => Done::RequestBody(step),
                    About::Trailers => Done::RequestTrailers(TrailersResponse {}),
                })
            }
        };
        let value = Some(Value { fields: Some(reply.metadata()), ..Value::default() });
        response.dynamic_metadata = Some(Struct { fields: vec![Field { key: METADATA.to_owned(), value }] });
        response
    }

    /// Answers the client in the application's place.
    fn end(
        &mut self,
        status: u16,
        location: Option<&str>,
        page: Option<&Page>,
        details: &str,
    ) -> ProcessingResponse {
        let told = location.map(|location| ("location", location));
        let told = told.into_iter().chain(page.into_iter().flat_map(Page::all_headers));
        let set_headers = told.map(|(name, value)| header(name, value, In::RawValue)).collect();
        let body = page.map(|page| Bytes::copy_from_slice(&page.body)).unwrap_or_default();
        let code = i64::from(status);
        self.report(&Outcome { code, millis: millis(self.started), size: 0, headers: Vec::new() });
        self.phase = Phase::Over;
        done(Done::ImmediateResponse(ImmediateResponse {
            status: Some(HttpStatus { code: i32::from(status) }),
            headers: Some(HeaderMutation { set_headers, remove_headers: Vec::new() }),
            body,
            details: details.to_owned(),
        }))
    }

    fn too_slow(&mut self) -> ProcessingResponse {
        self.server.service.counters.cut_off.add();
        self.end(408, None, None, SLOW)
    }

    async fn response(&mut self, headers: HttpHeaders) -> Said {
        // The application, or Envoy in its place, has answered before the body was whole.
        if self.phase == Phase::Body && (self.mode == BodyMode::Whole || !self.body.is_empty()) {
            self.question.truncated = true;
            let judged = self.judge(About::Body).await?;
            if self.phase == Phase::Over {
                return Ok(judged);
            }
        }
        let headers = pairs(headers.headers.unwrap_or_default());
        let number = |name: &str| {
            let value = headers.iter().find(|(have, _)| have == name.as_bytes()).map(|(_, value)| value);
            value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(-1)
        };
        let (code, size) = (number(":status"), number("content-length"));
        let headers = headers.into_iter().filter(|(name, _)| !name.starts_with(b":")).collect();
        self.report(&Outcome { code, millis: millis(self.started), size, headers });
        self.phase = Phase::Over;
        let (set_headers, remove_headers) = edited(&self.edits, In::RawValue);
        let mutation = HeaderMutation { set_headers, remove_headers };
        let response = Some(CommonResponse { header_mutation: Some(mutation) });
        Ok(done(Done::ResponseHeaders(StepResponse { response })))
    }

    fn report(&mut self, outcome: &Outcome) {
        if self.ids.is_empty() {
            self.server.post(&self.question, outcome, self.verdict);
        }
        for id in std::mem::take(&mut self.ids) {
            self.server.update(id, outcome);
        }
    }
}

impl Drop for Exchange {
    /// Nobody will report the response any more.
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.ids) {
            self.server.service.unanswered(id);
        }
    }
}

fn done(done: Done) -> ProcessingResponse {
    ProcessingResponse { done: Some(done), ..ProcessingResponse::default() }
}
