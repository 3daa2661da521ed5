//! A policy file of arbitrary text, as JSON or YAML: no panic; a refusal names a line that exists; what compiles says the
//! same with an explanation as without one, and its facts for filters are facts.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Engine, Header, Request, Response, Signals};
use portcullis_policy::{Facts, Policy, Secret, Source, State, StateLimits};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

const HEADERS: &[Header<'_>] = &[
    Header { name: b"host", value: b"shop.example" },
    Header { name: b"user-agent", value: b"curl/8" },
    Header { name: b"cookie", value: b"session=1; portcullis_challenge=1.2.3.4" },
];
const NOW: u64 = 1_790_000_000_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    // A file that is called after a key is that key's value.
    let name = ["policy.json", "policy.yaml", "siteRules.json", "corp-lists.yaml"][usize::from(first) % 4];
    let policy = match Policy::compile(&[Source { name, text: &text }]) {
        Ok(policy) => policy,
        Err(error) => {
            // YAML knows more line ends than one.
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                assert!(problem.file == name && problem.line <= lines, "{problem} of {lines} lines");
            }
            return;
        }
    };
    let request = Request {
        method: b"POST",
        target: b"/login?id=1'+or+'1'='1&page=2",
        authority: b"shop.example",
        headers: HEADERS,
        ..Request::default()
    };
    let signals = ENGINE.inspect(&request);
    let limits = StateLimits { counters: 16, flags: 16, rates: 16 };
    let state = || State::new(limits, &Secret::new(b"fuzz"));
    let (one, other) = (state(), state());
    let facts = Facts::new(&request, Some([192, 0, 2, 1].into()));
    for _ in 0..2 {
        let mut plain = policy.decide(&facts, &signals, one.at(NOW));
        let mut explained = policy.explain(&facts, &signals, other.at(NOW));
        explained.trail.clear();
        if let (Some(remembered), Some(_)) = (plain.remembered.take(), explained.remembered.take()) {
            let response = Response { code: 404, target: request.target, headers: HEADERS };
            let found = Signals::default();
            let plain = policy.respond(&remembered, &response, &found, one.at(NOW));
            let mut explained = policy.explain_response(&remembered, &response, &found, other.at(NOW));
            explained.trail.clear();
            assert_eq!(plain, explained);
        }
        assert_eq!(plain, explained);
    }
    let known = policy.local_facts(&one, NOW, 4);
    assert!(known.flagged.len() <= 4 && known.allow.len() <= 4 && known.block.len() <= 4);
});
