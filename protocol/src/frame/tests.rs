use super::*;

fn scan(bytes: &[u8]) -> Result<Progress, FrameError> {
    Scanner::new(Limits::default()).scan(bytes)
}

#[test]
fn finds_the_end_of_every_marker() {
    let fixed: [(u8, usize); 16] = [
        (0x00, 1),
        (0x7f, 1),
        (0xc0, 1),
        (0xc2, 1),
        (0xc3, 1),
        (0xcc, 2),
        (0xcd, 3),
        (0xce, 5),
        (0xcf, 9),
        (0xd0, 2),
        (0xd1, 3),
        (0xd2, 5),
        (0xd3, 9),
        (0xca, 5),
        (0xcb, 9),
        (0xff, 1),
    ];
    for (marker, len) in fixed {
        let mut wire = vec![marker];
        wire.resize(20, 0);
        assert_eq!(scan(&wire), Ok(Progress::Complete { len }), "{marker:02x}");
        assert!(matches!(scan(&wire[..len - 1]), Ok(Progress::Incomplete { .. })));
    }
}

#[test]
fn finds_the_end_of_strings_binaries_and_extensions() {
    let cases: [(&[u8], usize); 15] = [
        (&[0xa3], 4),
        (&[0xd9, 3], 5),
        (&[0xda, 0, 3], 6),
        (&[0xdb, 0, 0, 0, 3], 8),
        (&[0xc4, 3], 5),
        (&[0xc5, 0, 3], 6),
        (&[0xc6, 0, 0, 0, 3], 8),
        (&[0xd4], 3),
        (&[0xd5], 4),
        (&[0xd6], 6),
        (&[0xd7], 10),
        (&[0xd8], 18),
        (&[0xc7, 3], 6),
        (&[0xc8, 0, 3], 7),
        (&[0xc9, 0, 0, 0, 3], 9),
    ];
    for (head, len) in cases {
        let mut wire = head.to_vec();
        wire.resize(32, 0);
        assert_eq!(scan(&wire), Ok(Progress::Complete { len }), "{head:02x?}");
        for cut in 0..len {
            let Ok(Progress::Incomplete { at_least }) = scan(&wire[..cut]) else {
                panic!("{head:02x?} at {cut}")
            };
            assert!(at_least > cut && at_least <= len);
        }
    }
}

#[test]
fn counts_children_of_arrays_and_maps() {
    for wire in [
        &[0x90][..],
        &[0x80],
        &[0xdc, 0, 0],
        &[0x93, 0x90, 0x80, 0x91, 0xc0],
        &[0xdc, 0, 2, 1, 2],
        &[0xdd, 0, 0, 0, 1, 0xc0],
        &[0x81, 0xa1, b'a', 0x92, 1, 2],
        &[0xde, 0, 1, 1, 2],
        &[0xdf, 0, 0, 0, 1, 1, 0x91, 0x91, 0x90],
    ] {
        let mut longer = wire.to_vec();
        longer.extend_from_slice(&[0xc1; 4]);
        assert_eq!(scan(&longer), Ok(Progress::Complete { len: wire.len() }), "{wire:02x?}");
    }
}

#[test]
fn tells_the_same_bytewise_and_at_once() {
    let wire =
        [0x94, 0, 7, 0xa3, b'a', b'b', b'c', 0x91, 0x82, 0xa1, b'k', 0xcd, 1, 2, 0xda, 0, 1, b'x', 0x90];
    let mut scanner = Scanner::new(Limits::default());
    for cut in 0..wire.len() {
        assert!(matches!(scanner.scan(&wire[..cut]), Ok(Progress::Incomplete { .. })), "{cut}");
    }
    assert_eq!(scanner.scan(&wire), Ok(Progress::Complete { len: wire.len() }));
    assert_eq!(scanner.scan(&wire), Ok(Progress::Complete { len: wire.len() }));
}

#[test]
fn refuses_hostile_lengths_at_their_header() {
    let limits = Limits { bytes: 1000, depth: 4, items: 100 };
    let too_long = Err(FrameError::TooLong { limit: 1000 });
    for wire in [
        &[0xdb, 0xff, 0xff, 0xff, 0xff][..],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xda, 0x03, 0xe6],
        &[0x91, 0xda, 0x03, 0xe5],
    ] {
        assert_eq!(Scanner::new(limits).scan(wire), too_long, "{wire:02x?}");
    }
    assert_eq!(Scanner::new(limits).scan(&[0xda, 0x03, 0xe5]), Ok(Progress::Incomplete { at_least: 1000 }));
    assert_eq!(Scanner::new(limits).scan(&[0xdc, 0, 100]), Err(FrameError::TooMany { limit: 100 }));
    assert_eq!(Scanner::new(limits).scan(&[0xde, 0, 50]), Err(FrameError::TooMany { limit: 100 }));
}

#[test]
fn refuses_depth_beyond_the_limit_and_beyond_its_own_room() {
    let limits = Limits { bytes: 1 << 20, depth: 4, items: 1 << 20 };
    assert_eq!(Scanner::new(limits).scan(&[0x91, 0x91, 0x91, 0x91, 0]), Ok(Progress::Complete { len: 5 }));
    assert_eq!(Scanner::new(limits).scan(&[0x91; 5]), Err(FrameError::TooDeep { limit: 4 }));
    let boundless = Limits { depth: usize::MAX, ..limits };
    assert_eq!(Scanner::new(boundless).scan(&[0x91; 100_000]), Err(FrameError::TooDeep { limit: MAX_DEPTH }));
    assert!(matches!(Scanner::new(boundless).scan(&[0x91; MAX_DEPTH]), Ok(Progress::Incomplete { .. })));
}

#[test]
fn refuses_the_reserved_byte() {
    assert_eq!(scan(&[0x92, 1, 0xc1]), Err(FrameError::Reserved { at: 2 }));
}
