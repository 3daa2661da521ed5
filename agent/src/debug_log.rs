//! The lines that the `debug-log-*` options ask for.
//!
//! They bypass `log-level`, under a target of their own: who asks for one wants to see it.

use portcullis_config::Settings;
use portcullis_protocol::{RpcMsgIn, RpcMsgOut};
use serde::Serialize;
use tracing::info;

use portcullis_policy::redact::{self, Redactions};

/// The target of these lines.
pub const TARGET: &str = "debug_log";

/// How much a level of 0, 1, 2 asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// A line.
    Line,
    /// A line with details, or over several lines.
    Details,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugLog {
    /// A line a blocked request.
    pub blocked: Level,
    /// A line a policy update.
    pub config_updates: Level,
    /// A line a connection that fails.
    pub connection_errors: Level,
    /// A line a request that spent a budget or failed.
    pub engine_errors: Level,
    /// A line an RPC message.
    pub rpc_data: Level,
    /// What modules say.
    pub web_inputs: Level,
    /// What modules are told.
    pub web_outputs: Level,
    /// What was found in each request.
    pub inspection: Level,
}

impl DebugLog {
    /// Reads the options.
    pub fn new(settings: &Settings) -> Self {
        let all = *settings.debug_log_all_the_things;
        let level = |set: u8| match set {
            _ if all => Level::Details,
            0 => Level::Off,
            1 => Level::Line,
            _ => Level::Details,
        };
        Self {
            blocked: level(u8::from(*settings.debug_log_blocked_requests)),
            config_updates: level(*settings.debug_log_config_updates),
            connection_errors: level(*settings.debug_log_connection_errors),
            engine_errors: level(*settings.debug_log_engine_errors),
            rpc_data: level(*settings.debug_log_rpc_data),
            web_inputs: level(*settings.debug_log_web_inputs),
            web_outputs: level(*settings.debug_log_web_outputs),
            inspection: level(u8::from(*settings.inspection_debug)),
        }
    }

    /// A message came.
    pub fn message(&self, method: &str, bytes: &[u8], redactions: impl FnOnce() -> Redactions) {
        if self.rpc_data == Level::Off {
            return;
        }
        info!(target: TARGET, method, bytes = bytes.len(), "rpc message");
        if self.rpc_data == Level::Details
            && let Ok(message) = RpcMsgIn::decode(bytes)
        {
            info!(target: TARGET, method, message = shown(Level::Line, &Input::new(&message, &redactions())), "rpc data");
        }
    }

    /// A module asks.
    pub fn input(&self, message: &RpcMsgIn<'_>, redactions: impl FnOnce() -> Redactions) {
        if self.web_inputs > Level::Off {
            info!(target: TARGET, input = shown(self.web_inputs, &Input::new(message, &redactions())), "web input");
        }
    }

    /// A module is told.
    pub fn output(&self, message: &RpcMsgOut<'_>) {
        if self.web_outputs > Level::Off {
            info!(target: TARGET, output = shown(self.web_outputs, &Output::new(message)), "web output");
        }
    }

    /// A connection failed.
    pub fn connection(&self, step: &str, error: &dyn std::error::Error) {
        match self.connection_errors {
            Level::Off => {}
            Level::Line => info!(target: TARGET, step, %error, "connection error"),
            Level::Details => {
                let source = error.source().map(ToString::to_string).unwrap_or_default();
                info!(target: TARGET, step, %error, source, details = ?error, "connection error");
            }
        }
    }
}

fn shown(level: Level, value: &impl Serialize) -> String {
    let shown = match level {
        Level::Off | Level::Line => serde_json::to_string(value),
        Level::Details => serde_json::to_string_pretty(value),
    };
    shown.unwrap_or_default()
}

/// A request without its secrets; of the body there is only the length.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    module_version: String,
    server_name: String,
    remote_addr: String,
    method: String,
    scheme: String,
    #[serde(rename = "URI")]
    uri: String,
    protocol: String,
    headers_in: Vec<(String, String)>,
    post_body_bytes: usize,
    #[serde(rename = "WAFResponse", skip_serializing_if = "Option::is_none")]
    waf_response: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_code: Option<i64>,
}

impl Input {
    fn new(message: &RpcMsgIn<'_>, redactions: &Redactions) -> Self {
        Self {
            module_version: redact::text(&message.module_version),
            server_name: redact::text(&message.server_name),
            remote_addr: redact::text(&message.remote_addr),
            method: redact::text(&message.method),
            scheme: redact::text(&message.scheme),
            uri: redact::encoded(redact::without_query(&message.uri)),
            protocol: redact::text(&message.protocol),
            headers_in: message
                .headers_in
                .iter()
                .map(|(name, value)| (redact::text(name), redactions.request_header(name, value)))
                .collect(),
            post_body_bytes: message.post_body.len(),
            waf_response: message.waf_response,
            response_code: message.response_code,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    #[serde(rename = "WAFResponse")]
    waf_response: i32,
    #[serde(rename = "RequestID")]
    request_id: String,
    request_headers: Vec<(String, String)>,
}

impl Output {
    fn new(message: &RpcMsgOut<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            waf_response: message.waf_response,
            request_id: text(&message.request_id),
            request_headers: message
                .request_headers
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }
}
