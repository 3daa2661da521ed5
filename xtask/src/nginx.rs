//! The Lua module in a real nginx, with the real agent.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::command::{MEMBERS, cargo, root, run as run_command, target};
use crate::{apt, rehearsal};

/// All that must stand in one folder; what else they need may be installed.
const PACKAGES: &[&str] =
    &["nginx", "libnginx-mod-http-ndk", "libnginx-mod-http-lua", "lua-resty-core", "lua-resty-lrucache"];
const FILES: [&str; 2] = ["usr/sbin/nginx", "usr/lib/nginx/modules/ngx_http_lua_module.so"];

/// The folder in which nginx and its Lua module stand as Debian places them: `/`, or one below `.tools`.
pub(crate) fn find() -> Result<PathBuf> {
    let has = |root: &Path| FILES.iter().all(|file| root.join(file).is_file());
    let installed = PathBuf::from("/");
    if has(&installed) {
        println!("    nginx with Lua, installed");
        return Ok(installed);
    }
    let unpacked = apt::unpack("nginx", PACKAGES)?;
    ensure!(has(&unpacked), "{} has no nginx with Lua", unpacked.display());
    println!("    nginx with Lua: {}", unpacked.display());
    Ok(unpacked)
}

/// Runs the module's tests.
pub(crate) fn test() -> Result<()> {
    let nginx = find()?;
    run_command(cargo(&["build", "--bin", "portcullis-agent"])?.args(MEMBERS))?;
    let mut tests = rehearsal::python(&root()?.join("nginx/tests"))?;
    tests.env("PORTCULLIS_NGINX", nginx).env("PORTCULLIS_AGENT", target()?.join("debug/portcullis-agent"));
    run_command(&mut tests)
}
