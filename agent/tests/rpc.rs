//! The module RPC over real sockets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::net::TcpStream;

use common::{
    Agent, HalfClose, MSGID, PATIENCE, captures, command, error_text, everything, message, pre_request,
    verdict,
};
use portcullis_protocol::RpcMsgOut;
use portcullis_protocol::envelope::{MAX_REPLY, write_call};
use tempfile::TempDir;

const ATTACK: &str = "/?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E";

#[test]
fn answers_every_capture_whole_in_pieces_and_half_closed() {
    let agent = Agent::blocking();
    for capture in captures() {
        let (name, wire) = (&capture.name, &capture.wire);
        let whole = agent.exchange(wire);
        let mut pieces = agent.connect();
        for piece in wire.chunks(wire.len().div_ceil(3)) {
            pieces.write_all(piece).unwrap();
        }
        let mut closed = agent.connect();
        closed.write_all(wire).unwrap();
        closed.half_close();
        for reply in [whole, everything(pieces), everything(closed)] {
            assert!(reply.len() < MAX_REPLY, "{name}");
            // One-byte ids and random ones of 32 bits: each comes back as it came.
            let id = if wire[2] == 0xce { &wire[2..7] } else { &wire[2..3] };
            let result = reply.strip_prefix(&[&[0x94, 0x01], id, &[0xc0]].concat()[..]).unwrap();
            if name.ends_with("PostRequest") || name.ends_with("UpdateRequest") {
                assert_eq!(result, [0], "{name}");
            } else {
                let answer = RpcMsgOut::decode(result).unwrap();
                assert!(
                    capture.expect.is_none_or(|code| code == i64::from(answer.waf_response)),
                    "{name}: {answer:?}"
                );
                // An id, and with it a report of the response, exactly where there are signals.
                assert_eq!(answer.request_id.len(), 24 * answer.request_headers.len(), "{name}: {answer:?}");
            }
        }
    }
}

#[test]
fn answers_a_request_that_comes_byte_by_byte() {
    let agent = Agent::blocking();
    let mut stream = agent.connect();
    for byte in pre_request(ATTACK) {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(verdict(&everything(stream)).waf_response, 406);
}

#[test]
fn blocks_an_attack_names_it_and_gives_an_id() {
    let agent = Agent::blocking();
    let reply = agent.exchange(&pre_request(ATTACK));
    let answer = verdict(&reply);
    assert_eq!((answer.waf_response, answer.request_id.len()), (406, 24));
    assert_eq!(answer.request_headers, [("X-SigSci-Tags".into(), "XSS,BLOCKED".into())]);
    let reply = agent.exchange(&pre_request("/hello?name=bob"));
    assert_eq!(verdict(&reply), RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() });
}

