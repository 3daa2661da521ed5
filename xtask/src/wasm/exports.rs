//! Finishing the module: which functions the host sees under which name.

use anyhow::{Result, bail, ensure};
use walrus::{Module, ModuleConfig};

use super::fence;

/// Puts the filter's own entry points in place of the SDK's and drops what the filter does not use.
///
/// An export `portcullis_on_X` becomes `proxy_on_X`. The host asks for each callback by name and skips those that are
/// absent, so that a dropped one (a response's body, say) costs nothing.
pub(super) fn finish(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut config = ModuleConfig::new();
    config.generate_name_section(false).generate_producers_section(false);
    let mut module = config.parse(bytes)?;
    for name in OWN {
        repoint(&mut module, name)?;
    }
    let unused: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !KEPT.contains(&export.name.as_str()))
        .map(walrus::Export::id)
        .collect();
    for id in unused {
        module.exports.delete(id);
    }
    for name in KEPT {
        ensure!(
            module.exports.iter().any(|export| export.name == *name),
            "the module lacks the export {name}"
        );
    }
    fence::raise(&mut module);
    walrus::passes::gc::run(&mut module);
    for import in module.imports.iter() {
        let known = import.module == "env" && import.name.starts_with("proxy_");
        ensure!(known, "the module imports {}.{}, which no host offers", import.module, import.name);
    }
    Ok(module.emit_wasm())
}

fn repoint(module: &mut Module, name: &str) -> Result<()> {
    let (own, sdk) = (format!("portcullis_on_{name}"), format!("proxy_on_{name}"));
    let find = |wanted: &str| {
        module.exports.iter().find(|export| export.name == wanted).map(|export| (export.id(), export.item))
    };
    let (Some((own_id, item)), Some((sdk_id, _))) = (find(&own), find(&sdk)) else {
        bail!("the module lacks the export {own} or {sdk}");
    };
    module.exports.delete(own_id);
    module.exports.delete(sdk_id);
    module.exports.add(&sdk, item);
    Ok(())
}

/// Callbacks that the filter answers itself.
const OWN: &[&str] =
    &["request_headers", "request_body", "request_trailers", "response_headers", "http_call_response", "log"];

/// Everything the host needs to see.
const KEPT: &[&str] = &[
    "memory",
    "malloc",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_delete",
];
