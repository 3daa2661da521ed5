//! The reverse proxy's door to the inspector: it asks the service as a module would, without a socket between.

mod ask;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, REFERER, USER_AGENT};
use portcullis_config::{ListenerSettings, Settings};
use portcullis_detect::{Location, Signal, Signals, Tag};
use portcullis_policy::HeaderEdit;
use portcullis_protocol::{ByteStr, Pair};
use portcullis_proxy::{
    Action, Edit, Inspect, Judgement, Listener, Message, Outcome, Page, Proxy, Refused, Seen, SettingsError,
    Shown, StartError,
};
use tracing::info;

use crate::answer::{Answer, Judged, tag_list};
use crate::debug_log;
use crate::ids::RequestId;
use crate::proxy::ask::{Asked, Told};
use crate::record::Answered;
use crate::service::{Ask, Service};

/// The verdict on a request whose framing was refused, in records.
const REFUSED: i32 = 400;

/// Why there is no reverse proxy.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A listener's key can not be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A listener can not be set up.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Binds the listeners that `settings` ask for, served by `threads` threads; `None` where they ask for none.
///
/// # Errors
///
/// The first key of a listener that can not be used, or the first listener that can not be bound.
pub fn bind(
    settings: &Settings,
    service: &Arc<Service>,
    threads: usize,
) -> Result<Option<Proxy<Door>>, ProxyError> {
    let mut listeners = Vec::new();
    for (name, listener) in &settings.revproxy_listener.0 {
        if !*listener.enabled {
            continue;
        }
        let body = settings.inspection_max_content_length.0;
        let mut checked = Listener::new(name, listener, body, *settings.max_connections)?;
        checked.inspect_websocket |= *settings.inspect_websocket;
        let door = Door::new(Arc::clone(service), listener, settings);
        listeners.push((checked, Arc::new(door)));
    }
    if listeners.is_empty() {
        return Ok(None);
    }
    Ok(Some(Proxy::bind(listeners, threads)?))
}

/// The inspection of the requests of one listener.
#[derive(Debug)]
pub struct Door {
    service: Arc<Service>,
    time: Duration,
    anomaly_size: u64,
    anomaly_time: Duration,
    /// Whether what proxies in front say about the client is believed.
    trust: Trust,
    debug: Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Headers,
    Socket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debug {
    Off,
    On,
}

impl Door {
    /// Asks `service` as `listener` says, and as `settings` say where it says nothing.
    pub fn new(service: Arc<Service>, listener: &ListenerSettings, settings: &Settings) -> Self {
        let time = listener.inspection_timeout.as_ref().unwrap_or(&settings.inspection_timeout.value);
        let size = &settings.inspection_anomaly_size.value;
        let size = listener.inspection_anomaly_size.as_ref().unwrap_or(size);
        let anomaly = &settings.inspection_anomaly_duration.value;
        let anomaly = listener.inspection_anomaly_duration.as_ref().unwrap_or(anomaly);
        Self {
            service,
            time: time.0,
            anomaly_size: size.0,
            anomaly_time: anomaly.0,
            trust: if *listener.trust_proxy_headers { Trust::Headers } else { Trust::Socket },
            debug: if *listener.inspection_debug { Debug::On } else { Debug::Off },
        }
    }

    async fn judge(&self, asked: Asked) -> Judgement {
        let started = Instant::now();
        let size = asked.size();
        let listener = Arc::clone(&asked.seen.listener);
        let answer = self.service.inspect(Arc::new(asked), size, self.time).await;
        let judgement = judgement(&answer, started.elapsed());
        if self.debug == Debug::On {
            let Judgement { code, signals, took, .. } = &judgement;
            info!(target: debug_log::TARGET, listener = &*listener, code, ?signals, ?took, "request inspected");
        }
        judgement
    }

    fn asked(&self, seen: Arc<Seen>, told: Told) -> Asked {
        let client = match self.trust {
            Trust::Headers => None,
            Trust::Socket => Some(seen.client.ip().to_canonical()),
        };
        Asked::new(seen, told, client)
    }

    fn is_anomalous(&self, outcome: &Outcome) -> bool {
        outcome.status.as_u16() >= 300
            || outcome.bytes >= self.anomaly_size
            || outcome.took >= self.anomaly_time
    }

