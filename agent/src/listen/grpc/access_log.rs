//! `envoy.service.accesslog.v3.AccessLogService`: what became of requests that ext_authz asked about.

use bytes::Bytes;
use prost::Message;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::proto::access_log::{
    Common, HttpLogEntry, RequestProperties, StreamAccessLogsMessage, StreamAccessLogsResponse,
};
use super::proto::core::{Entry, Named, Time};
use super::question::{Outcome, Question};
use super::reply::{ID_HEADER, RESPONSE_HEADER};
use super::shape::{self, Shaped};
use super::{Call, LAST_WORDS, Responses, Server};
use crate::ids::RequestId;

pub(super) const STREAM: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";

/// Where Envoy puts what ext_authz and ext_proc were told, beside the headers.
const AUTHZ: &str = "envoy.filters.http.ext_authz";

/// How Envoy says that ext_authz answered the client.
const DENIED: &str = "ext_authz_denied";

/// Entries that are taken before other tasks have a turn.
const AT_ONCE: usize = 64;

/// Takes entries until the stream or the agent ends.
pub(super) async fn take(
    Call { server, mut drain, .. }: Call,
    messages: Request<Streaming<StreamAccessLogsMessage>>,
) -> Result<Response<StreamAccessLogsResponse>, Status> {
    let mut messages = messages.into_inner();
    let mut ending = false;
    loop {
        let next = if ending {
            match timeout(LAST_WORDS, messages.message()).await {
                Ok(next) => next,
                Err(_) => break,
            }
        } else {
            tokio::select! {
                next = messages.message() => next,
                () = drain.draining() => {
                    ending = true;
                    continue;
                }
            }
        };
        let Some(message) = next? else { break };
        if let Some(identifier) = message.identifier {
            server.greet(&identifier.log_name);
        }
        let entries = message.http_logs.map(|logs| logs.log_entry).unwrap_or_default();
        for (index, entry) in entries.into_iter().enumerate() {
            if index % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let malformed = |error: &dyn std::fmt::Display| Status::invalid_argument(error.to_string());
            shape::check(&entry, HttpLogEntry::SHAPE).map_err(|error| malformed(&error))?;
            server.log_entry(HttpLogEntry::decode(entry).map_err(|error| malformed(&error))?);
        }
    }
    Ok(Response::new(StreamAccessLogsResponse {}))
}

impl Server {
    fn greet(&self, log_name: &[u8]) {
        info!(log_name = %String::from_utf8_lossy(log_name), "access log connected");
        if self.options.responses == Responses::Unreported {
            warn!(
                "an access log is sent, but envoy-expect-response-data is 0: responses are not joined to their requests"
            );
        }
    }

    fn log_entry(&self, entry: HttpLogEntry) {
        let common = entry.common_properties.unwrap_or_default();
        let request = entry.request.unwrap_or_default();
        let response = entry.response.unwrap_or_default();
        let outcome = Outcome {
            code: response.response_code.map_or(-1, |code| code.value.into()),
            millis: common.time_to_last_downstream_tx_byte.or(common.duration).map_or(-1, Time::millis),
            size: i64::try_from(response.response_body_bytes).unwrap_or(i64::MAX),
            headers: response.response_headers.into_iter().map(|Entry { key, value }| (key, value)).collect(),
        };
        let told = |field| Named::find(&common.metadata.as_ref()?.filter_metadata, AUTHZ, field);
        let verdict = told("verdict");
        let denied = verdict.as_ref().is_some_and(|verdict| verdict == "block" || verdict == "redirect");
        if denied || response.response_code_details == DENIED {
            // It was reported when it was denied.
            return;
        }
        match (told("request_id").or_else(|| header(&request, ID_HEADER)), self.options.responses) {
            (Some(id), Responses::Awaited) => match RequestId::read(&id) {
                Some(id) => self.update(id, &outcome),
                None => self.service.counters.orphans.add(),
            },
            // Its record does not wait.
            (Some(_), Responses::Unreported) => {}
            (None, _) => {
                // Without metadata the agent was not asked, and the header is the client's own.
                let code = verdict.and_then(|_| header(&request, RESPONSE_HEADER));
                let code = code.and_then(|code| std::str::from_utf8(&code).ok()?.parse().ok()).unwrap_or(0);
                self.post(&question(common, request, entry.protocol_version), &outcome, code);
            }
        }
    }
}

fn header(request: &RequestProperties, name: &str) -> Option<Bytes> {
    let found = request.request_headers.iter().find(|entry| entry.key == name.as_bytes());
    found.map(|entry| entry.value.clone()).filter(|value| !value.is_empty())
}

fn question(common: Common, request: RequestProperties, protocol: i32) -> Question {
    let RequestProperties { request_method, scheme, authority, path, original_path, .. } = request;
    let method = usize::try_from(request_method).ok().and_then(|method| METHODS.get(method));
    let protocol = usize::try_from(protocol).ok().and_then(|protocol| PROTOCOLS.get(protocol));
    let address = common.downstream_remote_address.and_then(|address| address.socket_address);
    let mut headers = vec![(Bytes::from_static(b"host"), authority.clone())];
    headers.push((Bytes::from_static(b"user-agent"), request.user_agent));
    headers.push((Bytes::from_static(b"x-forwarded-for"), request.forwarded_for));
    headers.extend(request.request_headers.into_iter().map(|Entry { key, value }| (key, value)));
    headers.retain(|(_, value)| !value.is_empty());
    Question {
        method: Bytes::from_static(method.unwrap_or(&"").as_bytes()),
        scheme,
        authority,
        target: if original_path.is_empty() { path } else { original_path },
        protocol: Bytes::from_static(protocol.unwrap_or(&"").as_bytes()),
        remote_addr: address.map(|socket| socket.address).unwrap_or_default(),
        millis: common.start_time.map_or(0, Time::millis),
        headers,
        ..Question::default()
    }
}

/// `envoy.config.core.v3.RequestMethod`.
const METHODS: [&str; 10] =
    ["", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// `envoy.data.accesslog.v3.HTTPAccessLogEntry.HTTPVersion`.
const PROTOCOLS: [&str; 5] = ["", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"];
