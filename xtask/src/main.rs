//! The task runner: `cargo xtask TASK`.

mod corpus;
mod wasm;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("corpus") => corpus::run(args),
        Some("wasm") => wasm::run(args),
        other => bail!("unknown task {other:?}; tasks: corpus, wasm"),
    }
}
