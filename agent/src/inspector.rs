//! The one door: a request in, an answer out.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use portcullis_config::Settings;
use portcullis_detect::{Response, Signals, Tag};
use portcullis_policy::{
    Client, Decision, Event, Facts, Flag, FlagKind, FollowUp, Logging, Policy, Remembered, post_parameters,
    redact,
};
use portcullis_protocol::LocalFacts;
use tracing::error;

use crate::anonymous::Anonymous;
use crate::answer::{Answer, Judged, NotInspected, tag_list};
use crate::client::Clients;
use crate::clock;
use crate::headers::{Facts as Filling, TemplateError, Templates};
use crate::ids::Ids;
use crate::known;
use crate::local::{self, Circumstances, Every};
use crate::record::{Author, Found, Record};
use crate::request::Request;
use crate::snapshot::Snapshot;
use crate::state::Keeping;

/// Judges requests.
#[derive(Debug)]
pub struct Inspector {
    snapshot: ArcSwap<Snapshot>,
    keeping: Arc<Keeping>,
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
    /// What its response is judged by, where the policy wants to see it.
    pub awaited: Option<Box<Awaited>>,
    /// Whose request it is, where that is known.
    pub client: Option<IpAddr>,
}

/// What a response is judged by: the policy that judged its request, and what that has kept of it.
#[derive(Clone, Debug)]
pub struct Awaited {
    snapshot: Arc<Snapshot>,
    remembered: Remembered,
}

/// What a response says.
#[derive(Debug)]
pub struct Responded {
    /// What was found in it.
    pub signals: Signals,
    /// What the policy makes of it.
    pub decision: Decision,
}

/// How much time a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As much as the engine's budgets allow.
    Whole,
    /// So little that others can wait for it.
    Brief,
    /// As much as the budgets allow, after a brief look was not enough.
    Rest,
}

/// Steps of the engine in a brief look: 64 KB of ordinary text take 7,500 of them, in a tenth of a millisecond; the dearest
/// take about a millisecond.
const BRIEF_STEPS: usize = 12_000;

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
        let wanted = settings.waf_data_log.as_ref().is_some() || !settings.otlp_logs_url.is_empty();
        let recording = match (wanted, *settings.waf_data_log_all) {
            (false, _) => Recording::Off,
            (true, false) => Recording::Signalled,
            (true, true) => Recording::Every,
        };
        let key = match settings.anonymous_ip_secret_key.expose() {
            "" => settings.secretaccesskey.expose(),
            key => key,
        };
        let processing =
            if *settings.debug_disable_processing { Processing::Disabled } else { Processing::Enabled };
        let clients = Clients::new(settings);
        Ok(Self {
            processing,
            sample: u64::from(settings.sample_percent.0),
            headers: Templates::new(&settings.custom_request_headers)?,
            author: Author {
                hostname,
                flavor: settings.server_flavor.value.clone(),
                anonymous: Anonymous::new(key.as_bytes()),
                address_headers: clients.headers().to_vec(),
            },
            clients,
            recording,
        })
    }
}

impl Inspector {
    /// Judges by `snapshot` until it is replaced, and by what `keeping` remembers.
    pub fn new(snapshot: Snapshot, keeping: Arc<Keeping>, options: Options) -> Self {
        let snapshot = ArcSwap::from_pointee(snapshot);
        Self { snapshot, keeping, ids: Ids::default(), options, seen: AtomicU64::new(0) }
    }

