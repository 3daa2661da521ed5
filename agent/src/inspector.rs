//! The one door: a request in, an answer out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use portcullis_config::Settings;
use portcullis_detect::{Response, Signals, Tag};
use portcullis_policy::{Decision, Facts, FollowUp, State};
use tracing::error;

use crate::answer::{Answer, Judged, NotInspected, tag_list};
use crate::client::Clients;
use crate::headers::{Facts as Filling, TemplateError, Templates};
use crate::ids::Ids;
use crate::record::{Author, Record};
use crate::request::Request;
use crate::snapshot::Snapshot;
use portcullis_policy::redact;

/// Judges requests.
#[derive(Debug)]
pub struct Inspector {
    snapshot: ArcSwap<Snapshot>,
    state: Arc<State>,
    ids: Ids,
    options: Options,
    seen: AtomicU64,
}

/// What the configuration says about inspection, as against the policy.
#[derive(Clone, Debug)]
pub struct Options {
    processing: Processing,
    /// Of a hundred requests, how many are inspected.
    sample: u64,
    clients: Clients,
    headers: Templates,
    author: Author,
    /// Which requests are written down.
    pub recording: Recording,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processing {
    Enabled,
    Disabled,
}

/// Which requests are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// None.
    Off,
    /// Those in which something was found.
    Signalled,
    /// All.
    Every,
}

/// What came of a request, before anything is done about it.
#[derive(Debug)]
pub struct Inspected {
    /// What the caller is told.
    pub answer: Answer,
    /// How the request got there.
    pub course: Course,
    /// Its record, where one is wanted.
    pub record: Option<Box<Record>>,
    /// Its path, where the response is wanted.
    pub path: Vec<u8>,
}

/// How a request came to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It was inspected, all of it.
    Inspected,
    /// It was inspected until a budget was spent.
    Limited,
    /// The policy says not to look.
    Unwatched,
    /// It was not in the sample.
    Unsampled,
    /// It should have been inspected and was not.
    NotInspected,
}

impl Options {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// When a header in `custom-request-headers` can not be sent.
    pub fn new(settings: &Settings, hostname: Arc<str>) -> Result<Self, TemplateError> {
        let recording = match (settings.waf_data_log.as_ref(), *settings.waf_data_log_all) {
            (None, _) => Recording::Off,
            (Some(_), false) => Recording::Signalled,
            (Some(_), true) => Recording::Every,
        };
        let processing =
            if *settings.debug_disable_processing { Processing::Disabled } else { Processing::Enabled };
        Ok(Self {
            processing,
            sample: u64::from(settings.sample_percent.0),
            clients: Clients::new(settings),
            headers: Templates::new(&settings.custom_request_headers)?,
            author: Author { hostname, flavor: settings.server_flavor.value.clone() },
            recording,
        })
    }
}

impl Inspector {
    /// Judges by `snapshot` until it is replaced, and by what `state` remembers.
    pub fn new(snapshot: Snapshot, state: Arc<State>, options: Options) -> Self {
        let snapshot = ArcSwap::from_pointee(snapshot);
        Self { snapshot, state, ids: Ids::default(), options, seen: AtomicU64::new(0) }
    }

