//! A host that remembers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_protocol::{RpcMsgOut, http};

use super::{Answer, Callout, Host, HostError, Level, MetricId, MetricKind, Token};
use crate::headers::Headers;

/// What the filter did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Call(String, Vec<u8>),
    Replace(String, String),
    Add(String, String),
    Remove(String),
    RemoveTrailer(String),
    ReplaceResponse(String, String),
    AddResponse(String, String),
    RemoveResponse(String),
    Resume,
    ResumeResponse,
    Respond(u16, Option<String>),
    Reset,
}

#[derive(Default)]
pub(crate) struct Mock {
    pub(crate) now: Cell<Duration>,
    pub(crate) request: RefCell<Option<Headers>>,
    pub(crate) trailers: RefCell<Option<Headers>>,
    pub(crate) response: RefCell<Headers>,
    pub(crate) body: RefCell<Option<Vec<u8>>>,
    pub(crate) properties: RefCell<BTreeMap<String, Vec<u8>>>,
    /// Attributes that were asked for.
    pub(crate) asked: RefCell<Vec<String>>,
    pub(crate) reply: RefCell<(Headers, Vec<u8>)>,
    pub(crate) configuration: RefCell<Vec<u8>>,
    /// What the next calls to the agent give, in place of a token.
    pub(crate) refusal: Cell<Option<HostError>>,
    /// What asking for ticks gives once.
    pub(crate) ticks: Cell<Option<HostError>>,
    /// Whether edits, answers and resumptions fail.
    pub(crate) broken: Cell<bool>,
    pub(crate) shared: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    pub(crate) told: RefCell<BTreeMap<String, String>>,
    deeds: RefCell<Vec<Deed>>,
    log: RefCell<Vec<String>>,
    metrics: RefCell<Vec<(String, i64)>>,
    tokens: Cell<u32>,
}

impl Mock {
    pub(crate) fn get(path: &str) -> Mock {
        let mock = Mock::default();
        mock.now.set(Duration::from_secs(1_800_000_000));
        mock.request(&[
            (":method", "GET"),
            (":path", path),
            (":authority", "shop.example"),
            (":scheme", "http"),
        ]);
        mock
    }

    pub(crate) fn post(headers: &[(&str, &str)]) -> Mock {
        let mock = Mock::get("/");
        let mut all = vec![(":method", "POST"), (":path", "/form"), (":authority", "shop.example")];
        all.extend_from_slice(headers);
        mock.request(&all);
        mock
    }

    pub(crate) fn request(&self, pairs: &[(&str, &str)]) {
        *self.request.borrow_mut() = Some(headers(pairs));
    }

    pub(crate) fn trailers(&self, pairs: &[(&str, &str)]) {
        *self.trailers.borrow_mut() = Some(headers(pairs));
    }

    pub(crate) fn replies(&self, message: &RpcMsgOut<'_>) {
        self.replies_with(&message.encode());
    }

    pub(crate) fn replies_with(&self, message: &[u8]) {
        let good =
            [(":status", "200"), ("content-type", http::CONTENT_TYPE), (http::VERSION_HEADER, http::VERSION)];
        *self.reply.borrow_mut() = (headers(&good), message.to_vec());
    }

    pub(crate) fn property(&self, name: &str, value: &[u8]) {
        self.properties.borrow_mut().insert(name.to_owned(), value.to_vec());
    }

    /// What was done since this was last asked.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        self.deeds.take()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.take()
    }

    /// The value of a metric, by the end of its name.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let metrics = self.metrics.borrow();
        let known = metrics.iter().find(|(known, _)| known == &format!("portcullis.{name}"));
        known.unwrap_or_else(|| panic!("no metric {name}")).1
    }

    fn note(&self, deed: Deed) -> Result<(), HostError> {
        self.deeds.borrow_mut().push(deed);
        if self.broken.get() { Err(HostError::BadArgument) } else { Ok(()) }
    }
}

impl Host for Mock {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn memory(&self) -> u64 {
        0
    }

    fn log(&self, _: Level, message: &str) {
        self.log.borrow_mut().push(message.to_owned());
    }

    fn request_headers(&self) -> Result<Headers, HostError> {
        self.request.borrow().clone().ok_or(HostError::BadArgument)
    }

