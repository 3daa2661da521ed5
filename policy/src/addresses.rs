//! The allow list and the block list: addresses, each for a while or for good.

use std::net::IpAddr;
use std::sync::Arc;

use crate::ip::{IpMap, Pattern};
use crate::read::address::Address;

/// Addresses that are always let pass, or never.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    entries: Vec<Address>,
    map: IpMap<Vec<u32>>,
}

impl Addresses {
    /// Adds an entry.
    pub(crate) fn add(&mut self, entry: Address) {
        let Ok(index) = u32::try_from(self.entries.len()) else { return };
        match self.map.get_mut(&entry.pattern) {
            Some(same) => same.push(index),
            None => self.map.insert(entry.pattern, vec![index]),
        }
        self.entries.push(entry);
    }

    /// The entry that holds for `address` at `now`.
    pub(crate) fn find(&self, address: IpAddr, now: u64) -> Option<&Arc<str>> {
        let entries = self.map.all(address).flatten().filter_map(|index| self.entries.get(*index as usize));
        let mut live = entries.filter(|entry| entry.expires.is_none_or(|expires| now < expires));
        live.next().map(|entry| &entry.source)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The patterns that hold at `now`.
    pub(crate) fn live(&self, now: u64) -> impl Iterator<Item = &Pattern> {
        let live = move |entry: &&Address| entry.expires.is_none_or(|expires| now < expires);
        self.entries.iter().filter(live).map(|entry| &entry.pattern)
    }
}
