//! Ids of requests.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// An id of 24 hexadecimal digits, the form that every module passes on unharmed.
///
/// The first 8 digits are the second in which it was made, so that ids sort by age.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 12]);

impl RequestId {
    /// Reads an id that an agent made.
    pub fn read(text: &[u8]) -> Option<Self> {
        let digits: &[u8; 24] = text.try_into().ok()?;
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            // The standard library also reads a sign.
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes ids that no other agent makes.
#[derive(Debug)]
pub struct Ids {
    seed: u64,
    made: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        // The hasher's keys are the standard library's source of per-process randomness.
        Self { seed: RandomState::new().hash_one(std::process::id()), made: AtomicU64::new(0) }
    }
}

impl Ids {
    /// Makes an id.
    pub fn make(&self) -> RequestId {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let [.., a, b, c, d] = seconds.to_be_bytes();
        let [e, f, g, h, i, j, k, l] =
            spread(self.seed, self.made.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
        RequestId([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

/// The finaliser of splitmix64: one to one, so a process never repeats itself.
fn spread(seed: u64, count: u64) -> u64 {
    let mut x = seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_24_hexadecimal_digits_and_differ() {
        let ids = Ids::default();
        let made: HashSet<_> = (0..10_000).map(|_| ids.make().to_string()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|id| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let id = Ids::default().make();
        assert_eq!(RequestId::read(id.to_string().as_bytes()), Some(id));
        for text in [
            "",
            "0123456789abcdef0123456",
            "0123456789abcdef012345678",
            "g123456789abcdef01234567",
            "+1+1+1+1+1+1+1+1+1+1+1+1",
        ] {
            assert_eq!(RequestId::read(text.as_bytes()), None, "{text}");
        }
    }
}
