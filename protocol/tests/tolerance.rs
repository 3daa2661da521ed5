//! What senders do differently, and what none of them may be allowed to do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use portcullis_protocol::{DecodeError, RpcMsgIn, RpcMsgIn2, RpcMsgOut};

/// A map of one entry.
fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    let len = u8::try_from(key.len()).unwrap();
    [&[0x81, 0xa0 | len], key.as_bytes(), value].concat()
}

fn message(wire: &[u8]) -> RpcMsgIn<'_> {
    RpcMsgIn::decode(wire).unwrap()
}

#[test]
fn an_empty_map_is_a_message_of_defaults() {
    assert_eq!(message(&[0x80]), RpcMsgIn::default());
    for wire in [&[0xde, 0, 0][..], &[0xc0], &[0xa0], &[0x90], &[0xc4, 0]] {
        assert_eq!(message(wire), RpcMsgIn::default(), "{wire:02x?}");
    }
    let update = RpcMsgIn2::decode(&[0x80]).unwrap();
    assert_eq!((update.response_code, update.response_millis, update.response_size), (-1, -1, -1));
    assert!(update.request_id.is_empty());
}

#[test]
fn every_integer_family_is_read() {
    let five: [&[u8]; 13] = [
        &[5],
        &[0xcc, 5],
        &[0xcd, 0, 5],
        &[0xce, 0, 0, 0, 5],
        &[0xcf, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0xd0, 5],
        &[0xd1, 0, 5],
        &[0xd2, 0, 0, 0, 5],
        &[0xd3, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0xca, 0x40, 0xa0, 0, 0],
        &[0xcb, 0x40, 0x17, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33],
        &[0xa1, b'5'],
        &[0xc4, 1, b'5'],
    ];
    for wire in five {
        assert_eq!(message(&entry("NowMillis", wire)).now_millis, 5, "{wire:02x?}");
        assert_eq!(message(&entry("WAFResponse", wire)).waf_response, Some(5), "{wire:02x?}");
        assert_eq!(RpcMsgIn2::decode(&entry("ResponseCode", wire)).unwrap().response_code, 5, "{wire:02x?}");
        assert_eq!(RpcMsgOut::decode(&entry("WAFResponse", wire)).unwrap().waf_response, 5, "{wire:02x?}");
    }
    assert_eq!(message(&entry("ResponseCode", &[0xff])).response_code, Some(-1));
    assert_eq!(
        message(&entry("NowMillis", &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255])).now_millis,
        i64::MAX
    );
    assert_eq!(message(&entry("NowMillis", &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0])).now_millis, 0);
}

#[test]
fn nil_is_as_good_as_absent() {
    for key in [
        "AccessKeyID",
        "ServerName",
        "Timestamp",
        "NowMillis",
        "Method",
        "URI",
        "TLSProtocol",
        "HeadersIn",
        "HeadersOut",
        "PostBody",
        "RequestID",
        "WAFResponse",
        "ResponseCode",
        "BodyTotal",
        "BodyTruncated",
        "MTLS",
        "JA4",
    ] {
        assert_eq!(message(&entry(key, &[0xc0])), RpcMsgIn::default(), "{key}");
    }
    assert_eq!(RpcMsgIn2::decode(&entry("RequestID", &[0xc0])).unwrap(), RpcMsgIn2::default());
    assert_eq!(RpcMsgIn2::decode(&entry("ResponseCode", &[0xc0])).unwrap(), RpcMsgIn2::default());
}

#[test]
fn unknown_keys_of_any_value_are_ignored() {
    let allowed = RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() };
    let values: [&[u8]; 9] = [
        b"\xa0",
        b"\xc4\x01x",
        b"\xc0",
        b"\x93\x01\x02\x03",
        b"\x81\xa1a\x91\x81\xa1b\x90",
        b"\xd4\x01\x02",
        b"\xc7\x02\x01ab",
        b"\xcb\0\0\0\0\0\0\0\0",
        b"\xa1\xff",
    ];
    for value in values {
        assert_eq!(message(&entry("PostData", value)), RpcMsgIn::default(), "{value:02x?}");
        let verdict = [b"\x82\xabWAFResponse\xcc\xc8\xa4Else", value].concat();
        assert_eq!(RpcMsgOut::decode(&verdict).unwrap(), allowed, "{value:02x?}");
    }
    assert_eq!(RpcMsgOut::decode(b"\x82\xabWAFResponse\xcc\xc8\x05\x01").unwrap(), allowed);
    assert_eq!(message(b"\x81\xa2\xff\xfe\x01"), RpcMsgIn::default());
    assert_eq!(message(b"\x81\xc4\x03URI\xa1/").uri, "/");
    // One module's own spelling, beside which the usual one may stand.
    assert_eq!(message(b"\x82\xabAccessKeyId\xa1k\xabAccessKeyID\xa1K").access_key_id, "K");
}

