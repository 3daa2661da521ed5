//! The reverse proxy's door to the inspector: it speaks to the service as a module would, without a socket between.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};
use portcullis_config::Settings;
use portcullis_protocol::names::REDIRECT_HEADER;
use portcullis_protocol::{ByteStr, Pair, RpcMsgIn, RpcMsgIn2, RpcMsgOut};
use portcullis_proxy::{
    Action, Direction, Inspect, Judgement, Listener, Message, Outcome, Seen, SettingsError,
};
use tracing::warn;

use crate::service::Service;

/// Says who reports, in records.
const MODULE: &str = concat!("portcullis-proxy ", env!("CARGO_PKG_VERSION"));

/// The listeners that `settings` ask for, the legacy options included.
///
/// # Errors
///
/// The first key of a listener that can not be used.
pub fn listeners(settings: &Settings) -> Result<Vec<Listener>, SettingsError> {
    let body = settings.inspection_max_content_length.0;
    let enabled = settings.revproxy_listener.0.iter().filter(|(_, listener)| *listener.enabled);
    enabled.map(|(name, listener)| Listener::new(name, listener, body)).collect()
}

/// The inspection of proxied requests.
#[derive(Debug)]
pub struct Door {
    service: Arc<Service>,
    anomaly_size: u64,
    anomaly_duration: Duration,
}

impl Door {
    /// Asks `service`, and reports responses to it as `settings` say.
    pub fn new(service: Arc<Service>, settings: &Settings) -> Self {
        Self {
            service,
            anomaly_size: settings.inspection_anomaly_size.0,
            anomaly_duration: settings.inspection_anomaly_duration.0,
        }
    }

    async fn judge(&self, message: Bytes) -> Judgement {
        let started = Instant::now();
        let answer = self.service.pre_request(message).await;
        let took = started.elapsed();
        match &answer {
            Ok(answer) => judgement(&answer.to_filter(), took),
            Err(error) => {
                warn!(%error, "proxied request not inspected");
                Judgement {
                    action: Action::NotInspected,
                    code: 0,
                    request_id: None,
                    signals: Vec::new(),
                    took,
                }
            }
        }
    }

    fn is_anomalous(&self, outcome: &Outcome) -> bool {
        outcome.status.as_u16() >= 300
            || outcome.bytes >= self.anomaly_size
            || outcome.took >= self.anomaly_duration
    }
}

impl Inspect for Door {
    async fn inspect(&self, request: Seen) -> Judgement {
        let message = message(&request).encode().into();
        self.judge(message).await
    }

    async fn inspect_message(&self, message: Message) -> Judgement {
        let Message { request, text, direction } = message;
        let mut told = self::message(&request);
        // The text takes the place of the body; which way it goes is told by the method, as a request to the application
        // or one that a client never sent.
        told.post_body = ByteStr::from(text.as_ref());
        told.body_truncated = false;
        told.method = match direction {
            Direction::ToUpstream => "WEBSOCKET".into(),
            Direction::ToClient => "WEBSOCKET-RESPONSE".into(),
        };
        told.headers_in.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-type"));
        let encoded = told.encode().into();
        self.judge(encoded).await
    }

    fn answered(&self, outcome: &Outcome) {
        let id = outcome.judgement.as_ref().and_then(|judgement| judgement.request_id.as_deref());
        let code = i64::from(outcome.status.as_u16());
        let millis = i64::try_from(outcome.took.as_millis()).unwrap_or(i64::MAX);
        let size = i64::try_from(outcome.bytes).unwrap_or(i64::MAX);
        let told = match id {
            Some(id) => self.service.update_request(
                &RpcMsgIn2 {
                    request_id: id.into(),
                    response_code: code,
                    response_millis: millis,
                    response_size: size,
                    headers_out: pairs(&outcome.headers),
                    ..RpcMsgIn2::default()
                }
                .encode(),
            ),
            None if self.is_anomalous(outcome) => {
                let mut report = message(&outcome.seen);
                report.waf_response =
                    Some(outcome.judgement.as_ref().map_or(0, |judgement| judgement.code.into()));
                report.response_code = Some(code);
                report.response_millis = Some(millis);
                report.response_size = Some(size);
                report.headers_out = pairs(&outcome.headers);
                self.service.post_request(&report.encode())
            }
            None => Ok(()),
        };
        if let Err(error) = told {
            warn!(%error, "response of a proxied request not reported");
        }
    }
}

fn message(request: &Seen) -> RpcMsgIn<'_> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let host = request.headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let tls = request.tls.as_ref();
    RpcMsgIn {
        module_version: MODULE.into(),
        server_name: ByteStr::from(host.or(authority).unwrap_or_default()),
        timestamp: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        now_millis: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
        remote_addr: request.client.ip().to_canonical().to_string().into(),
        method: request.method.as_str().into(),
        scheme: if tls.is_some() { "https" } else { "http" }.into(),
        uri: target(request),
        protocol: protocol(request.version).into(),
        tls_protocol: tls.map_or("", |tls| &tls.version).into(),
        tls_cipher: tls.map_or("", |tls| &tls.cipher).into(),
        sni: tls.map_or("", |tls| &tls.server_name).into(),
        headers_in: pairs(&request.headers),
        post_body: ByteStr::from(request.body.as_ref()),
        body_truncated: request.truncated,
        ..RpcMsgIn::default()
    }
}

/// The target as an application sees it: HTTP/2 sends scheme and authority beside the path.
fn target(request: &Seen) -> ByteStr<'_> {
    match request.uri.path_and_query() {
        Some(path) if request.version == Version::HTTP_2 || request.uri.scheme().is_none() => {
            path.as_str().into()
        }
        _ => request.uri.to_string().into(),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn pairs(headers: &HeaderMap) -> Vec<Pair<'_>> {
    headers.iter().map(|(name, value)| (name.as_str().into(), ByteStr::from(value.as_bytes()))).collect()
}

fn judgement(reply: &RpcMsgOut<'_>, took: Duration) -> Judgement {
    let id = (!reply.request_id.is_empty()).then(|| String::from_utf8_lossy(&reply.request_id).into_owned());
    let find = |wanted: &str| {
        let mut pairs = reply.request_headers.iter();
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes())).map(|(_, value)| value)
    };
    let tags = find(portcullis_protocol::names::TAGS_HEADER);
    let signals = tags.map(|tags| {
        String::from_utf8_lossy(tags).split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
    });
    let code = reply.waf_response;
    let status = u16::try_from(code).ok().filter(|code| (300..=599).contains(code));
    let action = match (code, status.map(StatusCode::from_u16)) {
        (200, _) => Action::Forward { headers: headers(&reply.request_headers) },
        (_, Some(Ok(status))) => {
            let location = find(REDIRECT_HEADER).and_then(|location| HeaderValue::from_bytes(location).ok());
            Action::Block { status, location }
        }
        _ => Action::NotInspected,
    };
    Judgement { action, code, request_id: id, signals: signals.unwrap_or_default(), took }
}

fn headers(pairs: &[Pair<'_>]) -> Vec<(HeaderName, HeaderValue)> {
    let header = |(name, value): &Pair<'_>| {
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    pairs.iter().filter_map(header).collect()
}
