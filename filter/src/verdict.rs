//! From the agent's reply to what becomes of the request.

use portcullis_protocol::{RespAction, RpcMsgOut, http};

use crate::failure::Failure;
use crate::headers::{self, Headers};
use crate::host::Host;

/// What the agent decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the request.
    pub decision: Decision,
    /// The agent's code, for reports.
    pub code: i32,
    /// Not empty where the agent wants to hear of the response.
    pub request_id: Vec<u8>,
    /// Headers for the application.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// What becomes of the response's headers.
    pub edits: Vec<Edit>,
    /// Whether the agent is to be asked again once the response's headers are there.
    pub response: Response,
    /// What a client that is stopped is shown.
    pub page: Option<Page>,
}

/// A body in the place of the filter's own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The media type.
    pub content_type: Vec<u8>,
    /// Headers that go with it, names in lower case; none is the media type.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Not empty.
    pub body: Vec<u8>,
}

/// A change to the response's headers. Names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// One more of the name.
    Add(Vec<u8>, Vec<u8>),
    /// One of the name, whatever there was.
    Set(Vec<u8>, Vec<u8>),
    /// One of the name, where there is none.
    Default(Vec<u8>, Vec<u8>),
    /// None of the name.
    Delete(Vec<u8>),
}

/// Whether the agent is asked about a response before it goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Response {
    /// It goes out as it comes.
    #[default]
    Free,
    /// The agent is asked.
    Asked,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on to the application.
    Allow,
    /// It is answered with this status.
    Block(u16),
    /// It is answered with this status and location.
    Redirect(u16, Vec<u8>),
}

impl Verdict {
    /// Reads the reply in whose callback this is called.
    ///
    /// # Errors
    ///
    /// When there is no verdict in it; every shape of failure that a host has is one.
    pub fn read(host: &impl Host, shape: ReplyShape) -> Result<Verdict, Failure> {
        if shape.headers == 0 {
            return Err(Failure::Reset);
        }
        let headers = host.reply_headers().map_err(|_| Failure::Reset)?;
        check(&headers)?;
        // The length is the host's word; bytes are taken only up to the limit.
        if shape.body > MAX_REPLY_BYTES {
            return Err(Failure::Decode);
        }
        // Hosts say "not found" of a buffer that is empty.
        let body = match shape.body {
            0 => Vec::new(),
            _ => host.reply_body(MAX_REPLY_BYTES).map_err(|_| Failure::Reset)?,
        };
        Verdict::from_message(&RpcMsgOut::decode(&body).map_err(|_| Failure::Decode)?)
    }

    /// The names of the signals, as the application is told them.
    pub(crate) fn tags(&self) -> &[u8] {
        let tags = self.headers.iter().find(|(name, _)| name == TAGS);
        tags.map(|(_, value)| value.as_slice()).unwrap_or_default()
    }

    fn from_message(message: &RpcMsgOut<'_>) -> Result<Verdict, Failure> {
        let status = match message.waf_response {
            200 => None,
            code @ 300..=599 => u16::try_from(code).ok(),
            _ => return Err(Failure::NotInspected),
        };
        let location = message.request_headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(REDIRECT));
        let decision = match (status, location) {
            (None, _) => Decision::Allow,
            (Some(status @ 300..=399), Some((_, value))) if is_value(value) && !value.is_empty() => {
                Decision::Redirect(status, value.to_vec())
            }
            (Some(status), _) => Decision::Block(status),
        };
        let headers = message.request_headers.iter().filter(|(name, value)| may_add(name) && is_value(value));
        Ok(Verdict {
            decision,
            code: message.waf_response,
            request_id: message.request_id.to_vec(),
            headers: headers
                .take(MAX_HEADERS)
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
                .collect(),
            edits: message.resp_actions.iter().filter_map(Edit::read).take(MAX_HEADERS).collect(),
            response: if message.ask_response { Response::Asked } else { Response::Free },
            page: Page::read(message),
        })
    }
}

impl Page {
    /// Reads the page of an answer; none where there is none, or one that cannot be sent as it is.
    fn read(message: &RpcMsgOut<'_>) -> Option<Self> {
        let (body, content_type) = (&message.page, &message.page_type);
        let fits =
            (1..=http::MAX_PAGE).contains(&body.len()) && !content_type.is_empty() && is_value(content_type);
        let may_go =
            |name: &[u8]| may_add(name) && !is_reserved(name) && !name.eq_ignore_ascii_case(b"content-type");
        let headers = message.page_headers.iter().filter(|(name, value)| may_go(name) && is_value(value));
        fits.then(|| Self {
            content_type: content_type.to_vec(),
            headers: headers
                .take(MAX_HEADERS)
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()))
                .collect(),
            body: body.to_vec(),
        })
    }
}

impl Edit {
    /// Reads a change; none where it is none, or would change how the response is framed.
    fn read(action: &RespAction<'_>) -> Option<Self> {
        let mut args = action.args.iter();
        let name = args.next().filter(|name| may_add(name))?.to_ascii_lowercase();
        if action.code == DELETE {
            return Some(Self::Delete(name));
        }
        let value = args.next().filter(|value| is_value(value))?.to_vec();
        match action.code {
            1 => Some(Self::Add(name, value)),
            2 => Some(Self::Set(name, value)),
            3 => Some(Self::Default(name, value)),
            _ => None,
        }
    }
}

/// What the host says of a reply at its callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyShape {
    /// Number of headers, 0 where the reply broke off.
    pub headers: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// Whether a reply is an agent's 200; the body is not looked at.
///
/// # Errors
///
/// With the shape of failure that the headers show.
pub fn check(headers: &Headers) -> Result<(), Failure> {
    match headers.first(":status") {
        Some(b"200") => {}
        // The proxy answers in the agent's place with these.
        Some(b"502") => return Err(Failure::Garbled),
        Some(b"503") => return Err(Failure::Connect),
        Some(b"504") => return Err(Failure::Timeout),
        _ => return Err(Failure::Status),
    }
    let typed = headers.first("content-type") == Some(http::CONTENT_TYPE.as_bytes());
    let versioned = headers.first(http::VERSION_HEADER).is_some_and(http::is_readable);
    if typed && versioned { Ok(()) } else { Err(Failure::Foreign) }
}

/// Whether only the agent may set this header. An application that reads its headers through CGI or WSGI names cannot
/// tell `_` from `-`, so neither spelling may come from a client.
pub fn is_reserved(name: &[u8]) -> bool {
    headers::starts_as(name, RESERVED)
}

/// Whether a header of the agent may go to the application: no pseudo-header, and none that frames the message.
fn may_add(name: &[u8]) -> bool {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty()
        && name.iter().all(token)
        && !name.eq_ignore_ascii_case(REDIRECT)
        && !headers::FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing))
}

fn is_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

const RESERVED: &[u8] = b"x-sigsci-";
const REDIRECT: &[u8] = b"x-sigsci-redirect";
const TAGS: &[u8] = b"x-sigsci-tags";
const DELETE: i8 = 4;

/// Verdicts are a few hundred bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;

#[cfg(test)]
mod tests;
