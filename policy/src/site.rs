//! The settings of a site.

use thiserror::Error;

use crate::decision::Action;
use crate::state::Interval;

/// How a site is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name (`displayName`).
    pub name: String,
    /// What the agent may do (`agentLevel`).
    pub mode: AgentMode,
    /// When it blocks (`immediateBlock`).
    pub blocking: Blocking,
    /// What a blocked client gets (`blockHTTPCode`, `blockRedirectURL`).
    pub(crate) answer: BlockAnswer,
    /// How many attacks flag a client (`attackThresholds`).
    pub attack_thresholds: [AttackThreshold; 3],
    /// For how long, in seconds (`blockDurationSeconds`).
    pub flag_seconds: u32,
    /// Whether addresses are hashed before they are written down (`agentAnonMode`).
    pub anonymize: bool,
    /// Headers that hold the client's address, the first one first (`clientIPRules`); where there is one they replace the
    /// agent's own option.
    pub client_headers: Vec<String>,
    /// Bits of an IPv6 address that make a client (`ipv6Prefix`).
    pub ipv6_prefix: u8,
}

/// How many attacks within which time flag a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttackThreshold {
    /// The time.
    pub interval: Interval,
    /// The attacks.
    pub threshold: u32,
}

impl Default for Site {
    fn default() -> Self {
        let of = |interval, threshold| AttackThreshold { interval, threshold };
        Self {
            name: String::new(),
            mode: AgentMode::default(),
            blocking: Blocking::default(),
            answer: BlockAnswer::default(),
            attack_thresholds: [
                of(Interval::Minute, 50),
                of(Interval::TenMinutes, 350),
                of(Interval::Hour, 1800),
            ],
            flag_seconds: 86_400,
            anonymize: false,
            client_headers: Vec::new(),
            ipv6_prefix: 64,
        }
    }
}

impl Site {
    /// What happens to a request that is stopped.
    pub fn block_action(&self) -> Action {
        self.answer.action()
    }
}

/// What the agent may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentMode {
    /// Look and stop.
    Block,
    /// Look only.
    #[default]
    Log,
    /// Not even look.
    Off,
}

/// When an agent that may block does so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocking {
    /// At the first attack signal.
    Immediate,
    /// Only requests from addresses that were flagged; a single attack passes.
    #[default]
    OnceFlagged,
}

/// A status that can stand for a block: 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockCode(u16);

impl BlockCode {
    /// The status as a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for BlockCode {
    fn default() -> Self {
        Self(406)
    }
}

impl TryFrom<i64> for BlockCode {
    type Error = BlockCodeError;

    fn try_from(code: i64) -> Result<Self, Self::Error> {
        match u16::try_from(code) {
            Ok(valid @ 400..=599) => Ok(Self(valid)),
            _ => Err(BlockCodeError { code }),
        }
    }
}

/// A number that can not stand for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{code} is not 301, 302 or 400 to 599")]
pub struct BlockCodeError {
    /// The number.
    pub code: i64,
}

/// A status and a place to send the client to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    code: u16,
    location: String,
}

impl Redirect {
    /// Bytes that a location may have: it must fit a module's reply, together with an id and tags.
    pub const MAX_LOCATION: usize = 512;

    /// Checks that `location` can be a Location header.
    pub(crate) fn new(code: u16, location: String) -> Result<Self, RedirectError> {
        if location.len() > Self::MAX_LOCATION {
            return Err(RedirectError::TooLong { limit: Self::MAX_LOCATION });
        }
        if !["http://", "https://", "/"].iter().any(|start| location.starts_with(start)) {
            return Err(RedirectError::NotAUrl);
        }
        match location.bytes().find(|byte| !byte.is_ascii_graphic()) {
            Some(byte) => Err(RedirectError::Byte { byte }),
            None => Ok(Self { code, location }),
        }
    }

    /// The status, 301 or 302.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The value of the Location header.
    pub fn location(&self) -> &str {
        &self.location
    }
}

/// What is wrong with a place to send clients to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// It has more bytes than a reply has room for.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// It is neither absolute nor a path.
    #[error("neither an http or https URL nor a path")]
    NotAUrl,
    /// It has a byte that no URL has.
    #[error("byte {byte:#04x} can not stand in a URL")]
    Byte {
        /// The byte.
        byte: u8,
    },
}

/// Why a status and a target do not make an answer to a blocked client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The status of a block.
    #[error(transparent)]
    BlockCode(#[from] BlockCodeError),
    /// The target of a redirect.
    #[error("redirect target: {0}")]
    Redirect(#[from] RedirectError),
    /// A redirect without target.
    #[error("{code} needs a redirect URL")]
    NoLocation {
        /// The status.
        code: i64,
    },
    /// A target without redirect.
    #[error("a redirect URL needs a code of 301 or 302, not {code}")]
    NoRedirect {
        /// The status.
        code: i64,
    },
}

/// What a blocked client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockAnswer {
    Status(BlockCode),
    Redirect(Redirect),
}

impl Default for BlockAnswer {
    fn default() -> Self {
        Self::Status(BlockCode::default())
    }
}

impl BlockAnswer {
    /// Checks that a status and a target go together.
    pub(crate) fn new(code: i64, location: Option<String>) -> Result<Self, AnswerError> {
        // An empty target is how exported settings say that there is none.
        let location = location.filter(|location| !location.is_empty());
        Ok(match (code, location) {
            (301, Some(location)) => Self::Redirect(Redirect::new(301, location)?),
            (302, Some(location)) => Self::Redirect(Redirect::new(302, location)?),
            (301 | 302, None) => return Err(AnswerError::NoLocation { code }),
            (_, Some(_)) => return Err(AnswerError::NoRedirect { code }),
            (_, None) => Self::Status(BlockCode::try_from(code)?),
        })
    }

    /// What it is to the request.
    pub(crate) fn action(&self) -> Action {
        match self {
            Self::Status(code) => Action::Block { code: *code },
            Self::Redirect(redirect) => Action::Redirect { redirect: redirect.clone() },
        }
    }
}
