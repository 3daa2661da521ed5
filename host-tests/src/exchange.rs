//! One request and its response, as the proxy has them.

use crate::script::{Request, Response};

/// A header.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Names a stream of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub(crate) u32);

/// What the application has received of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    /// The request's headers, once they have come.
    pub headers: Option<Vec<Pair>>,
    /// The body so far.
    pub body: Vec<u8>,
    /// The trailers, once they have come.
    pub trailers: Option<Vec<Pair>>,
    /// Whether the request has come to its end.
    pub complete: bool,
}

impl App {
    /// Whether nothing at all has come.
    pub fn saw_nothing(&self) -> bool {
        *self == App::default()
    }

    /// Whether the headers have come and no more.
    pub fn saw_headers_only(&self) -> bool {
        self.headers.is_some() && self.body.is_empty() && self.trailers.is_none() && !self.complete
    }

    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&[u8]> {
        let headers = self.headers.iter().flatten();
        headers.filter(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice()).collect()
    }
}

/// The proxy's state of a stream.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) headers: Vec<Pair>,
    pub(crate) properties: Vec<(String, Vec<u8>)>,
    pub(crate) app: App,
    pub(crate) stopped: Stopped,
    /// Held by the proxy between the filter and the application.
    pub(crate) buffer: Vec<u8>,
    /// Whether the filter is shown all of `buffer`, or only what is new.
    pub(crate) collecting: bool,
    /// What the body callback that is running was called for.
    pub(crate) shown: Vec<u8>,
    /// Came while all was stopped; the filter has not been shown it.
    pub(crate) withheld: Vec<Part>,
    pub(crate) ended: bool,
    pub(crate) trailers: Option<Vec<Pair>>,
    /// The buffer is over its limit, so the client is not read.
    pub(crate) back_pressure: bool,
    pub(crate) answer: Option<Answer>,
    pub(crate) resume: bool,
    pub(crate) cut_off: bool,
    pub(crate) response: Option<Response>,
    /// The filter has stopped the response.
    pub(crate) response_held: bool,
    /// What access logs would show.
    pub(crate) told: std::collections::BTreeMap<String, String>,
    pub(crate) deleted: bool,
}

/// How far the filter has stopped the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stopped {
    #[default]
    No,
    /// What has come waits; what comes is shown.
    Single,
    /// Nothing that comes is shown.
    All,
}

/// A part of a request's body, or its trailers.
#[derive(Debug)]
pub(crate) enum Part {
    Data(Vec<u8>, bool),
    Trailers(Vec<Pair>),
}

/// A response made by the proxy.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Vec<u8>,
}

impl Exchange {
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            headers: request.headers.clone(),
            properties: request.properties.clone(),
            ended: !request.more,
            ..Self::default()
        }
    }

    pub(crate) fn headers_have_gone(&self) -> bool {
        self.app.headers.is_some()
    }

    /// Whether the request goes no further, whatever the filter says.
    pub(crate) fn is_over(&self) -> bool {
        self.answer.is_some() || self.cut_off || self.deleted
    }

    /// Hands the application all that waits.
    pub(crate) fn release(&mut self) {
        self.stopped = Stopped::No;
        self.collecting = false;
        self.back_pressure = false;
        if self.app.headers.is_none() {
            self.app.headers = Some(self.headers.clone());
        }
        self.app.body.append(&mut self.buffer);
        self.app.trailers = self.trailers.clone();
        self.app.complete = self.ended;
    }
}
