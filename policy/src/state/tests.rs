use super::*;

const NOW: u64 = 1_790_000_000_000;

fn state() -> State {
    small(StateLimits::default())
}

fn small(limits: StateLimits) -> State {
    State::new(limits, &Secret::new(b"test"))
}

fn client(index: u32) -> Client {
    Client::new(std::net::Ipv4Addr::from_bits(0x0a00_0000 + index).into(), 64)
}

fn flag(index: u32, seconds: u64) -> Flag {
    Flag {
        client: client(index),
        kind: FlagKind::Block,
        since: NOW,
        until: NOW + seconds * 1000,
        cause: "SQLI".into(),
    }
}

fn rate() -> RateOf {
    RateOf { threshold: 2, interval: 60, duration: 300 }
}

/// A state in which something of everything was counted.
fn lived() -> State {
    let state = state();
    for index in 0..100 {
        state.count(client(index), signal_id("attacks"), 3, NOW);
        state.rate(state.rate_key([&b"rule"[..], &index.to_le_bytes()]), rate(), NOW);
    }
    for index in 0..10 {
        state.flag(flag(index, 100), NOW);
    }
    state
}

#[test]
fn counts_each_client_and_signal_apart() {
    let state = state();
    for _ in 0..3 {
        state.count(client(1), signal_id("attacks"), 2, NOW);
    }
    state.count(client(1), signal_id("SQLI"), 1, NOW);
    state.count(client(2), signal_id("attacks"), 1, NOW);
    assert_eq!(state.counts(client(1), "attacks", NOW).minute, 6);
    assert_eq!(state.counts(client(1), "sqli", NOW).minute, 1);
    assert_eq!(state.counts(client(2), "attacks", NOW).minute, 1);
    assert_eq!(state.counts(client(3), "attacks", NOW), Counts::default());
}

#[test]
fn a_flag_holds_until_its_second() {
    let state = state();
    assert!(state.flag(flag(1, 100), NOW));
    assert!(state.flagged(client(1), FlagKind::Block, NOW + 99_999).is_some());
    assert!(state.flagged(client(1), FlagKind::Block, NOW + 100_000).is_none());
    assert!(state.flagged(client(1), FlagKind::Log, NOW).is_none());
    // A shorter one does not take from it, a longer one prolongs it.
    assert!(!state.flag(flag(1, 50), NOW));
    assert!(state.flag(flag(1, 200), NOW));
    assert_eq!(state.sweep(NOW + 199_999), []);
    assert_eq!(state.sweep(NOW + 200_000), [flag(1, 200)]);
    assert_eq!(state.usage().flags, 0);
}

#[test]
fn an_operator_can_take_a_flag_back() {
    let state = lived();
    assert_eq!(state.unflag(client(3), NOW), [flag(3, 100)]);
    assert!(state.flagged(client(3), FlagKind::Block, NOW).is_none());
    assert_eq!(state.counts(client(3), "attacks", NOW), Counts::default());
    assert_eq!(state.flags(NOW).len(), 9);
}

#[test]
fn comes_back_whole_from_a_snapshot() {
    let state = lived();
    let bytes = state.export(NOW);
    let restored = self::state();
    let imported = restored.import(&bytes, NOW + 5000).unwrap();
    assert_eq!(imported, Imported { taken: NOW, flags: 10, counters: 100, rates: 100 });
    assert_eq!(restored.flags(NOW), state.flags(NOW));
    for index in 0..100 {
        assert_eq!(
            restored.counts(client(index), "attacks", NOW),
            state.counts(client(index), "attacks", NOW)
        );
    }
    assert_eq!(restored.export(NOW).len(), bytes.len());
}

#[test]
fn what_is_over_does_not_come_back() {
    let bytes = lived().export(NOW);
    let restored = state();
    let imported = restored.import(&bytes, NOW + 10_000_000).unwrap();
    assert_eq!((imported.flags, imported.counters, imported.rates), (0, 0, 0));
}

#[test]
fn another_secret_brings_back_all_but_rates() {
    let restored = State::new(StateLimits::default(), &Secret::new(b"other"));
    let imported = restored.import(&lived().export(NOW), NOW).unwrap();
    assert_eq!((imported.flags, imported.counters, imported.rates), (10, 100, 0));
    assert_eq!(restored.counts(client(5), "attacks", NOW).minute, 3);
}

#[test]
fn a_torn_or_foreign_snapshot_is_refused_with_a_reason_and_adds_nothing() {
    let bytes = lived().export(NOW);
    let restored = state();
    for end in (0..bytes.len()).step_by(97).chain(bytes.len() - 9..bytes.len()) {
        let error = restored.import(&bytes[..end], NOW).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
    for at in (0..bytes.len()).step_by(31) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        restored.import(&damaged, NOW).unwrap_err();
    }
    assert_eq!(restored.import(b"{}", NOW), Err(StateError::Foreign));
    let mut newer = bytes.clone();
    newer[7] = 9;
    assert_eq!(restored.import(&newer, NOW), Err(StateError::Version { version: 9 }));
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(restored.import(&longer, NOW), Err(StateError::Checksum));
    assert_eq!(restored.usage(), Usage::default());
}