#[test]
fn strings_are_bytes_in_any_wrapping() {
    let values: [&[u8]; 7] = [
        b"\xa3/\xff\xfe",
        b"\xd9\x03/\xff\xfe",
        b"\xda\0\x03/\xff\xfe",
        b"\xdb\0\0\0\x03/\xff\xfe",
        b"\xc4\x03/\xff\xfe",
        b"\xc5\0\x03/\xff\xfe",
        b"\xc6\0\0\0\x03/\xff\xfe",
    ];
    for value in values {
        let wire = entry("URI", value);
        let read = message(&wire);
        assert_eq!(read.uri, b"/\xff\xfe"[..], "{value:02x?}");
        // And come out as a string again.
        let again = read.encode();
        assert!(again.windows(8).any(|window| window == b"\xa3URI\xa3/\xff\xfe"), "{value:02x?}");
    }
}

#[test]
fn strings_are_borrowed_from_the_message() {
    let wire = entry("PostBody", b"\xa4body");
    let read = message(&wire);
    assert!(wire.as_ptr_range().contains(&read.post_body.as_ptr()));
}

#[test]
fn headers_come_as_pairs_an_empty_map_or_with_odd_values() {
    let read = |value: &[u8]| {
        let wire = entry("HeadersIn", value);
        let pairs = message(&wire).headers_in;
        pairs.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect::<Vec<_>>()
    };
    let pair = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
    assert_eq!(read(b"\x80"), []);
    assert_eq!(read(b"\x90"), []);
    assert_eq!(read(b"\x92\x92\xa1a\xa1b\x92\xa1a\xa1\xff"), [pair(b"a", b"b"), pair(b"a", b"\xff")]);
    assert_eq!(read(b"\xdc\0\x01\x92\xa1a\xc0"), [pair(b"a", b"")]);
    assert_eq!(read(b"\x81\xa1a\xa1b"), [pair(b"a", b"b")]);
    assert_eq!(read(b"\x91\x92\xa1a\xcd\x01\x00"), [pair(b"a", b"256")]);
    assert_eq!(read(b"\x91\x92\xa1a\xff"), [pair(b"a", b"-1")]);
    assert_eq!(read(b"\x91\x92\xa1a\xc3"), [pair(b"a", b"true")]);
    assert_eq!(read(b"\x91\x92\xa1a\x92\xa1x\xa1y"), [pair(b"a", b"x, y")]);
    assert_eq!(read(b"\x91\x91\xa1a"), [pair(b"a", b"")]);
    assert_eq!(read(b"\x91\x93\xa1a\xa1b\x90"), [pair(b"a", b"b")]);
    assert_eq!(read(b"\x91\xc0"), [pair(b"", b"")]);
}

#[test]
fn what_is_no_message_is_an_error() {
    assert!(matches!(RpcMsgIn::decode(b""), Err(DecodeError::Truncated)));
    for wire in [&b"\x91\x01"[..], b"\xc2", b"\xa1x", b"\x00", b"\xdc\0\0"] {
        assert!(matches!(RpcMsgIn::decode(wire), Err(DecodeError::NotMap)), "{wire:02x?}");
    }
    assert!(matches!(RpcMsgIn::decode(b"\x80\x00\x00"), Err(DecodeError::Trailing { excess: 2 })));
    assert!(matches!(RpcMsgIn::decode(&entry("URI", b"\x80")), Err(DecodeError::Value(_))));
    assert!(matches!(RpcMsgIn::decode(&entry("HeadersIn", b"\x01")), Err(DecodeError::Value(_))));
    assert!(matches!(RpcMsgIn::decode(&entry("Timestamp", b"\x90")), Err(DecodeError::Value(_))));
    assert!(matches!(RpcMsgIn::decode(&entry("X", b"\xc1")), Err(DecodeError::Frame(_))));
}

#[test]
fn hostile_lengths_and_depths_are_errors() {
    for value in [
        &b"\xdb\xff\xff\xff\xff"[..],
        b"\xc6\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff",
    ] {
        for key in ["URI", "HeadersIn", "X"] {
            assert!(
                matches!(RpcMsgIn::decode(&entry(key, value)), Err(DecodeError::Truncated)),
                "{value:02x?}"
            );
        }
    }
    let deep = entry("X", &[0x91; 100_000]);
    assert!(matches!(RpcMsgIn::decode(&deep), Err(DecodeError::Frame(_))));
    let many = entry("HeadersIn", &[&[0xdd, 0, 2, 0, 0][..], &[0xc0; 0x20000]].concat());
    assert!(matches!(RpcMsgIn::decode(&many), Err(DecodeError::Frame(_))));
}

#[test]
fn a_verdict_is_never_guessed() {
    for wire in [
        &b"\x80"[..],
        &entry("WAFResponse", b"\xc0"),
        &entry("WAFResponse", b"\xa3yes"),
        &entry("WAFResponse", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        b"\x82\xabWAFResponse\xcc\xc8\xabWAFResponse\xcd\x01\x96",
    ] {
        assert!(matches!(RpcMsgOut::decode(wire), Err(DecodeError::Value(_))), "{wire:02x?}");
    }
}

#[test]
fn an_answer_may_lack_everything_else() {
    let wire = entry("WAFResponse", b"\xcc\xc8");
    let answer = RpcMsgOut::decode(&wire).unwrap();
    assert_eq!(answer, RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() });
}
