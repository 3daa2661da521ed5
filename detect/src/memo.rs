//! Headers in which nothing was found, so that they need not be read again.
//!
//! Clients repeat themselves: of ten headers of a browser nine are what it sent before, and what many others send. What
//! the engine finds in a header depends on nothing but its name and its value. So those of a request in which nothing at
//! all was found are kept, whole, and one that is the same byte by byte is passed over.
//!
//! A value is kept when it comes for the second time: request ids and tokens, which come once, then displace nothing. A
//! client that sends values in order to displace others makes requests slower, never less looked at.

use crate::request::Header;

/// A table of headers in which one engine found nothing; each has one of two places in it,
/// and all of them have 256 KiB at most.
///
/// It is of use to [`Engine::inspect_unknown`](crate::Engine::inspect_unknown), and good for the engine that found nothing
/// and no other.
#[derive(Debug)]
pub struct Memo {
    places: Vec<Place>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    hash: u64,
    header: Option<Kept>,
    /// The hash of the last one that came and is not kept.
    candidate: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    name: Box<[u8]>,
    value: Box<[u8]>,
}

impl Kept {
    fn new(header: &Header<'_>) -> Self {
        Self { name: header.name.into(), value: header.value.into() }
    }

    fn is(&self, header: &Header<'_>) -> bool {
        *self.name == *header.name && *self.value == *header.value
    }
}

/// What was looked up of one request.
#[derive(Debug)]
pub struct Looked {
    hashes: [u64; MOST],
    known: u64,
}

impl Looked {
    /// The headers that are known, a bit each from the first one on.
    pub fn known(&self) -> u64 {
        self.known
    }
}

impl Default for Memo {
    fn default() -> Self {
        Self { places: vec![Place::default(); PLACES] }
    }
}