    /// Judges the requests that come from now on by `snapshot`, and returns the one before it: those under way still have
    /// it.
    pub fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        self.snapshot.swap(Arc::new(snapshot))
    }

    /// Which requests are written down.
    pub fn recording(&self) -> Recording {
        self.options.recording
    }

    /// Judges `request`. This is CPU work, linear in the request and bounded by the engine's budgets.
    pub fn inspect(&self, request: &Request<'_>) -> Inspected {
        // Only a brief look can be in vain.
        self.inspect_with(request, Effort::Whole).unwrap_or_else(Inspected::faulted)
    }

    /// Judges `request` if `effort` is enough for it; a brief look may not be.
    pub fn inspect_with(&self, request: &Request<'_>, effort: Effort) -> Option<Inspected> {
        if self.options.processing == Processing::Disabled {
            return Some(Inspected::not(NotInspected::Disabled));
        }
        // Taken once: a request is judged by one policy from beginning to end.
        let snapshot = self.snapshot.load();
        if !snapshot.policy.inspects() {
            return Some(Inspected::unseen(Course::Unwatched));
        }
        // What was looked at briefly has been in the sample.
        if effort != Effort::Rest && !self.is_in_the_sample() {
            return Some(Inspected::unseen(Course::Unsampled));
        }
        let policy = &snapshot.policy;
        let client = self.client(policy, request);
        let country = match (policy.needs().country, client, &snapshot.countries) {
            (true, Some(client), Some(countries)) => countries.of(client).unwrap_or_default(),
            _ => "",
        };
        let now = clock::millis();
        // A fault in the engine must cost one verdict, not a thread and whatever else runs on it.
        let judge = || {
            let engine = (&snapshot.engine, snapshot.number);
            let signals = known::inspect(engine, &request.seen, |engine, known| match effort {
                Effort::Brief => engine.inspect_briefly(&request.seen, known, BRIEF_STEPS),
                Effort::Whole | Effort::Rest => Some(engine.inspect_unknown(&request.seen, known)),
            })?;
            // Read once more, without looking for anything: only where a rule asks for it.
            let post = match policy.needs().post {
                true => post_parameters(&snapshot.engine, &request.seen),
                false => Vec::new(),
            };
            let mut facts = Facts::new(&request.seen, client);
            facts.post = &post;
            facts.country = country;
            facts.agent = &self.options.author.hostname;
            (facts.ja3, facts.ja4) = (request.ja3, request.ja4);
            Some((policy.decide(&facts, &signals, self.keeping.state().at(now)), signals))
        };
        match catch_unwind(AssertUnwindSafe(judge)) {
            Ok(judged) => {
                let (decision, signals) = judged?;
                let request = Request { client, ..*request };
                Some(self.inspected(&request, &snapshot, (&signals, decision), now))
            }
            Err(_) => {
                error!("inspection failed; the request passes");
                Some(Inspected::faulted())
            }
        }
    }

    /// The answer for a filter that judges by itself and has facts of the version `known`.
    pub fn local_facts(&self, known: i64) -> Vec<u8> {
        let snapshot = self.snapshot.load();
        let options = &self.options;
        // Whoever wants something of each request, a record or a header, must see it.
        let every = options.processing == Processing::Disabled
            || options.recording == Recording::Every
            || options.sample < 100
            || !options.headers.is_empty();
        let named = &snapshot.policy.site.client_headers;
        let address_headers = if named.is_empty() { options.clients.headers() } else { named };
        let circumstances =
            Circumstances { every: if every { Every::Wanted } else { Every::Unwanted }, address_headers };
        let policy = snapshot.policy.local_facts(self.keeping.state(), clock::millis(), local::MOST);
        let facts = local::facts(&policy, circumstances);
        if facts.version == known {
            return LocalFacts { version: known, unchanged: true, ..LocalFacts::default() }.encode();
        }
        facts.encode()
    }

    /// What `response` says about its request; `awaited` is what was kept of that.
    pub fn respond(&self, response: &Response<'_>, awaited: Option<&Awaited>) -> Responded {
        let current = self.snapshot.load();
        let snapshot = awaited.map_or(&**current, |awaited| &awaited.snapshot);
        if !snapshot.policy.inspects() {
            return Responded { signals: Signals::default(), decision: Decision::unwatched() };
        }
        let judge = || {
            let signals = snapshot.engine.inspect_response(response);
            let decision = match awaited {
                Some(Awaited { remembered, .. }) => {
                    let moment = self.keeping.state().at(clock::millis());
                    snapshot.policy.respond(remembered, response, &signals, moment)
                }
                None => {
                    let tags = signals.iter().map(|signal| signal.tag).collect();
                    Decision::pass(tags, FollowUp::IfAnomalous)
                }
            };
            Responded { signals, decision }
        };
        catch_unwind(AssertUnwindSafe(judge)).unwrap_or_else(|_| {
            error!("the inspection of a response failed");
            Responded { signals: Signals::default(), decision: Decision::unwatched() }
        })
    }

    /// Writes down a request that is reported together with its response; `code` is the verdict it had.
    pub fn record(&self, request: &Request<'_>, code: i32) -> Box<Record> {
        let snapshot = self.snapshot.load();
        let request = Request { client: self.client(&snapshot.policy, request), ..*request };
        let (signals, decision) = (Signals::default(), Decision::unwatched());
        let found = Found { policy: &snapshot.policy, signals: &signals, decision: &decision };
        Box::new(Record::new(&self.options.author, &request, found, None, code))
    }

    /// What is remembered of clients.
    pub fn keeping(&self) -> &Arc<Keeping> {
        &self.keeping
    }

    /// What stands for addresses, where the site asks for that.
    pub fn hidden(&self) -> Option<&Anonymous> {
        self.snapshot.load().policy.site.anonymize.then_some(&self.options.author.anonymous)
    }

    /// The policy in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    fn client(&self, policy: &Policy, request: &Request<'_>) -> Option<IpAddr> {
        // Where the caller knows it, headers are not asked.
        request.client.or_else(|| {
            self.options.clients.address_by(
                &policy.site.client_headers,
                request.seen.headers,
                request.remote_addr,
            )
        })
    }

    fn inspected(
        &self,
        request: &Request<'_>,
        snapshot: &Arc<Snapshot>,
        (signals, mut decision): (&Signals, Decision),
        now: u64,
    ) -> Inspected {
        let recorded = match (self.options.recording, decision.logging) {
            (Recording::Off, _) | (Recording::Signalled, Logging::Never) => false,
            (Recording::Every, _) | (Recording::Signalled, Logging::Always) => true,
            (Recording::Signalled, Logging::Sampled) => decision.names().next().is_some(),
        };
        let follow = recorded || decision.follow_up == FollowUp::Always;
        let id = follow.then(|| self.ids.make());
        let code = i32::from(decision.code());
        let found = Found { policy: &snapshot.policy, signals, decision: &decision };
        let author = &self.options.author;
        let record = recorded.then(|| Box::new(Record::new(author, request, found, id, code)));
        let (id_text, tags) = (id.map(|id| id.to_string()).unwrap_or_default(), tag_list(&decision));
        let headers = self.options.headers.fill(Filling { code, id: &id_text, tags: &tags });
        let course =
            if decision.tags.contains(&Tag::InspectionLimit) { Course::Limited } else { Course::Inspected };
        self.note(&decision, request.client, snapshot, now);
        let awaited = decision
            .remembered
            .take()
            .map(|remembered| Box::new(Awaited { snapshot: Arc::clone(snapshot), remembered }));
        let judged = Judged {
            verdict: Box::new(decision),
            id,
            forged_tags: request.has_forged_tags(),
            headers,
            asks_response: awaited.as_ref().is_some_and(|awaited| awaited.remembered.acts()),
        };
        let path = if follow { path(request.seen.target) } else { Vec::new() };
        Inspected { answer: Answer::Judged(judged), course, record, path, awaited, client: request.client }
    }

    /// Has the journal know of the flags that `decision` made or relies on.
    fn note(&self, decision: &Decision, client: Option<IpAddr>, snapshot: &Snapshot, now: u64) {
        for event in &decision.events {
            if let Event::Flagged { flag, .. } = event {
                self.keeping.flagged(flag);
            }
        }
        if let Some(flag) = self.relied_on(decision, client, snapshot, now) {
            self.keeping.relies(&flag, now);
        }
    }

    fn relied_on(
        &self,
        decision: &Decision,
        client: Option<IpAddr>,
        snapshot: &Snapshot,
        now: u64,
    ) -> Option<Flag> {
        if !decision.added.iter().any(|added| &*added.signal == SITE_FLAGGED) {
            return None;
        }
        let client = Client::new(client?, snapshot.policy.site.ipv6_prefix);
        self.keeping.state().flagged(client, FlagKind::Block, now)
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
            awaited: None,
            client: None,
        }
    }

    /// A request in which the inspection ended by a fault of our own.
    pub fn faulted() -> Self {
        Self::not(NotInspected::Faulted)
    }

    fn unseen(course: Course) -> Self {
        let verdict = Box::new(Decision::unwatched());
        let judged =
            Judged { verdict, id: None, forged_tags: false, headers: Vec::new(), asks_response: false };
        Self {
            answer: Answer::Judged(judged),
            course,
            record: None,
            path: Vec::new(),
            awaited: None,
            client: None,
        }
    }
}

/// Requests of a flagged client carry it.
pub(crate) const SITE_FLAGGED: &str = "SITE-FLAGGED-IP";

/// What is kept of a target until the response: what the response says depends on the path alone.
fn path(target: &[u8]) -> Vec<u8> {
    let path = redact::without_query(target);
    path.get(..MOST_PATH).unwrap_or(path).to_vec()
}

/// Bytes of it.
const MOST_PATH: usize = 1024;

#[cfg(test)]
mod tests;
