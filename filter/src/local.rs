//! Judging in the filter itself: the engine, and what the agent says about when its findings are enough.

mod facts;
mod poll;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use portcullis_detect::{Engine, Header, Kind, Memo, Request, Signals, Tag};

use crate::config;
use crate::host::Host;
use crate::message::{Body, Extent, Facts as Seen};

pub(crate) use facts::{Block, Facts};
pub(crate) use poll::{News, Poll, Purpose};

/// The filter's own judge.
#[derive(Debug, Default)]
pub(crate) struct Local {
    engine: RefCell<Option<Rc<Engine>>>,
    /// What the engine has found nothing in; another engine begins anew.
    memo: RefCell<Memo>,
    facts: RefCell<Option<Rc<Facts>>>,
    /// When the agent last said that the facts hold.
    confirmed: Cell<Option<Duration>>,
    age: Cell<Age>,
    /// Requests since the age was looked at.
    unchecked: Cell<u32>,
}

/// Whether the facts may be relied upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Age {
    Fresh,
    #[default]
    Stale,
}

/// What came of a request in the filter's engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The names of the signals, each once, separated by commas; empty where there are none.
    pub(crate) tags: String,
    pub(crate) attack: Attack,
}

/// Whether there is an attack among the signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Attack {
    Yes,
    #[default]
    No,
}

/// Whether the filter's finding is the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reliance {
    /// Nothing was found, and nothing else about the request matters.
    Enough,
    /// The agent must be asked.
    Ask,
}

impl Local {
    /// Makes the engine, unless the previous configuration had one.
    pub(crate) fn start(&self, previous: &Local) {
        let engine = previous.engine.borrow().clone();
        *self.engine.borrow_mut() = engine.or_else(shared_engine);
        self.facts.replace(previous.facts.borrow().clone());
        self.confirmed.set(previous.confirmed.get());
        self.age.set(previous.age.get());
    }

    /// Looks at a request.
    pub(crate) fn judge(
        &self,
        host: &impl Host,
        settings: &config::Local,
        seen: &Seen,
        body: Body<'_>,
    ) -> (Found, Reliance) {
        let engine = self.engine.borrow().clone();
        // Without an engine nothing is found, and nothing is relied upon.
        let Some(engine) = engine else { return (Found::default(), Reliance::Ask) };
        let request = View::new(seen);
        let request = request.request(seen, body);
        let looked = self.memo.borrow().look(request.headers);
        let found = Found::of(&engine.inspect_unknown(&request, looked.known()));
        if found.tags.is_empty() {
            self.memo.borrow_mut().learn(request.headers, &looked);
        }
        let enough = found.tags.is_empty()
            && self.is_fresh(host, settings)
            && self.facts().is_some_and(|facts| !facts.concern(&request, || crate::message::peer(host)));
        (found, if enough { Reliance::Enough } else { Reliance::Ask })
    }

    /// What the client gets for what was found, where such findings are stopped at once, as far as the agent has ever
    /// said.
    pub(crate) fn stop(&self, host: &impl Host, found: &Found) -> Option<Block> {
        if found.tags.is_empty() {
            return None;
        }
        self.facts()?.stop(&found.tags, found.attack, || crate::message::peer(host)).cloned()
    }

    fn facts(&self) -> Option<Rc<Facts>> {
        self.facts.borrow().clone()
    }

    /// The timer looks at the age. Should the timer have stopped, every so many requests do.
    fn is_fresh(&self, host: &impl Host, settings: &config::Local) -> bool {
        let unchecked = self.unchecked.get() + 1;
        self.unchecked.set(unchecked);
        if unchecked >= MAX_UNCHECKED {
            self.look_at_the_age(host.now(), settings);
        }
        self.age.get() == Age::Fresh
    }

    fn look_at_the_age(&self, now: Duration, settings: &config::Local) {
        self.unchecked.set(0);
        // Where the clock was set back nobody knows how old they are.
        let age = self.confirmed.get().and_then(|then| now.checked_sub(then));
        let fresh = age.is_some_and(|age| age <= settings.max_age);
        self.age.set(if fresh { Age::Fresh } else { Age::Stale });
    }