#[test]
fn a_journal_brings_back_what_was_acknowledged_up_to_a_torn_end() {
    let mut bytes = Vec::new();
    for index in 0..5 {
        bytes.extend(Change::Set(flag(index, 100)).to_entry());
    }
    bytes.extend(Change::Cleared(flag(2, 100)).to_entry());
    let whole = bytes.len();
    bytes.extend(Change::Set(flag(9, 100)).to_entry());
    for end in whole..bytes.len() {
        let journal = Journal::read(&bytes[..end]);
        assert_eq!((journal.changes.len(), journal.torn), (6, end - whole));
        let state = state();
        assert_eq!(state.replay(&journal, NOW + 1), 5);
        let held: Vec<_> = state.flags(NOW + 1).iter().map(|flag| flag.client).collect();
        assert_eq!(held, [0, 1, 3, 4].map(client));
    }
}

#[test]
fn a_rate_limit_holds_for_its_duration() {
    let state = state();
    let key = state.rate_key([&b"rule"[..], b"client"]);
    let seen: Vec<_> = (0..4).map(|step| state.rate(key, rate(), NOW + step * 1000)).collect();
    assert_eq!(seen, [Limited::No, Limited::No, Limited::Now, Limited::Still]);
    assert!(state.is_limited(key, NOW + 301_000) && !state.is_limited(key, NOW + 302_000));
    assert_ne!(state.rate_key([&b"ab"[..], b"c"]), state.rate_key([&b"a"[..], b"bc"]));
}

#[test]
fn memory_is_bounded_and_says_what_had_to_leave() {
    let state = small(StateLimits { counters: 1024, flags: 512, rates: 1024 });
    for index in 0..20_000 {
        state.count(client(index), 1, 1, NOW);
        state.flag(flag(index, 1000 + u64::from(index)), NOW);
        state.rate(state.rate_key([&index.to_le_bytes()[..]]), rate(), NOW);
    }
    let usage = state.usage();
    assert!(usage.counters <= 1024 + 64 && usage.flags <= 512 + 32 && usage.rates <= 1024 + 64, "{usage:?}");
    assert_eq!(usage.counters_evicted + usage.counters as u64, 20_000);
    assert_eq!(usage.flags_evicted + usage.flags as u64, 20_000);
    // Who is flagged for longest stays.
    assert!(state.flagged(client(19_999), FlagKind::Block, NOW).is_some());
}

#[test]
fn remembers_an_address_in_less_than_fifty_bytes() {
    let state = state();
    let addresses = 100_000;
    for index in 0..addresses {
        state.count(client(index), signal_id("attacks"), 1, NOW);
    }
    let usage = state.usage();
    assert_eq!(usage.counters, addresses as usize);
    let each = usage.bytes / usage.counters;
    println!("{each} bytes an address that attacked once");
    assert!(each < 50, "{each}");
    // Those that come back within a minute, a second time, take no more; the third time they do.
    for minute in 1..4 {
        for index in 0..addresses {
            state.count(client(index), signal_id("attacks"), 1, NOW + minute * 15_000);
        }
        let each = state.usage().bytes / usage.counters;
        println!("{each} bytes an address that attacked {} times", minute + 1);
        assert!(each < if minute == 1 { 50 } else { 85 }, "{minute} {each}");
    }
    assert_eq!(state.counts(client(7), "attacks", NOW + 45_000).minute, 4);
    // What is forgotten is given back.
    state.sweep(NOW + 10_000_000);
    assert!(state.usage().bytes < 500_000, "{}", state.usage().bytes);
}

#[test]
fn comes_back_from_its_parts() {
    let state = state();
    for index in 0..1000 {
        state.count(client(index), 7, 3, NOW);
        state.flag(flag(index, 60_000), NOW);
    }
    // Of these more is known.
    for step in 1..9 {
        for index in 0..100 {
            state.count(client(index), 7, 1, NOW + step * 40_000);
        }
    }
    let again = self::state();
    let parts: Vec<_> = state.export_parts(NOW).collect();
    assert!(parts.len() > 1);
    let imported = parts.iter().map(|part| again.import(part, NOW).unwrap());
    let (flags, counters) = imported.fold((0, 0), |sum, of| (sum.0 + of.flags, sum.1 + of.counters));
    assert_eq!((flags, counters), (1000, 1000));
    assert_eq!(again.flags(NOW), state.flags(NOW));
    for index in 0..1000 {
        let key = (client(index).halves(), 7);
        let counts = |state: &State| {
            let (shard, hash) = state.place(key);
            shard.counters.counts(hash, key, seconds(NOW + 320_000))
        };
        assert_eq!(counts(&again), counts(&state));
        assert_eq!(counts(&again).hour, if index < 100 { 11 } else { 3 });
    }
}