#[test]
fn watches_only_without_a_policy_and_does_nothing_when_off() {
    let dir = TempDir::new().unwrap();
    let mut command = command(&dir);
    let agent = Agent::start(dir, &mut command);
    let reply = agent.exchange(&pre_request(ATTACK));
    assert_eq!((verdict(&reply).waf_response, verdict(&reply).request_id.len()), (200, 24));
    let agent = Agent::with_policy(r#"{"site": {"agentLevel": "off"}}"#);
    let reply = agent.exchange(&pre_request(ATTACK));
    assert_eq!(verdict(&reply), RpcMsgOut { waf_response: 200, ..RpcMsgOut::default() });
}

#[test]
fn sends_a_blocked_client_elsewhere_where_told_to() {
    let agent = Agent::with_policy(
        r#"{"site": {"agentLevel": "block", "immediateBlock": true, "blockHTTPCode": 302, "blockRedirectURL": "/no"}}"#,
    );
    let reply = agent.exchange(&pre_request(ATTACK));
    let answer = verdict(&reply);
    assert_eq!(answer.waf_response, 302);
    assert_eq!(answer.request_headers[0], ("X-Sigsci-Redirect".into(), "/no".into()));
}

#[test]
fn inspects_a_large_body() {
    let agent = Agent::blocking();
    let mut request = message("/");
    request.method = "POST".into();
    request.headers_in.push(("Content-Type".into(), "application/x-www-form-urlencoded".into()));
    for (end, code) in [("&b=2", 200), ("&b=<script>alert(document.cookie)</script>", 406)] {
        request.post_body = format!("a={}{end}", "x".repeat(100_000)).into();
        let reply = agent.exchange(&write_call(MSGID, "RPC.PreRequest", &request.encode()));
        assert_eq!(verdict(&reply).waf_response, code);
    }
}

#[test]
fn half_closes_after_the_reply_and_waits_for_the_peer() {
    let agent = Agent::blocking();
    let mut stream = agent.connect();
    stream.write_all(&pre_request("/")).unwrap();
    // The end of the stream comes though this side is open.
    assert_eq!(verdict(&everything(&stream)).waf_response, 200);
    // And this side can still be written to: the agent has not closed yet.
    stream.write_all(b"late").unwrap();
}

#[test]
fn answers_what_it_does_not_understand_with_an_error() {
    let agent = Agent::blocking();
    let cases: [(&[u8], &str); 7] = [
        (&write_call(MSGID, "RPC.NoSuchMethod", &[0x80]), "unknown method"),
        (&write_call(MSGID, "RPC.PreRequest", &[0x91, 0x01]), "message is not a map"),
        (b"\x94\x00\x07\xaeRPC.PreRequest\x90", "parameters are not an array of one"),
        (b"\x94\x00\x00\xdb\xff\xff\xff\xff", "longer than"),
        (b"\xdd\xff\xff\xff\xff", "longer than"),
        (&[0x91; 100_000], "nested deeper"),
        (b"\x93\x02\xaeRPC.PreRequest\x91\x80", "not a msgpack-rpc request"),
    ];
    for (wire, text) in cases {
        let said = error_text(&agent.exchange(wire));
        assert!(said.contains(text), "{said}");
    }
    assert!(agent.is_alive());
}

#[test]
fn answers_a_request_that_is_cut_off_under_its_id() {
    let agent = Agent::blocking();
    let wire = pre_request("/");
    for cut in [1, 7, 8, 40, wire.len() - 1] {
        let mut stream = agent.connect();
        stream.write_all(&wire[..cut]).unwrap();
        stream.half_close();
        let reply = everything(stream);
        assert!(error_text(&reply).contains("request is cut off"));
        assert_eq!(reply.starts_with(&[0x94, 1, 0xce, 0xfe, 0xdc, 0xba, 0x98]), cut >= 7);
    }
    assert!(agent.is_alive());
}

#[test]
fn survives_peers_that_leave() {
    let agent = Agent::blocking();
    for _ in 0..100 {
        agent.connect().write_all(&pre_request(ATTACK)).unwrap();
        drop(agent.connect());
    }
    assert!(agent.is_alive());
}

#[test]
fn is_not_hurt_by_idle_connections() {
    let agent = Agent::blocking();
    let idle: Vec<_> = (0..300).map(|_| agent.connect()).collect();
    let begun: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = agent.connect();
            stream.write_all(&pre_request("/")[..20]).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(verdict(&agent.exchange(&pre_request(ATTACK))).waf_response, 406);
    }
    for mut stream in begun {
        stream.write_all(&pre_request("/")[20..]).unwrap();
        assert_eq!(verdict(&everything(stream)).waf_response, 200);
    }
    drop(idle);
}

#[test]
fn serves_every_spelling_of_its_address() {
    let dir = TempDir::new().unwrap();
    let unix = format!("unix:{}", dir.path().join("agent.sock").display());
    for (spelling, expected) in
        [(unix.as_str(), unix.as_str()), ("127.0.0.1:0", "127.0.0.1:"), ("0", "127.0.0.1:")]
    {
        let dir = TempDir::new().unwrap();
        let mut command = command(&dir);
        let agent = Agent::start(dir, command.env("SIGSCI_RPC_ADDRESS", spelling));
        assert!(agent.address.starts_with(expected), "{}", agent.address);
        if let Ok(mut stream) = TcpStream::connect(&agent.address) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&pre_request(ATTACK)).unwrap();
            assert_eq!(verdict(&everything(stream)).waf_response, 200);
        } else {
            assert!(expected.starts_with("unix:"));
        }
    }
}
