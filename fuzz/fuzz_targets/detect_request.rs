//! A whole request under small budgets: no panic, and no signal beyond what the budgets allow.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Body, Budgets, Engine, Header, Request};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

fuzz_target!(|bytes: &[u8]| {
    // Target, headers and body between line feeds and an empty line, as on the wire.
    let mut lines = bytes.splitn(2, |&byte| byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let rest = lines.next().unwrap_or_default();
    let end = rest.windows(2).position(|pair| pair == b"\n\n").unwrap_or(rest.len());
    let (head, body) = rest.split_at(end);
    let headers: Vec<Header<'_>> = head
        .split(|&byte| byte == b'\n')
        .take(32)
        .map(|line| {
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            Header { name: &line[..colon], value: line.get(colon + 1..).unwrap_or_default().trim_ascii() }
        })
        .collect();
    let body = Body { bytes: body.get(2..).unwrap_or_default(), truncated: bytes.len() % 2 == 0 };
    let request = Request { method: b"POST", target, headers: &headers, body, ..Request::default() };
    let signals = ENGINE.inspect(&request);
    assert!(signals.len() <= Budgets::default().signals);
});