    /// Takes what the agent said, or said again, at a time.
    fn learn(&self, facts: Option<Facts>, confirmed: Duration) {
        self.confirmed.set(Some(confirmed));
        let Some(mut facts) = facts else { return };
        let known = self.facts().map(|known| known.patches.clone()).unwrap_or_default();
        if known != facts.patches {
            match Engine::default().with_patches(facts.patches.iter().map(String::as_str)) {
                Ok(engine) => {
                    *self.engine.borrow_mut() = Some(Rc::new(engine));
                    self.memo.replace(Memo::default());
                }
                Err(_) => {
                    facts.ask_always = true;
                    // The engine's own, or the next facts with the same patches would pass for what it has.
                    facts.patches = known;
                }
            }
        }
        self.facts.replace(Some(Rc::new(facts)));
    }

    /// The version of the facts that are relied upon now, 0 where none are.
    pub(crate) fn relied_upon(&self) -> i64 {
        match self.age.get() {
            Age::Fresh => self.version(),
            Age::Stale => 0,
        }
    }

    pub(crate) fn version(&self) -> i64 {
        self.facts().map_or(0, |facts| facts.version)
    }
}

impl Found {
    fn of(signals: &Signals) -> Self {
        if signals.is_empty() {
            return Self::default();
        }
        let raised = |tag: &&Tag| signals.iter().any(|signal| signal.tag == **tag);
        let tags: Vec<Tag> = Tag::ALL.iter().filter(raised).copied().collect();
        let attack = tags.iter().any(|tag| tag.kind() == Kind::Attack);
        let names: Vec<&str> = tags.into_iter().map(Tag::as_str).collect();
        Self { tags: names.join(","), attack: if attack { Attack::Yes } else { Attack::No } }
    }
}

thread_local! {
    /// One engine for all configurations of a VM: it takes time to build, and memory.
    static ENGINE_OF_ALL: Rc<Engine> = Rc::default();
}

fn shared_engine() -> Option<Rc<Engine>> {
    ENGINE_OF_ALL.try_with(Rc::clone).ok()
}

/// A request's headers as the engine wants them.
struct View<'a> {
    method: &'a [u8],
    scheme: &'a [u8],
    authority: &'a [u8],
    target: &'a [u8],
    headers: Vec<Header<'a>>,
}

impl<'a> View<'a> {
    fn new(seen: &'a Seen) -> Self {
        let mut headers = Vec::with_capacity(32);
        let mut view = Self { method: b"", scheme: b"", authority: b"", target: b"", headers: Vec::new() };
        for (name, value) in seen.fields() {
            if !name.starts_with(b":") {
                headers.push(Header { name, value });
                continue;
            }
            match name {
                b":method" => view.method = value,
                b":scheme" => view.scheme = value,
                b":path" => view.target = value,
                b":authority" => {
                    view.authority = value;
                    // As the agent is told: HTTP/2 has no Host header, and detection looks for one.
                    if !value.is_empty() {
                        headers.insert(0, Header { name: b"Host", value });
                    }
                }
                _ => {}
            }
        }
        Self { headers, ..view }
    }

    /// The request as the agent would look at it.
    fn request(&'a self, seen: &'a Seen, body: Body<'a>) -> Request<'a> {
        Request {
            method: self.method,
            scheme: self.scheme,
            authority: self.authority,
            target: self.target,
            protocol: &seen.protocol,
            tls_protocol: &seen.tls_version,
            tls_cipher: &seen.tls_cipher,
            headers: &self.headers,
            body: portcullis_detect::Body {
                bytes: body.bytes,
                truncated: body.extent == Extent::Truncated
                    || body.total.is_some_and(|total| total > body.bytes.len()),
            },
        }
    }
}

/// The engine's version: facts of an agent with another one are not relied upon.
pub(crate) const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// About 10 ms at full load.
const MAX_UNCHECKED: u32 = 256;

#[cfg(test)]
mod tests;
