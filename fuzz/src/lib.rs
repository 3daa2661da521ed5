//! What fuzz targets have in common.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use portcullis_detect::{Budgets, Engine, Request, Signals, Tag};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(budgets()));
static EXHAUSTIVE: LazyLock<Engine> = LazyLock::new(|| Engine::exhaustive(budgets()));

/// Fails where the pre-filter hides something that detectors would have found in `request`, or the other way round.
///
/// # Panics
///
/// When it does.
pub fn the_prefilter_hides_nothing(request: &Request<'_>) {
    assert_eq!(found(&ENGINE.inspect(request)), found(&EXHAUSTIVE.inspect(request)));
}

/// Steps enough that the two engines differ in nothing but the pre-filter.
fn budgets() -> Budgets {
    let mut budgets = Budgets::default();
    budgets.steps = usize::MAX;
    budgets
}

fn found(signals: &Signals) -> BTreeSet<(Tag, &'static str, &[u8])> {
    signals.iter().map(|signal| (signal.tag, signal.location.as_str(), signal.name.as_slice())).collect()
}
