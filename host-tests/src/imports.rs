//! The host functions. What a proxy would refuse is refused with its status; what a filter must never do is an error,
//! which ends the callback and fails the test.

mod deeds;
mod looks;

use wasmtime::{Caller, Engine, Error, Linker, Module, Result, Val};

use crate::world::World;

/// All imports of the module.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<World>> {
    let mut linker = Linker::new(engine);
    looks::define(&mut linker)?;
    deeds::define(&mut linker)?;
    define_unexpected(&mut linker)?;
    Ok(linker)
}

/// The SDK imports these; the filter has no reason to call any of them.
fn define_unexpected(linker: &mut Linker<World>) -> Result<()> {
    macro_rules! unexpected {
        ($($name:literal ($($kind:ty),*);)*) => {
            $(linker.func_wrap("env", $name, |_: Caller<'_, World>, $(_: $kind),*| -> Result<u32> {
                Err(Error::msg(concat!("unexpected hostcall ", $name)))
            })?;)*
        };
    }
    unexpected! {
        "proxy_dequeue_shared_queue"(u32, u32, u32);
        "proxy_done"();
        "proxy_enqueue_shared_queue"(u32, u32, u32);
        "proxy_get_header_map_value"(u32, u32, u32, u32, u32);
        "proxy_get_status"(u32, u32, u32);
        "proxy_grpc_call"(u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32, u32);
        "proxy_grpc_cancel"(u32);
        "proxy_grpc_close"(u32);
        "proxy_grpc_send"(u32, u32, u32, u32);
        "proxy_grpc_stream"(u32, u32, u32, u32, u32, u32, u32, u32, u32);
        "proxy_register_shared_queue"(u32, u32, u32);
        "proxy_resolve_shared_queue"(u32, u32, u32, u32, u32);
        "proxy_set_buffer_bytes"(u32, u32, u32, u32, u32);
        "proxy_set_header_map_pairs"(u32, u32, u32);
    }
    Ok(())
}

/// Has one function answer with a status, and do nothing.
pub(crate) fn breaks(linker: &mut Linker<World>, module: &Module, name: &str, status: u32) -> Result<()> {
    let import = module.imports().find(|import| import.name() == name);
    let kind = import.and_then(|import| import.ty().func().cloned());
    let kind = kind.ok_or_else(|| Error::msg(format!("the module imports no function {name}")))?;
    linker.allow_shadowing(true);
    linker.func_new("env", name, kind, move |_, _, results| {
        results.iter_mut().for_each(|result| *result = Val::I32(status.cast_signed()));
        Ok(())
    })?;
    Ok(())
}

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const CAS_MISMATCH: u32 = 8;