    /// Reports a response with its request, which nobody remembers.
    fn report(&self, outcome: &Outcome, code: i32, answered: Answered<'_>, found: &Signals) {
        let told = match &outcome.refused {
            Some(refused) if !refused.start.is_empty() => Told::Start(refused.start.clone()),
            Some(_) | None => Told::Request,
        };
        let asked = self.asked(Arc::clone(&outcome.seen), told);
        asked.with_request(|request| self.service.answered_unasked(request, code, answered, found));
    }
}

impl Inspect for Door {
    fn shown(&self, seen: &Seen) -> Shown {
        let snapshot = self.service.inspector.snapshot();
        let redactions = snapshot.policy.redactions();
        let header = |name: HeaderName| {
            let value = seen.headers.get(&name)?;
            Some(redactions.request_header(name.as_str().as_bytes(), value.as_bytes()))
        };
        Shown {
            target: redactions.target(seen.target().as_bytes()),
            referer: header(REFERER),
            user_agent: header(USER_AGENT),
        }
    }

    async fn inspect(&self, request: Arc<Seen>) -> Judgement {
        self.judge(self.asked(request, Told::Request)).await
    }

    async fn inspect_message(&self, message: Message) -> Judgement {
        let Message { request, text, direction } = message;
        let judgement = self.judge(self.asked(request, Told::Message(text, direction))).await;
        // It has no response of its own.
        if let Some(id) = judgement.request_id.as_deref().and_then(|id| RequestId::read(id.as_bytes())) {
            self.service.unanswered(id);
        }
        judgement
    }

    fn answered(&self, outcome: &Outcome) {
        let id = outcome.judgement.as_ref().and_then(|judgement| judgement.request_id.as_deref());
        if id.is_none() && outcome.refused.is_none() && !self.is_anomalous(outcome) {
            return;
        }
        let headers = pairs(&outcome.headers);
        let answered = Answered {
            code: i64::from(outcome.status.as_u16()),
            millis: i64::try_from(outcome.took.as_millis()).unwrap_or(i64::MAX),
            size: i64::try_from(outcome.bytes).unwrap_or(i64::MAX),
            headers: &headers,
        };
        match (id, &outcome.refused) {
            (Some(id), _) => self.service.answered(RequestId::read(id.as_bytes()), answered),
            (None, Some(refused)) => self.report(outcome, REFUSED, answered, &bad_framing(refused)),
            (None, None) => {
                let code = outcome.judgement.as_ref().map_or(0, |judgement| judgement.code);
                self.report(outcome, code, answered, &Signals::default());
            }
        }
    }
}

/// What is found in a request that never got to the engine.
fn bad_framing(refused: &Refused) -> Signals {
    let value = refused.rejection.to_string().into_bytes();
    let span = 0..value.len();
    let signal = Signal {
        tag: Tag::Bhh,
        location: Location::Request,
        name: refused.rejection.as_str().into(),
        value,
        span,
        detector: "FRAMING",
    };
    std::iter::once(signal).collect()
}

fn pairs(headers: &HeaderMap) -> Vec<Pair<'_>> {
    headers.iter().map(|(name, value)| (name.as_str().into(), ByteStr::from(value.as_bytes()))).collect()
}

fn judgement(answer: &Answer, took: Duration) -> Judgement {
    let judged = match answer {
        Answer::Judged(judged) => judged,
        Answer::NotInspected(reason) => {
            return Judgement {
                action: Action::NotInspected,
                code: reason.code(),
                request_id: None,
                signals: Vec::new(),
                took,
                response: Vec::new(),
            };
        }
    };
    let (verdict, id) = (&judged.verdict, judged.id.map(|id| id.to_string()));
    let tags = tag_list(verdict);
    let action = match StatusCode::from_u16(verdict.code()) {
        Ok(StatusCode::OK) => Action::Forward { headers: headers(judged, id.as_deref(), &tags) },
        Ok(status) if (300..=599).contains(&status.as_u16()) => {
            let location = verdict.location().and_then(|to| HeaderValue::from_str(to).ok());
            Action::Block { status, location, page: page(judged) }
        }
        Ok(_) | Err(_) => Action::NotInspected,
    };
    Judgement {
        action,
        code: i32::from(verdict.code()),
        request_id: id,
        signals: tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        took,
        response: edits(judged),
    }
}

