//! What a large policy costs: a thousand rules and lists of a hundred thousand entries, a million clients.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_detect::{Engine, Header, Request, Signals};
use portcullis_policy::{Facts, Policy, Secret, Source, State, StateLimits};

const NOW: u64 = 1_790_000_000_000;

/// A thousand rules of the kinds that policies have, and two lists of a hundred thousand entries.
fn document() -> String {
    let mut out = String::from(
        r#"{"site": {"agentLevel": "block"}, "lists": [{"name": "ips", "type": "ip", "entries": ["#,
    );
    for index in 0..100_000_u32 {
        let address = Ipv4Addr::from_bits(0x0b00_0000 + index * 97);
        let comma = if index == 0 { "" } else { "," };
        write!(out, r#"{comma}"{address}""#).unwrap();
    }
    out += r#"]}, {"name": "agents", "type": "string", "entries": ["#;
    for index in 0..100_000 {
        let comma = if index == 0 { "" } else { "," };
        write!(out, r#"{comma}"Scraper/{index}.0 (+https://scraper-{index}.example)""#).unwrap();
    }
    out += r#"]}], "rules": ["#;
    for index in 0..1000 {
        let condition = |field: &str, operator: &str, value: &str| {
            format!(
                r#"{{"type": "single", "field": "{field}", "operator": "{operator}", "value": "{value}"}}"#
            )
        };
        let first = match index % 10 {
            0 => condition("path", "equals", &format!("/api/v1/resource-{index}")),
            1 => condition("path", "like", &format!("/shop/section-{index}/*")),
            2 => condition("path", "matches", &format!(r"^/files/{index}/[a-z]+\\.php$")),
            3 => condition("ip", "equals", &format!("198.{}.{}.0/24", index % 256, index / 4 % 256)),
            4 => condition("ip", "inList", "site.ips"),
            5 => condition("useragent", "contains", &format!("bad-bot-{index}")),
            6 => condition("useragent", "inList", "site.agents"),
            7 => condition("domain", "equals", &format!("tenant-{index}.example")),
            8 => format!(
                r#"{{"type": "multival", "field": "requestHeader", "operator": "exists", "groupOperator": "all", "conditions": [
                {{"type": "single", "field": "name", "operator": "equals", "value": "X-Tenant-{index}"}},
                {{"type": "single", "field": "value", "operator": "contains", "value": "evil"}}]}}"#
            ),
            _ => format!(
                r#"{{"type": "multival", "field": "signal", "operator": "exists", "groupOperator": "all", "conditions": [
                {{"type": "single", "field": "signalType", "operator": "equals", "value": "SQLI"}},
                {{"type": "single", "field": "parameterName", "operator": "equals", "value": "p{index}"}}]}}"#
            ),
        };
        let second = condition("method", "doesNotEqual", "DELETE");
        let comma = if index == 0 { "" } else { "," };
        write!(
            out,
            r#"{comma}{{"id": "rule-{index}", "type": "request", "enabled": true, "reason": "bench", "groupOperator": "all",
            "conditions": [{first}, {second}], "actions": [{{"type": "addSignal", "signal": "site.s{index}"}}]}}"#
        )
        .unwrap();
    }
    out + "]}"
}

fn compile(text: &str) -> Policy {
    Policy::compile(&[Source { name: "policy.json", text }]).unwrap()
}

