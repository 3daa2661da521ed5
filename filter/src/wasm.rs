//! The Wasm side: the ABI, and the contexts that the SDK's dispatcher drives.
//!
//! The SDK's own hostcalls panic on a status they do not expect, and a panic takes the VM down and leaves paused
//! streams hanging; so the filter has its own in [`abi`], where every status is a value. Two callbacks go round the
//! dispatcher, see [`entry`].

mod abi;
mod contexts;
mod entry;

proxy_wasm::main! {{
    contexts::register();
}}
