//! What is decided about one request, and why.

use std::sync::Arc;

use portcullis_detect::{Signal, Signals, Tag};

use crate::respond::Remembered;
use crate::site::{BlockCode, Redirect};
use crate::state::{Change, Client, Flag, FlagKind, Interval};

/// What happens to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It reaches the application.
    Allow,
    /// The client is answered with a status.
    Block {
        /// The status.
        code: BlockCode,
    },
    /// The client is sent elsewhere.
    Redirect {
        /// Status and target.
        redirect: Redirect,
    },
}

/// When the caller is to report the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowUp {
    /// Whatever it is: the request is worth a record.
    Always,
    /// Only if the response is out of the ordinary.
    IfAnomalous,
}

/// Whether the request is to be written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logging {
    /// As the signals say.
    #[default]
    Sampled,
    /// Whatever the signals say: a rule asks for it.
    Always,
    /// Not, though it has signals: a rule asks for that.
    Never,
}

/// What decided that a request is stopped, challenged or let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The address is on the allow list.
    AllowList {
        /// Its entry.
        source: Arc<str>,
    },
    /// A rule allows the request.
    AllowRule {
        /// Its id.
        rule: Arc<str>,
    },
    /// A rule blocks, deceives or challenges.
    Rule {
        /// Its id.
        rule: Arc<str>,
    },
    /// The address is on the block list.
    BlockList {
        /// Its entry.
        source: Arc<str>,
    },
    /// The client is over a rate limit.
    RateLimit {
        /// The id of its rule.
        rule: Arc<str>,
    },
    /// The client is flagged and the request carries an attack.
    Flagged {
        /// The signal for which it was flagged.
        cause: Arc<str>,
    },
    /// The request carries an attack that is blocked at once.
    Immediate {
        /// The signal.
        signal: Arc<str>,
    },
}

/// A signal that the policy added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Its name: `site.scraper`, `LOGINATTEMPT`.
    pub signal: Arc<str>,
    /// The rule that added it, by its id; the name of the mechanism where there is no rule.
    pub detector: Arc<str>,
}

/// A body for a client that is stopped with more than a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Media type.
    pub content_type: &'static str,
    /// Headers that go with it: names in lower case, and values.
    pub headers: &'static [(&'static str, &'static str)],
    /// The bytes.
    pub body: Vec<u8>,
}

impl Page {
    /// All its headers, the media type first.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        [("content-type", self.content_type)].into_iter().chain(self.headers.iter().copied())
    }
}

/// An edit of the response's headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// One more of the name.
    Add(Arc<str>, Arc<str>),
    /// One of the name, whatever there was.
    Set(Arc<str>, Arc<str>),
    /// None of the name.
    Delete(Arc<str>),
}

/// What happened beside the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client's count came to a threshold, whether or not that flagged the client.
    Reached {
        /// The client.
        client: Client,
        /// The threshold's name.
        threshold: Arc<str>,
        /// The signal that is counted.
        signal: Arc<str>,
        /// What its flags mean.
        kind: FlagKind,
        /// Its interval.
        interval: Interval,
        /// How many there are within that.
        count: u32,
        /// How many it takes.
        limit: u32,
    },
    /// A threshold was reached, and flagged the client. To be in a journal before the verdict is given.
    Flagged {
        /// The flag.
        flag: Flag,
        /// The threshold's name.
        threshold: Arc<str>,
        /// Its interval.
        interval: Interval,
        /// How many there were.
        count: u32,
    },
    /// A rate limit was reached.
    RateLimited {
        /// Its rule's id.
        rule: Arc<str>,
        /// For how long the client is limited, in seconds.
        seconds: u32,
    },
}

impl Event {
    /// What a journal has to keep of it.
    pub fn change(&self) -> Option<Change> {
        match self {
            Self::Flagged { flag, .. } => Some(Change::Set(flag.clone())),
            Self::Reached { .. } | Self::RateLimited { .. } => None,
        }
    }

    /// Whether it is about a flag that blocks.
    pub fn blocks(&self) -> bool {
        matches!(self, Self::Flagged { flag: Flag { kind: FlagKind::Block, .. }, .. })
    }
}

/// What is decided about one request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What happens to the request.
    pub action: Action,
    /// A body that goes with a block: a challenge, or a deception.
    pub page: Option<Page>,
    /// What was found in it, each tag once, sorted, without what rules exclude.
    pub tags: Vec<Tag>,
    /// What the policy added.
    pub added: Vec<Added>,
    /// Findings that rules exclude, by their index.
    pub excluded: Vec<usize>,
    /// When the response is to be reported.
    pub follow_up: FollowUp,
    /// Whether the request is to be written down.
    pub logging: Logging,
    /// What decided; none where nothing had to.
    pub cause: Option<Cause>,
    /// What would have been done if the mode were to block; none where it is, or nothing would.
    pub would: Option<Action>,
    /// Edits of the response's headers.
    pub headers: Vec<HeaderEdit>,
    /// What happened beside.
    pub events: Vec<Event>,
    /// What is kept for the response; none where nothing asks about it.
    pub remembered: Option<Remembered>,
    /// What led here, in order; filled by [`Policy::explain`](crate::Policy::explain) only.
    pub trail: Vec<String>,
}

impl Decision {
    /// The decision on a request that is let pass without being looked at, as the policy says.
    pub const fn unwatched() -> Self {
        Self::pass(Vec::new(), FollowUp::IfAnomalous)
    }

    /// A request in which `tags` were found passes.
    pub const fn pass(tags: Vec<Tag>, follow_up: FollowUp) -> Self {
        Self {
            action: Action::Allow,
            page: None,
            tags,
            added: Vec::new(),
            excluded: Vec::new(),
            follow_up,
            logging: Logging::Sampled,
            cause: None,
            would: None,
            headers: Vec::new(),
            events: Vec::new(),
            remembered: None,
            trail: Vec::new(),
        }
    }

    /// The agent response code: 200 lets the request pass, another is the status that the client gets.
    pub fn code(&self) -> u16 {
        match &self.action {
            Action::Allow => 200,
            Action::Block { code } => code.get(),
            Action::Redirect { redirect } => redirect.code(),
        }
    }

    /// Where a redirected client is sent.
    pub fn location(&self) -> Option<&str> {
        match &self.action {
            Action::Allow | Action::Block { .. } => None,
            Action::Redirect { redirect } => Some(redirect.location()),
        }
    }

    /// The names of all signals: those that were found, then those that the policy added, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let added = self.added.iter().enumerate().filter(|(index, added)| {
            let before = self.added.get(..*index).unwrap_or_default();
            !before.iter().any(|other| other.signal == added.signal)
        });
        self.tags.iter().map(|tag| tag.as_str()).chain(added.map(|(_, added)| &*added.signal))
    }

    /// The findings that rules do not exclude.
    pub fn kept<'s>(&'s self, signals: &'s Signals) -> impl Iterator<Item = &'s Signal> {
        let kept = |(index, _): &(usize, &Signal)| !self.excluded.contains(index);
        signals.iter().enumerate().filter(kept).map(|(_, signal)| signal)
    }
}
