//! Keeping up with the agent's facts: one worker asks for all of them.
//!
//! The proxy's workers share two values: a stamp (which facts there are, when the agent last confirmed them, when it was
//! last asked) and the facts. At each tick a worker reads the stamp, and the facts if they are new to it; where it is
//! time, the one that first moves the stamp asks the agent.

use std::cell::Cell;
use std::time::Duration;

use portcullis_protocol::{LocalFacts, LocalQuery, http};

use super::{ENGINE, Facts, Local};
use crate::config::Config;
use crate::host::{Host, HostError, Token};
use crate::reports;

/// The question under way, and the names of what is shared.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    pending: Cell<Option<(Token, Purpose)>>,
    stamp_key: String,
    facts_key: String,
}

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To learn what is new.
    News,
    /// To find out whether an agent that was left alone is there.
    Probe,
}

/// What a reply to a question meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The agent is there.
    Alive,
    /// It is not, or what it said is nothing that this filter understands.
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp {
    version: i64,
    confirmed: Duration,
    asked: Duration,
}

impl Poll {
    pub(crate) fn new(cluster: &str) -> Self {
        Self {
            pending: Cell::new(None),
            stamp_key: format!("portcullis.local.stamp.{cluster}"),
            facts_key: format!("portcullis.local.facts.{cluster}"),
        }
    }

    /// Reads what other workers have learnt, and asks where it is time. Answers when the agent last spoke.
    pub(crate) fn tick(
        &self,
        host: &impl Host,
        config: &Config,
        local: &Local,
        now: Duration,
    ) -> Option<Duration> {
        let (stamp, token) = self.stamp(host);
        if stamp.version != 0 {
            if stamp.version == local.version() {
                local.learn(None, stamp.confirmed);
            } else if let Ok(Some((bytes, _))) = host.shared_data(&self.facts_key) {
                // Facts of another version than the stamp's are on their way: the next tick will see them.
                if let Ok(facts) = Facts::parse(&bytes, ENGINE)
                    && facts.version == stamp.version
                {
                    local.learn(Some(facts), stamp.confirmed);
                }
            }
        }
        local.look_at_the_age(now, &config.local);
        let due = now.saturating_sub(stamp.asked) >= config.local.poll || stamp.asked > now;
        if due {
            let asked = Stamp { asked: now, ..stamp }.write();
            // Another worker may have been quicker; and an agent that cannot be asked is noticed by its silence.
            let mine = host.set_shared_data(&self.stamp_key, &asked, token);
            let _ = mine.and_then(|()| self.ask(host, config, local.version(), Purpose::News));
        }
        (stamp.version != 0).then_some(stamp.confirmed)
    }

    /// Asks the agent; it need not have news.
    pub(crate) fn ask(
        &self,
        host: &impl Host,
        config: &Config,
        version: i64,
        purpose: Purpose,
    ) -> Result<(), HostError> {
        let module_version = crate::message::MODULE.into();
        let message = LocalQuery { version, module_version }.encode();
        let token = reports::call(host, config, config.scope.default_timeout(), http::LOCAL, &message)?;
        self.pending.set(Some((token, purpose)));
        Ok(())
    }

    /// What the question was for that this is the reply to, if it is one to a question.
    pub(crate) fn takes(&self, token: Token) -> Option<Purpose> {
        let (_, purpose) = self.pending.get().filter(|(asked, _)| *asked == token)?;
        self.pending.set(None);
        Some(purpose)
    }

    /// Takes the agent's answer and shares it.
    pub(crate) fn learn(&self, host: &impl Host, local: Option<&Local>, bytes: &[u8], now: Duration) -> News {
        let Ok(message) = LocalFacts::decode(bytes) else { return News::None };
        let Some(local) = local else { return News::Alive };
        if !message.unchanged {
            let Ok(facts) = Facts::parse(bytes, ENGINE) else { return News::None };
            if host.set_shared_data(&self.facts_key, bytes, 0).is_err() {
                return News::Alive;
            }
            local.learn(Some(facts), now);
        } else if message.version == local.version() {
            local.learn(None, now);
        } else {
            return News::Alive;
        }
        let (stamp, _) = self.stamp(host);
        let stamp = Stamp { version: message.version, confirmed: now, asked: stamp.asked };
        // Whoever else has just moved it has asked the same agent.
        let _ = host.set_shared_data(&self.stamp_key, &stamp.write(), 0);
        News::Alive
    }

    fn stamp(&self, host: &impl Host) -> (Stamp, u32) {
        let shared = host.shared_data(&self.stamp_key).ok().flatten();
        shared.and_then(|(bytes, token)| Some((Stamp::read(&bytes)?, token))).unwrap_or_default()
    }
}

impl Stamp {
    fn write(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes();
        let parts = [self.version.to_le_bytes(), nanos(self.confirmed), nanos(self.asked)];
        for (into, part) in bytes.chunks_exact_mut(8).zip(parts) {
            into.copy_from_slice(&part);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 24] = bytes.try_into().ok()?;
        let mut parts = bytes.chunks_exact(8).filter_map(|part| <[u8; 8]>::try_from(part).ok());
        Some(Self {
            version: i64::from_le_bytes(parts.next()?),
            confirmed: Duration::from_nanos(u64::from_le_bytes(parts.next()?)),
            asked: Duration::from_nanos(u64::from_le_bytes(parts.next()?)),
        })
    }
}
