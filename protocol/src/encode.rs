//! Writing msgpack in the dialect that every module's reader knows.
//!
//! serde would write `str 8` and binary, which some readers refuse, so messages are written marker by marker.

use rmp::Marker;

use crate::bytestr::ByteStr;
use crate::message::{Pair, RespAction};

/// A map whose size is known only when all its entries are written.
pub(crate) struct Map {
    entries: Vec<u8>,
    count: u32,
}

impl Map {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), count: 0 }
    }

    pub(crate) fn str(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        str(&mut self.entries, value);
    }

    pub(crate) fn maybe_str(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.str(key, value);
        }
    }

    pub(crate) fn int(&mut self, key: &str, value: i64) {
        self.key(key);
        int(&mut self.entries, value);
    }

    pub(crate) fn maybe_int(&mut self, key: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.int(key, value);
        }
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.key(key);
            self.entries.push(Marker::True.to_u8());
        }
    }

    /// Writes a verdict at least as wide as `int 16`, the form in which every module has met it.
    pub(crate) fn verdict(&mut self, key: &str, value: i32) {
        self.key(key);
        match i16::try_from(value) {
            Ok(narrow) => marked(&mut self.entries, Marker::I16, &narrow.to_be_bytes()),
            Err(_) => marked(&mut self.entries, Marker::I32, &value.to_be_bytes()),
        }
    }

    pub(crate) fn pairs(&mut self, key: &str, pairs: &[Pair<'_>]) {
        self.key(key);
        write_pairs(&mut self.entries, pairs);
    }

    pub(crate) fn strings(&mut self, key: &str, strings: &[ByteStr<'_>]) {
        self.key(key);
        let strings = capped(strings);
        array_len(&mut self.entries, strings);
        for string in strings {
            str(&mut self.entries, string);
        }
    }

    pub(crate) fn pair_lists(&mut self, key: &str, lists: &[Vec<Pair<'_>>]) {
        self.key(key);
        let lists = capped(lists);
        array_len(&mut self.entries, lists);
        for pairs in lists {
            write_pairs(&mut self.entries, pairs);
        }
    }

    pub(crate) fn maybe_pairs(&mut self, key: &str, pairs: &[Pair<'_>]) {
        if !pairs.is_empty() {
            self.pairs(key, pairs);
        }
    }

    pub(crate) fn maybe_actions(&mut self, key: &str, actions: &[RespAction<'_>]) {
        if actions.is_empty() {
            return;
        }
        self.key(key);
        let actions = capped(actions);
        array_len(&mut self.entries, actions);
        for action in actions {
            self.entries.push(Marker::FixArray(2).to_u8());
            int(&mut self.entries, i64::from(action.code));
            let args: &[ByteStr<'_>] = capped(&action.args);
            array_len(&mut self.entries, args);
            for arg in args {
                str(&mut self.entries, arg);
            }
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.len() + 3);
        match u8::try_from(self.count) {
            Ok(count @ 0..=15) => bytes.push(Marker::FixMap(count).to_u8()),
            _ => marked(&mut bytes, Marker::Map32, &self.count.to_be_bytes()),
        }
        bytes.extend_from_slice(&self.entries);
        bytes
    }

    fn key(&mut self, key: &str) {
        self.count += 1;
        str(&mut self.entries, key.as_bytes());
    }
}

fn write_pairs(bytes: &mut Vec<u8>, pairs: &[Pair<'_>]) {
    let pairs = capped(pairs);
    array_len(bytes, pairs);
    for (name, value) in pairs {
        bytes.push(Marker::FixArray(2).to_u8());
        str(bytes, name);
        str(bytes, value);
    }
}

/// Writes a string; what would not fit a length of 32 bits is left off.
pub(crate) fn str(bytes: &mut Vec<u8>, value: &[u8]) {
    let value = capped(value);
    match (u8::try_from(value.len()), u16::try_from(value.len())) {
        (Ok(len @ 0..=31), _) => bytes.push(Marker::FixStr(len).to_u8()),
        (_, Ok(len)) => marked(bytes, Marker::Str16, &len.to_be_bytes()),
        _ => marked(bytes, Marker::Str32, &len32(value).to_be_bytes()),
    }
    bytes.extend_from_slice(value);
}

/// Writes an integer in as few bytes as it fits, in the unsigned family where it is not negative.
fn int(bytes: &mut Vec<u8>, value: i64) {
    match u64::try_from(value) {
        Ok(value) => uint(bytes, value),
        Err(_) => negative(bytes, value),
    }
}

fn uint(bytes: &mut Vec<u8>, value: u64) {
    if let Ok(small @ 0..=0x7f) = u8::try_from(value) {
        bytes.push(Marker::FixPos(small).to_u8());
    } else if let Ok(value) = u8::try_from(value) {
        marked(bytes, Marker::U8, &value.to_be_bytes());
    } else if let Ok(value) = u16::try_from(value) {
        marked(bytes, Marker::U16, &value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        marked(bytes, Marker::U32, &value.to_be_bytes());
    } else {
        marked(bytes, Marker::U64, &value.to_be_bytes());
    }
}

fn negative(bytes: &mut Vec<u8>, value: i64) {
    if let Ok(small @ -32..=-1) = i8::try_from(value) {
        bytes.push(Marker::FixNeg(small).to_u8());
    } else if let Ok(value) = i16::try_from(value) {
        marked(bytes, Marker::I16, &value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        marked(bytes, Marker::I32, &value.to_be_bytes());
    } else {
        marked(bytes, Marker::I64, &value.to_be_bytes());
    }
}

fn array_len<T>(bytes: &mut Vec<u8>, items: &[T]) {
    match (u8::try_from(items.len()), u16::try_from(items.len())) {
        (Ok(len @ 0..=15), _) => bytes.push(Marker::FixArray(len).to_u8()),
        (_, Ok(len)) => marked(bytes, Marker::Array16, &len.to_be_bytes()),
        _ => marked(bytes, Marker::Array32, &len32(items).to_be_bytes()),
    }
}

fn marked(bytes: &mut Vec<u8>, marker: Marker, data: &[u8]) {
    bytes.push(marker.to_u8());
    bytes.extend_from_slice(data);
}

fn len32<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn capped<T>(items: &[T]) -> &[T] {
    usize::try_from(u32::MAX).ok().and_then(|limit| items.get(..limit)).unwrap_or(items)
}
