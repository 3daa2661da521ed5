use super::*;
use crate::bytestr::ByteStr;

fn call(msgid: &[u8]) -> Vec<u8> {
    [&[0x94, 0x00], msgid, b"\xaeRPC.PreRequest\x91\x80"].concat()
}

#[test]
fn echoes_every_integer_as_it_came() {
    let ids: [&[u8]; 11] = [
        &[0x00],
        &[0x7f],
        &[0xff],
        &[0xcc, 1],
        &[0xcd, 0, 1],
        &[0xce, 0xff, 0xff, 0xff, 0xff],
        &[0xcf, 0, 0, 0, 0, 0, 0, 0, 9],
        &[0xd0, 0x80],
        &[0xd1, 0, 1],
        &[0xd2, 0, 0, 0, 1],
        &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 1],
    ];
    for id in ids {
        let wire = call(id);
        let call = Call::parse(&wire).unwrap();
        assert_eq!(call.msgid.as_bytes(), id);
        assert_eq!(call.method, Method::PreRequest);
        assert_eq!(call.params, [0x80]);
        assert_eq!(write_ack(call.msgid), [&[0x94, 0x01], id, &[0xc0, 0x00]].concat());
    }
}

#[test]
fn answers_what_is_no_call_under_the_id_it_has() {
    let id = [0x07];
    let known = MsgId::from_wire(&id).unwrap();
    let cases: [(&[u8], MsgId, Fault); 9] = [
        (&[0x93, 2, 0xa1, b'x', 0x90], MsgId::NONE, Fault::Shape),
        (&[0x80], MsgId::NONE, Fault::Shape),
        (&[], MsgId::NONE, Fault::Shape),
        (&[0x94, 1, 7, 0xc0, 1], MsgId::NONE, Fault::Type),
        (b"\x94\x00\xa1a\xa1x\x91\x80", MsgId::NONE, Fault::MsgId),
        (b"\x94\x00\xc0\xa1x\x91\x80", MsgId::NONE, Fault::MsgId),
        (&[0x94, 0, 7, 5, 0x91, 0x80], known, Fault::Method),
        (b"\x94\x00\x07\xa1x\x90", known, Fault::Params),
        (b"\x94\x00\x07\xa1x\xc0", known, Fault::Params),
    ];
    for (wire, msgid, fault) in cases {
        assert_eq!(Call::parse(wire), Err(CallError { msgid, fault }), "{wire:02x?}");
    }
}

#[test]
fn knows_four_methods_and_says_so_of_others() {
    for (name, method) in [
        ("RPC.ModuleInit", Method::ModuleInit),
        ("RPC.PreRequest", Method::PreRequest),
        ("RPC.PostRequest", Method::PostRequest),
        ("RPC.UpdateRequest", Method::UpdateRequest),
        ("RPC.prerequest", Method::Unknown),
        ("", Method::Unknown),
    ] {
        let wire = write_call(u32::MAX, name, &[0x80]);
        assert_eq!(Call::parse(&wire).map(|call| call.method), Ok(method));
    }
    assert_eq!(Call::parse(b"\x94\x00\x00\xc4\x02\xff\xfe\x91\x80").unwrap().method, Method::Unknown);
}

#[test]
fn writes_the_replies_that_all_modules_are_known_to_read() {
    let wire = call(&[1]);
    let msgid = Call::parse(&wire).unwrap().msgid;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let allow = RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() };
    assert_eq!(
        hex(&write_reply(msgid, &allow)),
        "940101c083ab574146526573706f6e7365d100c8a9526571756573744944a0ae526571756573744865616465727390"
    );
    let block = RpcMsgOut {
        waf_response: 406,
        request_id: "0123456789abcdef01234567".into(),
        request_headers: vec![(names::TAGS_HEADER.into(), "SQLI".into())],
        ..RpcMsgOut::default()
    };
    assert_eq!(
        hex(&write_reply(msgid, &block)),
        "940101c083ab574146526573706f6e7365d10196a9526571756573744944b8303132333435363738396162636465663031323334353637\
         ae52657175657374486561646572739192ad582d5369675363692d54616773a453514c49"
    );
    let redirect = RpcMsgOut {
        waf_response: 302,
        request_headers: vec![(names::REDIRECT_HEADER.into(), "/redirected".into())],
        ..block
    };
    assert!(
        hex(&write_reply(msgid, &redirect))
            .ends_with("9192b1582d5369677363692d5265646972656374ab2f72656469726563746564")
    );
    assert_eq!(hex(&write_error(msgid, "boom")), "940101a4626f6f6dc0");
}

#[test]
fn keeps_every_reply_under_the_limit_and_the_verdict_in_it() {
    for len in [1, 30, 31, 32, 200, 255, 256, 900, 950, 1000, 5000, 70_000] {
        let headers: Vec<_> =
            (0..20).map(|_| (ByteStr::from("X-SigSci-Tags"), ByteStr::from(vec![b'a'; len]))).collect();
        let message = RpcMsgOut {
            waf_response: 406,
            request_id: "0123456789abcdef01234567".into(),
            request_headers: headers,
            resp_actions: vec![crate::RespAction { code: 1, args: vec!["X-A".into(), "b".into()] }],
            ..RpcMsgOut::default()
        };
        let whole = message.encode().len() + 12 < MAX_REPLY;
        let id = MsgId::from_wire(&[0xcf, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let wire = write_reply(id, &message);
        assert!(wire.len() < MAX_REPLY, "{} bytes for {len}", wire.len());
        let sent = RpcMsgOut::decode(&wire[12..]).unwrap();
        assert_eq!((sent.waf_response, &sent.request_id), (406, &message.request_id));
        assert_eq!(sent == message, whole);
        // Whatever fits is sent.
        let pair = 15 + string_len(&vec![b'a'; len]);
        assert!(whole || wire.len() + pair + HEADER_COUNT >= MAX_REPLY || sent.request_headers.len() == 20);
    }
}

#[test]
fn cuts_an_error_text() {
    let wire = write_error(MsgId::NONE, &"x".repeat(5000));
    assert_eq!(wire.len(), 3 + 3 + MAX_ERROR_TEXT + 1);
    assert_eq!(wire[3], 0xda);
}

#[test]
fn knows_the_id_of_a_call_that_is_not_all_there() {
    let wire = call(&[0xce, 1, 2, 3, 4]);
    for cut in 0..wire.len() {
        let known = peek_msgid(&wire[..cut]).map(|msgid| msgid.as_bytes().to_vec());
        assert_eq!(known, (cut >= 7).then(|| vec![0xce, 1, 2, 3, 4]), "{cut}");
    }
    assert_eq!(peek_msgid(&[0x94, 1, 1]), None);
    assert_eq!(peek_msgid(&[0xdd, 0xff, 0xff, 0xff, 0xff]), None);
}
