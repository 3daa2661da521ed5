//! What a request can be made to cost: hostile text repeated to 300 KB in every place that takes a body, the dearest
//! shapes first. `-- --search SECONDS` also joins the pieces at random and keeps what costs most.

mod pieces;
mod shapes;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use portcullis_detect::{Body, Engine, Header, Request, Tag};

use self::pieces::PIECES;
use self::shapes::{PLACES, Place, SIZE, documents};

fn main() -> Result<()> {
    let mut search = Duration::ZERO;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--search" {
            let seconds = args.next().context("--search needs seconds")?;
            search = Duration::from_secs(seconds.parse()?);
        }
    }
    let engine = Engine::default();
    let mut found: Vec<Cost> = PIECES
        .iter()
        .flat_map(|piece| PLACES.iter().map(move |place| (piece.as_bytes().to_vec(), place)))
        .map(|(unit, place)| Cost::of(&engine, unit, place))
        .collect();
    found.extend(
        documents()
            .into_iter()
            .map(|(name, content_type, body)| Cost::of_body(&engine, name, content_type, &body)),
    );
    let started = Instant::now();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    while started.elapsed() < search {
        let count = 1 + random.below(4);
        let unit: Vec<u8> = (0..=count).flat_map(|_| PIECES[random.below(PIECES.len())].bytes()).collect();
        let place = &PLACES[random.below(PLACES.len())];
        found.push(Cost::of(&engine, unit, place));
    }
    found.sort_by_key(|cost| std::cmp::Reverse(cost.time));
    println!("{:>9}  {:<7} {:<10} repeated", "us", "limit", "place");
    for cost in found.iter().take(SHOWN) {
        let limit = if cost.limited { "limited" } else { "" };
        println!(
            "{:9.0}  {limit:<7} {:<10} {}",
            cost.time.as_secs_f64() * 1e6,
            cost.place,
            cost.unit.escape_ascii()
        );
    }
    println!("{} shapes of {SIZE} bytes", found.len());
    Ok(())
}

/// Shapes that are shown.
const SHOWN: usize = 40;

struct Cost {
    time: Duration,
    place: &'static str,
    unit: Vec<u8>,
    limited: bool,
}

impl Cost {
    fn of(engine: &Engine, unit: Vec<u8>, place: &Place) -> Self {
        let body = (place.fill)(&unit);
        Self { unit, ..Self::of_body(engine, place.name, place.content_type, &body) }
    }

    fn of_body(engine: &Engine, place: &'static str, content_type: &'static str, body: &[u8]) -> Self {
        let headers = [Header { name: b"content-type", value: content_type.as_bytes() }];
        let body = Body { bytes: body, truncated: false };
        let request = Request { method: b"POST", headers: &headers, body, ..Request::default() };
        let time = |_| {
            let started = Instant::now();
            let signals = engine.inspect(&request);
            (started.elapsed(), signals.iter().any(|signal| signal.tag == Tag::InspectionLimit))
        };
        // The least of two: the machine may have been busy.
        let (time, limited) = (0..2).map(time).min().unwrap_or_default();
        Self { time, place, unit: Vec::new(), limited }
    }
}

/// Xorshift: the same shapes at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or_default()
    }
}
