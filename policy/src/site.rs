//! The settings of a site.

use serde::Deserialize;
use thiserror::Error;

use crate::verdict::Action;

/// How a site is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WireSite")]
pub struct Site {
    /// What the agent may do (`agentLevel`).
    pub mode: AgentMode,
    /// When it blocks (`immediateBlock`).
    pub blocking: Blocking,
    /// What a blocked client gets (`blockHTTPCode`, `blockRedirectURL`).
    answer: BlockAnswer,
}

impl Site {
    /// What happens to a request that is stopped.
    pub fn block_action(&self) -> Action {
        match &self.answer {
            BlockAnswer::Status(code) => Action::Block { code: *code },
            BlockAnswer::Redirect(redirect) => Action::Redirect { redirect: redirect.clone() },
        }
    }
}

/// What the agent may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    fn new(code: u16, location: String) -> Result<Self, RedirectError> {
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

/// Why settings that are valid one by one do not make a site.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The status of a block.
    #[error("blockHTTPCode: {0}")]
    BlockCode(#[from] BlockCodeError),
    /// The target of a redirect.
    #[error("blockRedirectURL: {0}")]
    Redirect(#[from] RedirectError),
    /// A redirect without target.
    #[error("blockHTTPCode: {code} needs a blockRedirectURL")]
    NoLocation {
        /// The status.
        code: i64,
    },
    /// A target without redirect.
    #[error("blockRedirectURL: needs a blockHTTPCode of 301 or 302, not {code}")]
    NoRedirect {
        /// The status.
        code: i64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum BlockAnswer {
    Status(BlockCode),
    Redirect(Redirect),
}

impl Default for BlockAnswer {
    fn default() -> Self {
        Self::Status(BlockCode::default())
    }
}

/// A site as the policy file has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct WireSite {
    agent_level: AgentMode,
    immediate_block: bool,
    #[serde(rename = "blockHTTPCode")]
    block_http_code: Option<i64>,
    #[serde(rename = "blockRedirectURL")]
    block_redirect_url: Option<String>,
}

impl TryFrom<WireSite> for Site {
    type Error = SiteError;

    fn try_from(wire: WireSite) -> Result<Self, Self::Error> {
        let code = wire.block_http_code.unwrap_or(i64::from(BlockCode::default().get()));
        // An empty target is how exported settings say that there is none.
        let location = wire.block_redirect_url.filter(|location| !location.is_empty());
        let answer = match (code, location) {
            (301, Some(location)) => BlockAnswer::Redirect(Redirect::new(301, location)?),
            (302, Some(location)) => BlockAnswer::Redirect(Redirect::new(302, location)?),
            (301 | 302, None) => return Err(SiteError::NoLocation { code }),
            (_, Some(_)) => return Err(SiteError::NoRedirect { code }),
            (_, None) => BlockAnswer::Status(BlockCode::try_from(code)?),
        };
        let blocking = if wire.immediate_block { Blocking::Immediate } else { Blocking::OnceFlagged };
        Ok(Self { mode: wire.agent_level, blocking, answer })
    }
}
