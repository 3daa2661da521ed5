//! The flags of many clients, bounded in number.

use std::sync::Arc;

use hashbrown::HashMap;

use super::client::Client;
use super::flag::{Flag, FlagKind};

type Key = ([u64; 2], FlagKind);

/// Flags by client and kind.
#[derive(Debug)]
pub(crate) struct Flags {
    held: HashMap<Key, Held, foldhash::fast::FixedState>,
    /// Causes that flags have in common: there are few.
    causes: Vec<Arc<str>>,
    most: usize,
    /// How many had to leave.
    pub(crate) evicted: u64,
}

/// A flag without what it is found by.
#[derive(Clone, Debug)]
struct Held {
    since: u64,
    until: u64,
    cause: Arc<str>,
}

impl Held {
    fn flag(&self, (client, kind): Key) -> Flag {
        let client = Client::from_halves(client);
        Flag { client, kind, since: self.since, until: self.until, cause: Arc::clone(&self.cause) }
    }
}

impl Flags {
    /// Makes an empty table that will hold `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { held: HashMap::default(), causes: Vec::new(), most: most.max(1), evicted: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Bytes that they take, but for their causes.
    pub(crate) fn bytes(&self) -> usize {
        self.held.allocation_size()
    }

    /// Those that hold at `now`.
    pub(crate) fn live(&self, now: u64) -> impl Iterator<Item = Flag> {
        self.held.iter().map(|(key, held)| held.flag(*key)).filter(move |flag| flag.is_live(now))
    }

    /// The flag of a client that holds at `now`.
    pub(crate) fn get(&self, client: Client, kind: FlagKind, now: u64) -> Option<Flag> {
        let key = (client.halves(), kind);
        self.held.get(&key).map(|held| held.flag(key)).filter(|flag| flag.is_live(now))
    }

    /// Adds or prolongs one; false where one holds for longer already.
    pub(crate) fn put(&mut self, flag: Flag, now: u64) -> bool {
        let key = (flag.client.halves(), flag.kind);
        match self.held.get(&key) {
            Some(held) if now < held.until && held.until >= flag.until => return false,
            Some(_) => {}
            None => self.make_room(now),
        }
        let cause = self.shared(flag.cause);
        self.held.insert(key, Held { since: flag.since, until: flag.until, cause });
        true
    }

    /// Takes one away; none where it did not hold.
    pub(crate) fn remove(&mut self, client: Client, kind: FlagKind, now: u64) -> Option<Flag> {
        let key = (client.halves(), kind);
        self.held.remove(&key).map(|held| held.flag(key)).filter(|flag| flag.is_live(now))
    }

    /// Takes those away that are over at `now`.
    pub(crate) fn take_over(&mut self, now: u64) -> Vec<Flag> {
        let over = self.held.extract_if(|_, held| held.until <= now);
        let over = over.map(|(key, held)| held.flag(key)).collect();
        if self.held.is_empty() {
            self.causes.clear();
        }
        over
    }

    /// Lets a flag go where there are as many as may be: those that are over, or else the one that ends first.
    fn make_room(&mut self, now: u64) {
        if self.held.len() < self.most {
            return;
        }
        let before = self.held.len();
        self.held.retain(|_, held| now < held.until);
        if self.held.len() < before {
            return;
        }
        if let Some(key) = self.held.iter().min_by_key(|(_, held)| held.until).map(|(key, _)| *key) {
            self.held.remove(&key);
            self.evicted += 1;
        }
    }

    fn shared(&mut self, cause: Arc<str>) -> Arc<str> {
        if let Some(known) = self.causes.iter().find(|known| **known == cause) {
            return Arc::clone(known);
        }
        if self.causes.len() < MOST_CAUSES {
            self.causes.push(Arc::clone(&cause));
        }
        cause
    }
}

/// Causes that are shared.
const MOST_CAUSES: usize = 16;
