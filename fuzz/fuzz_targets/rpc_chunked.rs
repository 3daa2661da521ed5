//! The frame scanner finds the same end, or the same fault, whether bytes come at once or in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_protocol::frame::{Limits, Progress, Scanner};

fuzz_target!(|bytes: &[u8]| {
    // The first byte says where the pieces end.
    let Some((&seed, bytes)) = bytes.split_first() else { return };
    let limits = Limits { bytes: 4096, depth: 8, items: 64 };
    let whole = Scanner::new(limits).scan(bytes);
    let mut scanner = Scanner::new(limits);
    let mut end = 0_usize;
    let in_pieces = loop {
        let step = 1 + (usize::from(seed) ^ end.wrapping_mul(31)) % 7;
        end = (end + step).min(bytes.len());
        let seen = scanner.scan(&bytes[..end]);
        match seen {
            Ok(Progress::Incomplete { at_least }) if end < bytes.len() => assert!(at_least > end),
            seen => break seen,
        }
    };
    assert_eq!(in_pieces, whole);
    if let Ok(Progress::Complete { len }) = whole {
        assert!(len <= bytes.len());
    }
});
