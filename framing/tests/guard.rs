//! The guard held against vectors/framing, whole, in pieces and byte by byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

use portcullis_framing::{Guard, Limits, Rejection};
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

struct Vector {
    name: String,
    raw: Vec<u8>,
    reject: Option<String>,
}

fn vectors() -> Vec<Vector> {
    let lines = include_str!("../../vectors/framing/requests.jsonl").lines();
    lines
        .map(|line| {
            let vector: serde_json::Value = serde_json::from_str(line).unwrap();
            Vector {
                name: vector["name"].as_str().unwrap().to_owned(),
                // One character a byte, as in Latin-1.
                raw: vector["raw"]
                    .as_str()
                    .unwrap()
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect(),
                reject: vector["reject"].as_str().map(str::to_owned),
            }
        })
        .collect()
}

fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Result<(), Rejection>, Vec<u8>) {
    let mut guard = Guard::new(Limits::default());
    let mut passed = Vec::new();
    for piece in pieces {
        if let Err(rejection) = guard.feed(piece, &mut passed) {
            return (Err(rejection), passed);
        }
    }
    (Ok(()), passed)
}

/// The same with [`Guard::pass`] first, as a connection does it.
fn pass<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Result<(), Rejection>, Vec<u8>) {
    let mut guard = Guard::new(Limits::default());
    let mut passed = Vec::new();
    for piece in pieces {
        let (taken, outcome) = guard.pass(piece);
        passed.extend_from_slice(&piece[..taken]);
        if let Err(rejection) = outcome.and_then(|()| guard.feed(&piece[taken..], &mut passed)) {
            return (Err(rejection), passed);
        }
    }
    (Ok(()), passed)
}

#[test]
fn every_vector_passes_unchanged_or_is_refused_for_its_reason() {
    for Vector { name, raw, reject } in vectors() {
        for (how, (outcome, passed)) in [
            ("whole", feed(std::iter::once(&raw[..]))),
            ("bytewise", feed(raw.chunks(1))),
            ("whole, in place", pass(std::iter::once(&raw[..]))),
            ("bytewise, in place", pass(raw.chunks(1))),
        ] {
            assert_eq!(outcome.err().map(Rejection::as_str), reject.as_deref(), "{name}, {how}");
            assert!(raw.starts_with(&passed), "{name}, {how}: bytes were changed");
            if reject.is_none() {
                assert_eq!(passed.len(), raw.len(), "{name}, {how}");
            }
        }
    }
}

#[test]
fn nothing_of_a_refused_head_is_passed() {
    for Vector { name, raw, reject } in vectors() {
        let (_, passed) = feed(std::iter::once(&raw[..]));
        if reject.is_some()
            && !raw
                .starts_with(b"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n")
        {
            let first_ends =
                raw.windows(4).position(|four| four == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
            assert!(passed.is_empty() || passed.len() == first_ends, "{name}: {}", passed.escape_ascii());
        }
    }
}

#[test]
fn a_refused_connection_stays_refused() {
    let mut guard = Guard::new(Limits::default());
    let mut passed = Vec::new();
    assert_eq!(guard.feed(b"GET / HTTP/1.1\n", &mut passed), Err(Rejection::BareLineFeed));
    assert!(guard.tunnel().is_empty());
    assert_eq!(guard.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut passed), Err(Rejection::BareLineFeed));
    assert!(passed.is_empty());
}

#[test]
fn a_tunnel_passes_everything() {
    let mut guard = Guard::new(Limits::default());
    let mut passed = Vec::new();
    guard.feed(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", &mut passed).unwrap();
    let before = passed.len();
    guard.feed(b"ear", &mut passed).unwrap();
    assert_eq!(passed.len(), before);
    assert_eq!(guard.tunnel(), b"ear");
    guard.feed(b"\n\0\xff not HTTP", &mut passed).unwrap();
    assert_eq!(&passed[before..], b"\n\0\xff not HTTP");
    assert_eq!(guard.heads(), 1);
}

#[test]
fn heads_are_bounded_in_bytes_and_lines() {
    let limits = Limits { head: 1000, headers: 3, chunk_line: 32 };
    let mut endless = Guard::new(limits);
    let mut passed = Vec::new();
    let outcome = (0..100).find_map(|_| endless.feed(&[b'a'; 64], &mut passed).err());
    assert_eq!(outcome, Some(Rejection::HeadTooLarge));
    let many = b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n";
    assert_eq!(Guard::new(limits).feed(many, &mut passed), Err(Rejection::TooManyHeaders));
    let trailer =
        [&b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"[..], &[b'a'; 2000]]
            .concat();
    assert_eq!(Guard::new(limits).feed(&trailer, &mut passed), Err(Rejection::Trailer));
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn pieces_decide_as_the_whole_does(which in any::<prop::sample::Index>(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let vectors = vectors();
        let raw = &vectors[which.index(vectors.len())].raw;
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(raw.len())).collect();
        at.extend([0, raw.len()]);
        at.sort_unstable();
        let whole = feed(std::iter::once(&raw[..]));
        let pieces = feed(at.windows(2).map(|cut| &raw[cut[0]..cut[1]]));
        prop_assert_eq!(whole.0, pieces.0);
        let in_place = pass(at.windows(2).map(|cut| &raw[cut[0]..cut[1]]));
        prop_assert_eq!(whole.0, in_place.0);
        // Of a chunked body that is refused later on, how much has passed depends on how it came.
        if whole.0.is_ok() {
            prop_assert_eq!(&whole.1, &pieces.1);
            prop_assert_eq!(whole.1, in_place.1);
        }
    }

    #[test]
    fn any_bytes_are_taken_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, passed) = feed(bytes.chunks(7));
        proptest::prop_assert!(bytes.starts_with(&passed));
    }
}