    /// Judges the requests that come from now on by `snapshot`.
    pub fn replace(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Which requests are written down.
    pub fn recording(&self) -> Recording {
        self.options.recording
    }

    /// Judges `request`. This is CPU work, linear in the request and bounded by the engine's budgets.
    pub fn inspect(&self, request: &Request<'_>) -> Inspected {
        if self.options.processing == Processing::Disabled {
            return Inspected::not(NotInspected::Disabled);
        }
        // Taken once: a request is judged by one policy from beginning to end.
        let snapshot = self.snapshot.load();
        if !snapshot.policy.inspects() {
            return Inspected::unseen(Course::Unwatched);
        }
        if !self.is_in_the_sample() {
            return Inspected::unseen(Course::Unsampled);
        }
        // A fault in the engine must cost one verdict, not a thread and whatever else runs on it.
        let client = self.options.clients.address(request.seen.headers, request.remote_addr);
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        let judge = || {
            let signals = snapshot.engine.inspect(&request.seen);
            let facts = Facts::new(&request.seen, client);
            (snapshot.policy.decide(&facts, &signals, self.state.at(now)), signals)
        };
        match catch_unwind(AssertUnwindSafe(judge)) {
            Ok((decision, signals)) => self.inspected(&Request { client, ..*request }, decision, &signals),
            Err(_) => {
                error!("inspection failed; the request passes");
                Inspected::not(NotInspected::Faulted)
            }
        }
    }

    /// What `response` says about its request.
    pub fn inspect_response(&self, response: &Response<'_>) -> Signals {
        let snapshot = self.snapshot.load();
        if snapshot.policy.inspects() {
            snapshot.engine.inspect_response(response)
        } else {
            Signals::default()
        }
    }

    /// Writes down a request that is reported together with its response; `code` is the verdict it had.
    pub fn record(&self, request: &Request<'_>, code: i32) -> Box<Record> {
        let client = self.options.clients.address(request.seen.headers, request.remote_addr);
        let request = Request { client, ..*request };
        Box::new(Record::new(&self.options.author, &request, &Signals::default(), None, code))
    }

    fn inspected(&self, request: &Request<'_>, verdict: Decision, signals: &Signals) -> Inspected {
        let wanted = match (self.options.recording, verdict.follow_up) {
            (Recording::Off, FollowUp::Always) => (true, false),
            (Recording::Signalled, FollowUp::Always) | (Recording::Every, _) => (true, true),
            (Recording::Off | Recording::Signalled, FollowUp::IfAnomalous) => (false, false),
        };
        let (follow, record) = wanted;
        let id = follow.then(|| self.ids.make());
        let code = i32::from(verdict.code());
        let record = record.then(|| Box::new(Record::new(&self.options.author, request, signals, id, code)));
        let (id_text, tags) = (id.map(|id| id.to_string()).unwrap_or_default(), tag_list(&verdict));
        let headers = self.options.headers.fill(Filling { code, id: &id_text, tags: &tags });
        let course =
            if verdict.tags.contains(&Tag::InspectionLimit) { Course::Limited } else { Course::Inspected };
        let judged =
            Judged { verdict: Box::new(verdict), id, forged_tags: request.has_forged_tags(), headers };
        let path = if follow { path(request.seen.target) } else { Vec::new() };
        Inspected { answer: Answer::Judged(judged), course, record, path }
    }

    /// Spreads the sample evenly over the requests.
    fn is_in_the_sample(&self) -> bool {
        let percent = self.options.sample;
        if percent >= 100 {
            return true;
        }
        let turn = self.seen.fetch_add(1, Ordering::Relaxed) % 100;
        (turn + 1) * percent / 100 > turn * percent / 100
    }
}

impl Inspected {
    /// A request that is not inspected though it should be.
    pub fn not(reason: NotInspected) -> Self {
        Self {
            answer: Answer::NotInspected(reason),
            course: Course::NotInspected,
            record: None,
            path: Vec::new(),
        }
    }

    fn unseen(course: Course) -> Self {
        let verdict = Box::new(Decision::unwatched());
        let judged = Judged { verdict, id: None, forged_tags: false, headers: Vec::new() };
        Self { answer: Answer::Judged(judged), course, record: None, path: Vec::new() }
    }
}

/// What is kept of a target until the response: what the response says depends on the path alone.
fn path(target: &[u8]) -> Vec<u8> {
    let path = redact::without_query(target);
    path.get(..MOST_PATH).unwrap_or(path).to_vec()
}

/// Bytes of it.
const MOST_PATH: usize = 1024;

#[cfg(test)]
mod tests;
