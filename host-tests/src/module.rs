//! The module under test.

use std::path::PathBuf;
use std::sync::OnceLock;

use wasmtime::{Engine, Module};

/// The finished module, compiled once a test program.
pub(crate) fn filter() -> &'static (Engine, Module) {
    static FILTER: OnceLock<(Engine, Module)> = OnceLock::new();
    FILTER.get_or_init(|| {
        let path = path();
        assert!(
            path.is_file(),
            "{} is missing. Build it: cargo xtask wasm. cargo xtask test does so by itself; {VARIABLE} names \
             another one",
            path.display()
        );
        let engine = Engine::default();
        let module = Module::from_file(&engine, &path)
            .unwrap_or_else(|error| panic!("{} is not a module: {error:?}", path.display()));
        (engine, module)
    })
}

fn path() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/wasm/filter.wasm");
    std::env::var_os(VARIABLE).map_or_else(built, PathBuf::from)
}

const VARIABLE: &str = "PORTCULLIS_FILTER_WASM";
