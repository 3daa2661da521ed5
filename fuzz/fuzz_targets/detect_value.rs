//! One value through every decoder and detector, with the pre-filter and without: both find the same.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_detect::{Budgets, Engine, Header, Request, Signals, Tag};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(budgets()));
static EXHAUSTIVE: LazyLock<Engine> = LazyLock::new(|| Engine::exhaustive(budgets()));

/// Steps enough that the two engines differ in nothing but the pre-filter.
fn budgets() -> Budgets {
    let mut budgets = Budgets::default();
    budgets.steps = usize::MAX;
    budgets
}

fn found(signals: &Signals) -> BTreeSet<(Tag, &[u8])> {
    signals.iter().map(|signal| (signal.tag, signal.name.as_slice())).collect()
}

fuzz_target!(|value: &[u8]| {
    let headers = [Header { name: b"x-value", value }, Header { name: b"user-agent", value }];
    let request = Request { target: value, headers: &headers, ..Request::default() };
    assert_eq!(found(&ENGINE.inspect(&request)), found(&EXHAUSTIVE.inspect(&request)));
});
