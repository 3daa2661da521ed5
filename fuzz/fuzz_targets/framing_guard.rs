//! The guard of HTTP/1 passes on exactly what came, and decides the same whether it comes at once or in pieces.
//!
//! How much of a body that is refused later has passed by then is left to how it came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_framing::{Guard, Limits};

fuzz_target!(|bytes: &[u8]| {
    // The first byte says where the pieces end.
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let limits = Limits { head: 512, headers: 8, chunk_line: 16 };
    let (mut whole, mut passed) = (Guard::new(limits), Vec::new());
    let outcome = whole.feed(bytes, &mut passed);
    assert!(bytes.starts_with(&passed), "the guard changed a byte");
    let (mut guard, mut passed_in_pieces) = (Guard::new(limits), Vec::new());
    let (mut rest, mut in_pieces) = (bytes, Ok(()));
    while !rest.is_empty() && in_pieces.is_ok() {
        let length = (1 + (usize::from(seed) ^ rest.len()) % 5).min(rest.len());
        let (piece, more) = rest.split_at(length);
        in_pieces = guard.feed(piece, &mut passed_in_pieces);
        rest = more;
    }
    assert_eq!(in_pieces, outcome);
    assert!(bytes.starts_with(&passed_in_pieces), "the guard changed a byte");
    if outcome.is_ok() {
        assert_eq!(passed_in_pieces, passed);
    }
    assert_eq!(guard.heads(), whole.heads());
    assert_eq!(guard.refused_in(), whole.refused_in());
});
