//! Frames, calls and messages of the module protocol: no panic, and what is read and written again reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_protocol::envelope::{Call, peek_msgid};
use portcullis_protocol::frame::{Limits, Progress, Scanner};
use portcullis_protocol::{RpcMsgIn, RpcMsgIn2, RpcMsgOut};

fuzz_target!(|bytes: &[u8]| {
    let _ = peek_msgid(bytes);
    let mut params = bytes;
    if let Ok(Progress::Complete { len }) = Scanner::new(Limits::default()).scan(bytes) {
        let frame = &bytes[..len];
        if let Ok(call) = Call::parse(frame) {
            assert_eq!(peek_msgid(frame), Some(call.msgid));
            params = call.params;
        }
    }
    // A value's type is not kept: what counts is that what was understood is understood again.
    if let Ok(message) = RpcMsgIn::decode(params) {
        assert_eq!(RpcMsgIn::decode(&message.encode()).expect("its own encoding"), message);
    }
    if let Ok(message) = RpcMsgIn2::decode(params) {
        assert_eq!(RpcMsgIn2::decode(&message.encode()).expect("its own encoding"), message);
    }
    if let Ok(message) = RpcMsgOut::decode(params) {
        assert_eq!(RpcMsgOut::decode(&message.encode()).expect("its own encoding"), message);
    }
});
