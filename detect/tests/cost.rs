//! What 300 KB can be made to cost: shapes that once made a detector read the rest of a value at each of its places.

use std::time::{Duration, Instant};

use portcullis_detect::{Body, Engine, Header, Request};

const SIZE: usize = 300 * 1024;

/// A hundred times what any of these takes without optimisation; with the square of their length all take longer.
const BOUND: Duration = Duration::from_secs(30);

fn cost(content_type: &str, body: &[u8]) -> Duration {
    let engine = Engine::default();
    let headers = [Header { name: b"content-type", value: content_type.as_bytes() }];
    let body = Body { bytes: body, truncated: false };
    let started = Instant::now();
    engine.inspect(&Request { method: b"POST", headers: &headers, body, ..Request::default() });
    started.elapsed()
}

#[test]
fn rows_of_what_is_never_closed_cost_no_more_than_their_length() {
    for unit in [
        "`",
        "sleep(",
        "alert(",
        "require('",
        "$a$",
        "/*",
        "<a b=",
        "javascript:((((",
        "${",
        "..%2f",
        "$_a(",
        "@{[",
        "/dev/tcp/",
    ] {
        let text: Vec<u8> = unit.bytes().cycle().take(SIZE).collect();
        let took = cost("text/plain", &text);
        assert!(took < BOUND, "{unit} took {took:?}");
    }
}

#[test]
fn words_that_stand_nowhere_are_not_looked_for_at_each_place() {
    let mut assigned = format!("={}", "b".repeat(50_000));
    for _ in 0..16 {
        assigned.push_str(&format!(";${}c", "b".repeat(3_000)));
    }
    let dots = format!("x.oast.funx bsh.xthisx{}", ".".repeat(95_000));
    // Measured: 1 and 9 times what sentences of that length take; 20 and 40 where each place is compared.
    for (text, times) in [(assigned, 8), (dots, 25)] {
        // The shortest of three: a machine with other work interrupts some.
        let took = (0..3).map(|_| cost("text/plain", text.as_bytes())).min().unwrap();
        let usual = cost("text/plain", "a word of it. ".repeat(text.len() / 14).as_bytes());
        assert!(took < usual * times, "{text:.40} took {took:?}, sentences {usual:?}");
    }
}

#[test]
fn a_long_key_is_not_copied_for_each_container_under_it() {
    let key = "k".repeat(SIZE / 2);
    let body = format!("{{\"\\u006b{key}\":[{}[]]}}", "[],".repeat(SIZE / 6));
    let took = cost("application/json", body.as_bytes());
    assert!(took < BOUND, "took {took:?}");
}
