//! What the agent hears of a response: always where it gave the request an id, else only of anomalies.

use std::time::Duration;

use portcullis_protocol::{RpcMsgIn, RpcMsgIn2};

use crate::config::{self, Config};
use crate::headers::Headers;
use crate::host::Host;
use crate::message::{Body, Facts};
use crate::reports::{Kind, Report};

/// A response as the host shows it when the stream has ended.
pub(crate) struct Response {
    headers: Headers,
    status: u16,
    size: Size,
    took: Duration,
    flags: i64,
}

/// The length of a response's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// As its headers announced it.
    Announced(u64),
    /// As it was sent.
    Sent(u64),
}

/// The verdict that was acted on, and the ids that the agent gave the request.
#[derive(Clone, Copy)]
pub(crate) struct Acted<'a> {
    pub(crate) code: i32,
    pub(crate) ids: &'a [Vec<u8>],
}

impl Response {
    /// Looks at the response of a request that came at `came`.
    ///
    /// Every attribute costs more than all headers together, and these mostly say what an ordinary response needs to be
    /// known by.
    pub(crate) fn observe(host: &impl Host, came: Duration) -> Self {
        // Without them there still may have been a response.
        let headers = host.response_headers().unwrap_or_default();
        let said = |name| std::str::from_utf8(headers.first(name)?).ok();
        let status = said(":status").and_then(|status| status.parse().ok());
        let size = said("content-length").and_then(|length| length.parse().ok()).map(Size::Announced);
        Self {
            status: status.or_else(|| number(host, "code")?.try_into().ok()).unwrap_or(0),
            size: size.unwrap_or_else(|| Size::sent(host)),
            took: host.now().saturating_sub(came),
            flags: 0,
            headers,
        }
    }

    /// The reports that are due.
    pub(crate) fn reports(
        mut self,
        host: &impl Host,
        config: &Config,
        facts: &mut Facts,
        acted: Acted<'_>,
    ) -> Vec<Report> {
        let Acted { code, ids } = acted;
        if ids.is_empty() && !self.is_anomalous(&config.report) {
            return Vec::new();
        }
        // What was announced need not have been sent: nothing of it is, where the method is HEAD.
        if let Size::Announced(_) = self.size {
            self.size = Size::sent(host);
            if ids.is_empty() && !self.is_anomalous(&config.report) {
                return Vec::new();
            }
        }
        self.flags = number(host, "flags").and_then(|flags| i64::try_from(flags).ok()).unwrap_or(0);
        let wanted = Wanted { headers: &self.headers, names: &config.report.headers };
        if ids.is_empty() {
            facts.complete(host, config);
            return vec![Report { kind: Kind::Post, message: self.post(facts, code, wanted) }];
        }
        let update = |id: &Vec<u8>| Report { kind: Kind::Update, message: self.update(id, code, wanted) };
        ids.iter().map(update).collect()
    }

    /// A stream that ended without any response is none.
    fn is_anomalous(&self, limits: &config::Report) -> bool {
        self.status != 0
            && (self.status >= limits.min_status
                || self.size.bytes() >= limits.large
                || self.took >= limits.slow)
    }

    fn update(&self, id: &[u8], code: i32, wanted: Wanted<'_>) -> Vec<u8> {
        let message = RpcMsgIn2 {
            request_id: id.into(),
            response_code: self.code(),
            response_millis: self.millis(),
            response_size: self.size(),
            headers_out: wanted.pairs(),
            waf_response: Some(code.into()),
            response_flags: self.flags,
        };
        message.encode()
    }

    fn post(&self, facts: &Facts, code: i32, wanted: Wanted<'_>) -> Vec<u8> {
        let message = RpcMsgIn {
            waf_response: Some(code.into()),
            response_code: Some(self.code()),
            response_millis: Some(self.millis()),
            response_size: Some(self.size()),
            response_flags: self.flags,
            headers_out: wanted.pairs(),
            ..facts.message(Body::default())
        };
        message.encode()
    }

    fn code(&self) -> i64 {
        if self.status == 0 { -1 } else { self.status.into() }
    }

    fn millis(&self) -> i64 {
        i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX)
    }

    fn size(&self) -> i64 {
        i64::try_from(self.size.bytes()).unwrap_or(i64::MAX)
    }
}

impl Size {
    fn sent(host: &impl Host) -> Self {
        Self::Sent(number(host, "size").unwrap_or(0))
    }

    fn bytes(self) -> u64 {
        match self {
            Self::Announced(bytes) | Self::Sent(bytes) => bytes,
        }
    }
}

/// The response's headers, and the names of those that are reported; `*` stands for all.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) headers: &'a Headers,
    pub(crate) names: &'a [String],
}

impl<'a> Wanted<'a> {
    pub(crate) fn pairs(self) -> Vec<portcullis_protocol::Pair<'a>> {
        let all = self.names.iter().any(|name| name == "*");
        let wanted = |name: &[u8]| all || self.names.iter().any(|wanted| wanted.as_bytes() == name);
        let named = self.headers.iter().filter(|(name, _)| !name.starts_with(b":") && wanted(name));
        named.map(|(name, value)| (name.into(), value.into())).collect()
    }
}

/// An attribute of the response that is a number: eight bytes, little endian.
fn number(host: &impl Host, name: &str) -> Option<u64> {
    let bytes = host.property(&["response", name]).ok().flatten()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