impl Memo {
    /// Looks for headers that are known.
    pub fn look(&self, headers: &[Header<'_>]) -> Looked {
        let mut looked = Looked { hashes: [0; MOST], known: 0 };
        for (index, (header, hash)) in headers.iter().zip(&mut looked.hashes).enumerate() {
            *hash = hash_of(header);
            let kept = |place: usize| self.places.get(place).filter(|place| place.hash == *hash);
            let is_kept = |place| {
                kept(place).and_then(|place| place.header.as_ref()).is_some_and(|kept| kept.is(header))
            };
            let same = places(*hash).into_iter().any(is_kept);
            looked.known |= u64::from(same) << index;
        }
        looked
    }

    /// Takes down the headers of a request in which nothing was found.
    pub fn learn(&mut self, headers: &[Header<'_>], looked: &Looked) {
        for (index, (header, hash)) in headers.iter().zip(looked.hashes).enumerate() {
            if looked.known >> index & 1 == 1 || header.name.len() + header.value.len() > LONGEST {
                continue;
            }
            let room = self.room(hash);
            let Some(place) = self.places.get_mut(room) else { continue };
            if place.candidate == hash {
                *place = Place { hash, header: Some(Kept::new(header)), candidate: 0 };
            } else {
                place.candidate = hash;
            }
        }
    }

    /// The place for a header: where it came before, else the first one of two that nothing else wants. So two headers of
    /// the same clients that have a place in common do not displace each other for ever.
    fn room(&self, hash: u64) -> usize {
        let both = places(hash);
        let came = |place: &Place| place.candidate == hash;
        let free = |place: &Place| place.header.is_none() && place.candidate == 0;
        let unkept = |place: &Place| place.header.is_none();
        let find = |fits: &dyn Fn(&Place) -> bool| {
            both.into_iter().find(|place| self.places.get(*place).is_some_and(fits))
        };
        find(&came).or_else(|| find(&free)).or_else(|| find(&unkept)).unwrap_or(both[0])
    }
}

/// Quick, and not secret: whoever makes two headers meet in one place gains nothing, since the bytes are compared.
fn hash_of(header: &Header<'_>) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    let mut hash = header.name.len() as u64;
    for part in [header.name, header.value] {
        let (words, rest) = part.as_chunks::<8>();
        hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        hash = mix(hash, rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
    hash
}

/// The upper bits are the best mixed.
#[inline(always)]
fn places(hash: u64) -> [usize; 2] {
    let [first, second, ..] = hash.to_be_bytes();
    [usize::from(first), usize::from(second)]
}

/// As many as eight bits number.
const PLACES: usize = 256;

/// Headers of one request that are looked up: a bit each.
const MOST: usize = 64;

/// Bytes of a header that is kept: with 256 of them a worker keeps at most 256 KiB.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: Header<'_> = Header { name: b"user-agent", value: b"Mozilla/5.0 (X11; Linux x86_64)" };

    fn pass(memo: &mut Memo, headers: &[Header<'_>]) -> u64 {
        let looked = memo.look(headers);
        memo.learn(headers, &looked);
        looked.known
    }

    #[test]
    fn knows_what_came_twice() {
        let mut memo = Memo::default();
        let headers = [AGENT, Header { name: b"accept", value: b"*/*" }];
        assert_eq!([0; 3].map(|_: u32| pass(&mut memo, &headers)), [0, 0, 0b11]);
    }

    #[test]
    fn what_is_not_the_same_is_not_known() {
        let mut memo = Memo::default();
        for _ in 0..3 {
            pass(&mut memo, &[AGENT]);
        }
        for other in [
            Header { value: b"Mozilla/5.0 (X11; Linux x86_65)", ..AGENT },
            Header { value: b"", ..AGENT },
            Header { name: b"user_agent", ..AGENT },
            Header { name: b"user-agentM", value: b"ozilla/5.0 (X11; Linux x86_64)" },
        ] {
            assert_eq!(memo.look(&[other]).known, 0, "{other:?}");
        }
        assert_eq!(memo.look(&[AGENT]).known, 1);
    }

    #[test]
    fn a_header_that_meets_another_in_its_place_is_not_taken_for_it() {
        let mut memo = Memo::default();
        for _ in 0..2 {
            pass(&mut memo, &[AGENT]);
        }
        let hash = hash_of(&AGENT);
        let kept = &mut memo.places[places(hash)[0]];
        kept.header = Some(Kept::new(&Header { value: b"another of the same hash", ..AGENT }));
        assert_eq!(memo.look(&[AGENT]).known, 0);
    }

    #[test]
    fn headers_that_meet_in_a_place_are_both_known() {
        let mut memo = Memo::default();
        let first = |header: &Header<'_>| places(hash_of(header))[0];
        let value = (0..u32::MAX).map(|number| number.to_string()).find(|value| {
            let header = Header { name: b"x-other", value: value.as_bytes() };
            first(&header) == first(&AGENT)
        });
        let value = value.unwrap();
        let headers = [AGENT, Header { name: b"x-other", value: value.as_bytes() }];
        for _ in 0..4 {
            pass(&mut memo, &headers);
        }
        assert_eq!(memo.look(&headers).known, 0b11);
    }

    #[test]
    fn values_that_come_once_displace_nothing() {
        let mut memo = Memo::default();
        for _ in 0..2 {
            pass(&mut memo, &[AGENT]);
        }
        let mut known = 0;
        for number in 0..10_000_u32 {
            let id = number.to_string();
            known += pass(&mut memo, &[AGENT, Header { name: b"x-request-id", value: id.as_bytes() }]);
        }
        assert_eq!(known, 10_000);
        assert_eq!(memo.places.iter().filter(|place| place.header.is_some()).count(), 1);
    }

    #[test]
    fn keeps_nothing_long_and_looks_up_only_so_many() {
        let mut memo = Memo::default();
        let long = vec![b'a'; LONGEST];
        let headers = vec![Header { name: b"x", value: &long }; 100];
        assert_eq!([0; 3].map(|_: u32| pass(&mut memo, &headers)), [0; 3]);
        let many = vec![AGENT; 100];
        for _ in 0..3 {
            pass(&mut memo, &many);
        }
        assert_eq!(memo.look(&many).known, u64::MAX);
    }
}
