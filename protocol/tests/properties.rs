//! Properties over arbitrary messages and arbitrary bytes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use portcullis_protocol::envelope::{self, Call, MAX_REPLY, MsgId};
use portcullis_protocol::frame::{Limits, Progress, Scanner};
use portcullis_protocol::{ByteStr, Pair, RespAction, RpcMsgIn, RpcMsgIn2, RpcMsgOut};
use proptest::collection::vec;
use proptest::prelude::*;

fn string() -> impl Strategy<Value = ByteStr<'static>> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(ByteStr::from),
        vec(any::<u8>(), 250..260).prop_map(ByteStr::from),
        (65_530..65_540_usize).prop_map(|len| ByteStr::from(vec![0xfe; len])),
    ]
}

fn pairs() -> impl Strategy<Value = Vec<Pair<'static>>> {
    vec(
        (vec(any::<u8>(), 0..40).prop_map(ByteStr::from), vec(any::<u8>(), 0..80).prop_map(ByteStr::from)),
        0..20,
    )
}

prop_compose! {
    fn request()(
        strings in vec(string(), 6),
        ints in any::<(i64, i64)>(),
        maybe in any::<(Option<i64>, Option<i64>, Option<i64>)>(),
        flags in any::<(bool, bool)>(),
        headers_in in pairs(),
        headers_out in pairs(),
    ) -> RpcMsgIn<'static> {
        let mut strings = strings.into_iter();
        let mut next = || strings.next().unwrap_or_default();
        RpcMsgIn {
            access_key_id: next(),
            remote_addr: next(),
            uri: next(),
            post_body: next(),
            request_id: next(),
            ja4: next(),
            timestamp: ints.0,
            now_millis: ints.1,
            waf_response: maybe.0,
            response_size: maybe.1,
            body_total: maybe.2,
            body_truncated: flags.0,
            mtls: flags.1,
            headers_in,
            headers_out,
            ..RpcMsgIn::default()
        }
    }
}

prop_compose! {
    fn answer()(
        waf_response in any::<i32>(),
        request_id in string(),
        request_headers in pairs(),
        actions in vec((any::<i8>(), vec(string(), 0..3)), 0..3),
    ) -> RpcMsgOut<'static> {
        let resp_actions = actions.into_iter().map(|(code, args)| RespAction { code, args }).collect();
        RpcMsgOut { waf_response, request_id, request_headers, resp_actions, ..RpcMsgOut::default() }
    }
}

proptest! {
    #[test]
    fn a_request_survives_the_wire(message in request()) {
        let wire = message.encode();
        prop_assert_eq!(RpcMsgIn::decode(&wire).unwrap(), message);
    }

    #[test]
    fn a_report_survives_the_wire(
        request_id in string(), ints in any::<(i64, i64, i64)>(), headers_out in pairs(), waf_response in any::<Option<i64>>(),
    ) {
        let (response_code, response_millis, response_size) = ints;
        let message = RpcMsgIn2 { request_id, response_code, response_millis, response_size, headers_out, waf_response, response_flags: 0 };
        let wire = message.encode();
        prop_assert_eq!(RpcMsgIn2::decode(&wire).unwrap(), message);
    }

    #[test]
    fn an_answer_survives_the_wire(
        mut message in answer(), page in string(), page_type in string(), page_headers in pairs(), ask_response: bool,
    ) {
        (message.page, message.page_type, message.page_headers) = (page, page_type, page_headers);
        message.ask_response = ask_response;
        let wire = message.encode();
        prop_assert_eq!(RpcMsgOut::decode(&wire).unwrap(), message);
    }

    #[test]
    fn a_reply_is_short_and_in_every_readers_dialect(mut message in answer()) {
        message.request_id = "0123456789abcdef01234567".into();
        let wire = envelope::write_reply(MsgId::NONE, &message);
        prop_assert!(wire.len() < MAX_REPLY);
        prop_assert!(wire.starts_with(&[0x94, 1, 0, 0xc0]));
        let sent = RpcMsgOut::decode(&wire[4..]).unwrap();
        prop_assert_eq!(sent.waf_response, message.waf_response);
        prop_assert_eq!(&sent.request_id, &message.request_id);
        prop_assert!(sent.request_headers.iter().all(|pair| message.request_headers.contains(pair)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Scanner::new(Limits::default()).scan(&bytes);
        let _ = Call::parse(&bytes);
        let _ = RpcMsgIn::decode(&bytes);
        let _ = RpcMsgIn2::decode(&bytes);
        let _ = RpcMsgOut::decode(&bytes);
    }

    #[test]
    fn a_damaged_request_never_panics(message in request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut wire = message.encode();
        let at = at.index(wire.len());
        wire[at] = byte;
        let _ = RpcMsgIn::decode(&wire);
    }

    #[test]
    fn pieces_and_whole_scan_alike(bytes in vec(any::<u8>(), 0..200), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let limits = Limits { bytes: 150, depth: 5, items: 40 };
        let whole = Scanner::new(limits).scan(&bytes);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut scanner = Scanner::new(limits);
        let mut last = Ok(Progress::Incomplete { at_least: 1 });
        for cut in cuts {
            last = scanner.scan(&bytes[..cut]);
            if !matches!(last, Ok(Progress::Incomplete { .. })) {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }
}