/// The headers for the application; what can not stand in one is left out.
fn headers(judged: &Judged, id: Option<&str>, tags: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = vec![(AGENT_RESPONSE, HeaderValue::from(judged.verdict.code()))];
    let mut add = |name, value: &str| {
        headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    };
    if let Some(id) = id {
        add(REQUEST_ID, id);
    }
    // None where there are none, unless that would leave the client's own in place.
    if !tags.is_empty() || judged.forged_tags {
        add(TAGS, tags);
    }
    for (name, value) in &judged.headers {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            add(name, value);
        }
    }
    headers
}

fn page(judged: &Judged) -> Option<Page> {
    let page = judged.verdict.page.as_ref()?;
    let content_type = HeaderValue::from_static(page.content_type);
    let headers = page.headers.iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_static(value))));
    Some(Page { content_type, headers: headers.collect(), body: Bytes::copy_from_slice(&page.body) })
}

/// The edits of the response's headers; what can not stand in one is left out.
fn edits(judged: &Judged) -> Vec<Edit> {
    let edit = |edit: &HeaderEdit| {
        Some(match edit {
            HeaderEdit::Add(name, value) => Edit::Add(name.parse().ok()?, value.parse().ok()?),
            HeaderEdit::Set(name, value) => Edit::Set(name.parse().ok()?, value.parse().ok()?),
            HeaderEdit::Delete(name) => Edit::Remove(name.parse().ok()?),
        })
    };
    judged.verdict.headers.iter().filter_map(edit).collect()
}

/// Names as HTTP/2 spells them.
const AGENT_RESPONSE: HeaderName = HeaderName::from_static("x-sigsci-agentresponse");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-sigsci-requestid");
const TAGS: HeaderName = HeaderName::from_static("x-sigsci-tags");

#[cfg(test)]
mod tests {
    use portcullis_detect::Tag;
    use portcullis_policy::{Decision, FollowUp};
    use portcullis_protocol::names::{AGENT_RESPONSE_HEADER, REQUEST_ID_HEADER, TAGS_HEADER};

    use super::*;
    use crate::answer::NotInspected;
    use crate::ids::Ids;

    fn told(tags: &[Tag], forged_tags: bool) -> Judgement {
        let id = (!tags.is_empty()).then(|| Ids::default().make());
        let verdict = Box::new(Decision::pass(tags.to_vec(), FollowUp::IfAnomalous));
        let headers = vec![("X-Waf".to_owned(), "yes".to_owned()), ("X-Bad".to_owned(), "a\nb".to_owned())];
        judgement(
            &Answer::Judged(Judged { verdict, id, forged_tags, headers, asks_response: false }),
            Duration::ZERO,
        )
    }

    fn sent(judgement: Judgement) -> Vec<(String, String)> {
        let Action::Forward { headers } = judgement.action else { panic!("{:?}", judgement.action) };
        let text =
            |(name, value): (HeaderName, HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
        headers.into_iter().map(text).collect()
    }

    #[test]
    fn names_are_spelt_as_elsewhere() {
        for (ours, theirs) in
            [(AGENT_RESPONSE, AGENT_RESPONSE_HEADER), (REQUEST_ID, REQUEST_ID_HEADER), (TAGS, TAGS_HEADER)]
        {
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn a_clean_request_is_told_its_code_alone() {
        let judgement = told(&[], false);
        assert_eq!((judgement.code, &judgement.request_id), (200, &None));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(sent(judgement), [pair("x-sigsci-agentresponse", "200"), pair("x-waf", "yes")]);
    }

    #[test]
    fn tags_and_id_are_told_and_forged_tags_replaced() {
        let judgement = told(&[Tag::Sqli], false);
        assert_eq!(judgement.signals, ["SQLI"]);
        let id = judgement.request_id.clone().unwrap();
        let sent_headers = sent(judgement);
        assert!(sent_headers.contains(&("x-sigsci-requestid".to_owned(), id)), "{sent_headers:?}");
        assert!(sent_headers.contains(&("x-sigsci-tags".to_owned(), "SQLI".to_owned())), "{sent_headers:?}");
        assert!(sent(told(&[], true)).contains(&("x-sigsci-tags".to_owned(), String::new())));
    }

    #[test]
    fn what_was_not_inspected_is_not_forwarded_as_inspected() {
        let judgement = judgement(&Answer::NotInspected(NotInspected::TimedOut), Duration::ZERO);
        assert!(matches!(judgement.action, Action::NotInspected));
        assert_eq!(judgement.code, -2);
    }
}