const HEADERS: &[Header<'_>] = &[
    Header { name: b"host", value: b"shop.example" },
    Header {
        name: b"user-agent",
        value: b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    },
    Header { name: b"accept", value: b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" },
    Header { name: b"accept-language", value: b"en-GB,en;q=0.5" },
    Header { name: b"accept-encoding", value: b"gzip, deflate, br" },
    Header { name: b"referer", value: b"https://shop.example/shop/section-11/list" },
    Header { name: b"cookie", value: b"session=0123456789abcdef; theme=dark; consent=yes" },
    Header { name: b"x-forwarded-for", value: b"203.0.113.7" },
    Header { name: b"x-request-id", value: b"8d3c2c2e-0f1f-4b0e-9e7c-111111111111" },
    Header { name: b"sec-fetch-mode", value: b"navigate" },
];

fn decisions(criterion: &mut Criterion) {
    let text = document();
    let policy = compile(&text);
    let state = State::new(StateLimits::default(), &Secret::new(b"bench"));
    let engine = Engine::default();
    let requests: [(&str, &[u8]); 3] = [
        ("clean", b"/shop/section-11/item?id=42&colour=blue&size=xl"),
        ("encoded", b"/shop/section-11/%69tem/../b?id=42"),
        ("attack", b"/shop/section-11/item?id=1'+or+'1'='1&p9=x"),
    ];
    for (name, target) in requests {
        let request = Request { target, authority: b"shop.example", headers: HEADERS, ..Request::default() };
        let signals: Signals = engine.inspect(&request);
        let mut client = 0_u32;
        criterion.bench_function(&format!("decide/1000 rules/{name}"), |bencher| {
            bencher.iter(|| {
                client = client.wrapping_add(1) % 1_000_000;
                let address = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + client));
                let facts = Facts::new(&request, Some(address));
                black_box(policy.decide(&facts, &signals, state.at(NOW)))
            });
        });
    }
    let mut slow = criterion.benchmark_group("compile");
    slow.sample_size(10);
    slow.bench_function("1000 rules, 2 lists of 100000", |bencher| {
        bencher.iter(|| black_box(compile(&text)));
    });
    slow.finish();
}

/// What a million clients take, in memory and in time to be counted for the first time. Comes first: memory that something
/// else has given back would hide what is taken here.
fn memory() -> State {
    let state = State::new(StateLimits::default(), &Secret::new(b"bench"));
    let before = resident();
    let started = Instant::now();
    for index in 0..CLIENTS {
        black_box(state.tally(client(index), "attacks", NOW));
    }
    let (each, usage) = (started.elapsed().as_nanos() as f64 / f64::from(CLIENTS), state.usage());
    println!(
        "{CLIENTS} clients: {:.1} MiB resident, {} counted, {} evicted, {each:.0} ns each to add",
        (resident() - before) as f64 / (1024.0 * 1024.0),
        usage.counters,
        usage.counters_evicted,
    );
    assert!(resident() > before, "a million clients take no memory");
    state
}

/// Counts of a million clients in no order, after all of them are known: the count alone, and a decision with it.
fn counters(criterion: &mut Criterion) {
    let state = memory();
    let mut index = 0_u32;
    let mut next = move || {
        index = index.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        client(index % CLIENTS)
    };
    criterion.bench_function("count/1000000 clients", |bencher| {
        bencher.iter(|| black_box(state.tally(next(), "attacks", NOW)));
    });
    // Those that attack again and again are counted in a table of their own.
    let known = State::new(StateLimits::default(), &Secret::new(b"bench"));
    for now in [NOW, NOW + 15_000, NOW + 30_000] {
        for index in 0..CLIENTS {
            black_box(known.tally(client(index), "attacks", now));
        }
    }
    criterion.bench_function("count/1000000 clients that came three times", |bencher| {
        bencher.iter(|| black_box(known.tally(next(), "attacks", NOW + 30_000)));
    });
    println!("{} bytes for {} of them", known.usage().bytes, known.usage().counters);
    drop(known);
    let policy = Policy::default();
    let request = Request { target: b"/?id=1'+or+'1'='1", headers: HEADERS, ..Request::default() };
    let signals = Engine::default().inspect(&request);
    criterion.bench_function("decide and count/1000000 clients", |bencher| {
        bencher.iter(|| {
            let facts = Facts::new(&request, Some(next()));
            black_box(policy.decide(&facts, &signals, state.at(NOW)))
        });
    });
    let started = Instant::now();
    let snapshot = state.export(NOW);
    let (exported, size) = (started.elapsed(), snapshot.len());
    let started = Instant::now();
    State::new(StateLimits::default(), &Secret::new(b"bench")).import(&snapshot, NOW).unwrap();
    println!("snapshot: {size} bytes, exported in {exported:?}, imported in {:?}", started.elapsed());
}

const CLIENTS: u32 = 1_000_000;

fn client(index: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + index).into()
}

/// Bytes that the process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

criterion_group!(benches, counters, decisions);
criterion_main!(benches);
