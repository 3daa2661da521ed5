//! Calls that only look.

use wasmtime::{Caller, Error, Linker, Result};

use super::{BAD_ARGUMENT, NOT_FOUND, OK};
use crate::memory;
use crate::world::{Phase, World};

type Host<'a> = Caller<'a, World>;

pub(super) fn define(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap("env", "proxy_get_current_time_nanoseconds", |mut host: Host<'_>, time: u32| {
        let nanos = host.data().nanos;
        memory::write(&mut host, time, &nanos.to_le_bytes()).map(|()| OK)
    })?;
    linker.func_wrap("env", "proxy_get_buffer_bytes", buffer)?;
    linker.func_wrap("env", "proxy_get_header_map_pairs", map)?;
    linker.func_wrap("env", "proxy_get_property", property)?;
    linker.func_wrap("env", "proxy_get_shared_data", shared_data)?;
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn buffer(mut host: Host<'_>, kind: u32, start: u32, max: u32, data: u32, size: u32) -> Result<u32> {
    let world = host.data_mut();
    let bytes = match (kind, world.phase) {
        // The body stays readable in the callbacks that follow it.
        (REQUEST_BODY, Phase::Body | Phase::Trailers | Phase::Reply) => world
            .stream()
            .map(|stream| if stream.collecting { stream.buffer.clone() } else { stream.shown.clone() }),
        (CALL_BODY, Phase::Reply) => world.reply.as_ref().map(|reply| reply.body.clone()),
        (PLUGIN_CONFIGURATION, Phase::Configure) => Some(world.settings.configuration.clone()),
        _ => return Err(refused("buffer", kind, world)),
    };
    let (start, max) = (usize::try_from(start)?, usize::try_from(max)?);
    let part = bytes.as_deref().and_then(|bytes| bytes.get(start..)).unwrap_or_default();
    if part.is_empty() {
        return Ok(NOT_FOUND);
    }
    let part = part.get(..max).unwrap_or(part).to_vec();
    memory::give(&mut host, &part, data, size).map(|()| OK)
}

fn map(mut host: Host<'_>, kind: u32, data: u32, size: u32) -> Result<u32> {
    let world = host.data_mut();
    let pairs = match (kind, world.phase) {
        // In the body's callbacks the headers may have gone already, and then there is no map.
        (REQUEST_HEADERS, Phase::Headers | Phase::Body | Phase::Trailers | Phase::Reply) => {
            world.stream().filter(|stream| !stream.headers_have_gone()).map(|stream| stream.headers.clone())
        }
        (REQUEST_TRAILERS, Phase::Trailers) => world.stream().and_then(|stream| stream.trailers.clone()),
        (RESPONSE_HEADERS, Phase::Log | Phase::ResponseHeaders | Phase::Reply) => {
            world.stream().map(|stream| {
                stream.response.as_ref().map(|response| response.headers.clone()).unwrap_or_default()
            })
        }
        (CALL_HEADERS, Phase::Reply) => world.reply.as_ref().map(|reply| reply.headers.clone()),
        _ => return Err(refused("map", kind, world)),
    };
    match pairs {
        Some(pairs) => memory::give(&mut host, &memory::serialised(&pairs), data, size).map(|()| OK),
        None => Ok(BAD_ARGUMENT),
    }
}

fn property(mut host: Host<'_>, path: u32, path_size: u32, data: u32, size: u32) -> Result<u32> {
    let path = memory::text(&mut host, path, path_size)?;
    let world = host.data_mut();
    let phase = world.phase;
    let Some(stream) = world.stream() else {
        return Err(Error::msg(format!("attribute {path:?} asked for outside of a stream")));
    };
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes().to_vec();
    let response = stream.response.as_ref().filter(|_| phase == Phase::Log);
    let value = match path.as_str() {
        "response\0flags" => response.map(|_| number(0)),
        // What the host has as a map it cannot give as bytes.
        "filter_state" => return Ok(SERIALIZATION_FAILURE),
        "response\0code" => response.map(|response| number(response.status.into())),
        "response\0size" => response.map(|response| number(response.size)),
        _ => stream.properties.iter().find(|(name, _)| *name == path).map(|(_, value)| value.clone()),
    };
    match value {
        Some(value) => memory::give(&mut host, &value, data, size).map(|()| OK),
        None => Ok(NOT_FOUND),
    }
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn shared_data(mut host: Host<'_>, key: u32, key_size: u32, data: u32, size: u32, token: u32) -> Result<u32> {
    let key = memory::text(&mut host, key, key_size)?;
    let Some((value, known)) = host.data().shared.get(&key).cloned() else { return Ok(NOT_FOUND) };
    memory::write(&mut host, token, &known.to_le_bytes())?;
    memory::give(&mut host, &value, data, size).map(|()| OK)
}

fn refused(what: &str, kind: u32, world: &World) -> Error {
    Error::msg(format!("{what} {kind} asked for in {:?} of context {}", world.phase, world.context))
}

const REQUEST_BODY: u32 = 0;
const CALL_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const CALL_HEADERS: u32 = 6;

const SERIALIZATION_FAILURE: u32 = 3;
