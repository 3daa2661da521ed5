//! Headers in which the engine found nothing before, for each thread its own: none waits for another.
//!
//! A client's headers are mostly what it sent before, and nine of ten are what many others send.

use std::cell::RefCell;

use portcullis_detect::{Engine, Memo, Request, Signals};

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::new(Kept { engine: 0, memo: Memo::default() });
}

/// What is kept, and of which engine it is true.
struct Kept {
    engine: u64,
    memo: Memo,
}

/// Has `inspect` inspect a request with `engine`, which has this `number` and no other engine has; says which headers
/// need not be read again, and notes them where nothing is found.
pub(crate) fn inspect(
    (engine, number): (&Engine, u64),
    request: &Request<'_>,
    inspect: impl FnOnce(&Engine, u64) -> Option<Signals>,
) -> Option<Signals> {
    let looked = KEPT.with_borrow_mut(|kept| {
        if kept.engine != number {
            *kept = Kept { engine: number, memo: Memo::default() };
        }
        kept.memo.look(request.headers)
    });
    let signals = inspect(engine, looked.known())?;
    if signals.is_empty() {
        KEPT.with_borrow_mut(|kept| kept.memo.learn(request.headers, &looked));
    }
    Some(signals)
}

#[cfg(test)]
mod tests {
    use portcullis_detect::Header;

    use super::*;

    fn known(number: u64, agent: &[u8]) -> u64 {
        let headers = [Header { name: b"user-agent", value: agent }];
        let request = Request { headers: &headers, ..Request::default() };
        let mut told = 0;
        let engine = Engine::default();
        inspect((&engine, number), &request, |engine, known| {
            told = known;
            Some(engine.inspect_unknown(&request, known))
        });
        told
    }

    #[test]
    fn what_one_engine_passed_another_reads() {
        assert_eq!([1, 1, 1].map(|number| known(number, b"Mozilla/5.0 (X11)")), [0, 0, 1]);
        assert_eq!(known(2, b"Mozilla/5.0 (X11)"), 0);
    }

    #[test]
    fn what_an_engine_found_something_in_is_read_again() {
        assert_eq!([3; 3].map(|number| known(number, b"sqlmap/1.8")), [0; 3]);
    }
}