    fn request_trailers(&self) -> Result<Headers, HostError> {
        self.trailers.borrow().clone().ok_or(HostError::BadArgument)
    }

    fn response_headers(&self) -> Result<Headers, HostError> {
        Ok(self.response.borrow().clone())
    }

    fn request_body(&self, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
        let body = self.body.borrow();
        let body = body.as_ref().ok_or(HostError::NotFound)?;
        let body = &body[start.min(body.len())..];
        Ok(body[..max.min(body.len())].to_vec())
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        self.asked.borrow_mut().push(path.join("."));
        Ok(self.properties.borrow().get(&path.join(".")).cloned())
    }

    fn replace_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.note(Deed::Replace(text(name), text(value)))
    }

    fn add_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.note(Deed::Add(text(name), text(value)))
    }

    fn remove_request_header(&self, name: &[u8]) -> Result<(), HostError> {
        self.note(Deed::Remove(text(name)))
    }

    fn remove_request_trailer(&self, name: &[u8]) -> Result<(), HostError> {
        self.note(Deed::RemoveTrailer(text(name)))
    }

    fn replace_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.note(Deed::ReplaceResponse(text(name), text(value)))
    }

    fn add_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.note(Deed::AddResponse(text(name), text(value)))
    }

    fn remove_response_header(&self, name: &[u8]) -> Result<(), HostError> {
        self.note(Deed::RemoveResponse(text(name)))
    }

    fn tell(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        self.told.borrow_mut().insert(name.to_owned(), text(value));
        Ok(())
    }

    fn keep_told(&self, _: &str) -> Result<(), HostError> {
        Ok(())
    }

    fn resume_response(&self) -> Result<(), HostError> {
        self.note(Deed::ResumeResponse)
    }

    fn shared_data(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
        Ok(self.shared.borrow().get(key).cloned())
    }

    fn set_shared_data(&self, key: &str, value: &[u8], token: u32) -> Result<(), HostError> {
        let mut shared = self.shared.borrow_mut();
        let known = shared.get(key).map_or(0, |(_, token)| *token);
        if token != 0 && token != known {
            return Err(HostError::Other(8));
        }
        shared.insert(key.to_owned(), (value.to_vec(), known + 1));
        Ok(())
    }

    fn resume_request(&self) -> Result<(), HostError> {
        self.note(Deed::Resume)
    }

    fn respond(&self, answer: &Answer<'_>) -> Result<(), HostError> {
        self.note(Deed::Respond(answer.status, answer.headers.first("location").map(text)))
    }

    fn reset(&self) -> Result<(), HostError> {
        self.note(Deed::Reset)
    }

    fn call(&self, callout: &Callout<'_>) -> Result<Token, HostError> {
        if let Some(refusal) = self.refusal.get() {
            return Err(refusal);
        }
        let path = callout.headers.first(":path").map(text).unwrap_or_default();
        self.deeds.borrow_mut().push(Deed::Call(path, callout.body.to_vec()));
        self.tokens.set(self.tokens.get() + 1);
        Ok(Token(self.tokens.get()))
    }

    fn reply_headers(&self) -> Result<Headers, HostError> {
        Ok(self.reply.borrow().0.clone())
    }

    fn reply_body(&self, max: usize) -> Result<Vec<u8>, HostError> {
        let reply = self.reply.borrow();
        Ok(reply.1[..max.min(reply.1.len())].to_vec())
    }

    fn configuration(&self) -> Result<Vec<u8>, HostError> {
        Ok(self.configuration.borrow().clone())
    }

    fn tick_every(&self, _: Duration) -> Result<(), HostError> {
        self.ticks.take().map_or(Ok(()), Err)
    }

    fn define_metric(&self, _: MetricKind, name: &str) -> Result<MetricId, HostError> {
        let mut metrics = self.metrics.borrow_mut();
        metrics.push((name.to_owned(), 0));
        Ok(MetricId(u32::try_from(metrics.len() - 1).unwrap()))
    }

    fn add_to_metric(&self, metric: MetricId, by: i64) -> Result<(), HostError> {
        self.metrics.borrow_mut()[metric.0 as usize].1 += by;
        Ok(())
    }

    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError> {
        self.metrics.borrow_mut()[metric.0 as usize].1 = i64::try_from(value).unwrap();
        Ok(())
    }
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> Headers {
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    Headers::from_pairs(&pairs)
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
