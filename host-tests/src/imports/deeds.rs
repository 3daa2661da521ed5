//! Calls that change something.

use wasmtime::{Caller, Error, Linker, Result, bail, ensure};

use super::{BAD_ARGUMENT, CAS_MISMATCH, NOT_FOUND, OK};
use crate::exchange::Answer;
use crate::memory;
use crate::script::Did;
use crate::world::{Call, Metric, Phase, World};

type Host<'a> = Caller<'a, World>;

pub(super) fn define(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap("env", "proxy_log", log)?;
    linker.func_wrap("env", "proxy_set_tick_period_milliseconds", |mut host: Host<'_>, period: u32| {
        let world = host.data_mut();
        world.ticks = Some(period);
        world.did.push(Did::Tick(period));
        OK
    })?;
    linker.func_wrap("env", "proxy_set_effective_context", |mut host: Host<'_>, context: u32| {
        let world = host.data_mut();
        let known = context == ROOT || world.streams.get(&context).is_some_and(|stream| !stream.deleted);
        if known {
            world.context = context;
        }
        if known { OK } else { BAD_ARGUMENT }
    })?;
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |host: Host<'_>, map: u32, name: u32, name_size: u32, value: u32, value_size: u32| {
            edit(host, map, (name, name_size), Some((value, value_size)), Did::Add)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |host: Host<'_>, map: u32, name: u32, name_size: u32, value: u32, value_size: u32| {
            edit(host, map, (name, name_size), Some((value, value_size)), Did::Set)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |host: Host<'_>, map: u32, name: u32, name_size: u32| {
            edit(host, map, (name, name_size), None, |name, _| Did::Remove(name))
        },
    )?;
    linker.func_wrap("env", "proxy_set_property", tell)?;
    linker.func_wrap("env", "proxy_call_foreign_function", foreign)?;
    linker.func_wrap("env", "proxy_set_shared_data", share)?;
    linker.func_wrap("env", "proxy_continue_stream", resume)?;
    linker.func_wrap("env", "proxy_close_stream", close)?;
    linker.func_wrap("env", "proxy_send_local_response", answer)?;
    linker.func_wrap("env", "proxy_http_call", call)?;
    linker.func_wrap("env", "proxy_define_metric", define_metric)?;
    linker.func_wrap("env", "proxy_increment_metric", |mut host: Host<'_>, id: u32, by: i64| {
        change(host.data_mut(), id, |metric| metric.change += by)
    })?;
    linker.func_wrap("env", "proxy_record_metric", |mut host: Host<'_>, id: u32, value: u64| {
        change(host.data_mut(), id, |metric| match metric.kind {
            HISTOGRAM => metric.change += 1,
            _ => metric.change = i64::try_from(value).unwrap_or(i64::MAX),
        })
    })?;
    Ok(())
}

fn log(mut host: Host<'_>, level: u32, message: u32, size: u32) -> Result<u32> {
    let message = memory::text(&mut host, message, size)?;
    let world = host.data_mut();
    ensure!(level < CRITICAL, "the filter says: {message}");
    if level >= WARN {
        world.did.push(Did::Complain);
    }
    world.log.push(message);
    Ok(OK)
}

fn edit(
    mut host: Host<'_>,
    map: u32,
    (name, name_size): (u32, u32),
    value: Option<(u32, u32)>,
    did: impl Fn(String, String) -> Did,
) -> Result<u32> {
    if map == RESPONSE_HEADERS {
        return edit_response(host, (name, name_size), value, did);
    }
    if map == REQUEST_TRAILERS {
        return edit_trailers(host, (name, name_size), value.is_some());
    }
    ensure!(map == REQUEST_HEADERS, "map {map} edited");
    let name = memory::text(&mut host, name, name_size)?;
    ensure!(!name.starts_with(':') && name == name.to_ascii_lowercase(), "header {name} edited");
    let value = value.map(|(at, size)| memory::read(&mut host, at, size)).transpose()?;
    let world = host.data_mut();
    ensure!(world.phase != Phase::Log, "header {name} edited after the end");
    let Some(stream) = world.stream() else { bail!("header {name} edited outside of a stream") };
    ensure!(!stream.is_over(), "header {name} edited after the answer");
    if stream.headers_have_gone() {
        return Ok(BAD_ARGUMENT);
    }
    let shown = value.as_deref().unwrap_or_default().escape_ascii().to_string();
    let deed = did(name.clone(), shown);
    if !matches!(deed, Did::Add(..)) {
        stream.headers.retain(|(known, _)| *known != name.as_bytes());
    }
    stream.headers.extend(value.map(|value| (name.into_bytes(), value)));
    world.did.push(deed);
    Ok(OK)
}

fn edit_trailers(mut host: Host<'_>, (name, name_size): (u32, u32), set: bool) -> Result<u32> {
    let name = memory::text(&mut host, name, name_size)?;
    let world = host.data_mut();
    ensure!(!set && world.phase == Phase::Trailers, "trailer {name} set, or edited late");
    let trailers = world.stream().and_then(|stream| stream.trailers.as_mut());
    let Some(trailers) = trailers else { bail!("trailer {name} of no stream edited") };
    trailers.retain(|(known, _)| *known != name.as_bytes());
    Ok(OK)
}

fn edit_response(
    mut host: Host<'_>,
    (name, name_size): (u32, u32),
    value: Option<(u32, u32)>,
    did: impl Fn(String, String) -> Did,
) -> Result<u32> {
    let name = memory::text(&mut host, name, name_size)?;
    let value = value.map(|(at, size)| memory::read(&mut host, at, size)).transpose()?;
    let world = host.data_mut();
    ensure!(
        matches!(world.phase, Phase::ResponseHeaders | Phase::Reply),
        "response header {name} edited late"
    );
    let response = world.stream().and_then(|stream| stream.response.as_mut());
    let Some(response) = response else { bail!("header {name} of no response edited") };
    let shown = value.as_deref().unwrap_or_default().escape_ascii().to_string();
    let deed = did(name.clone(), shown);
    if !matches!(deed, Did::Add(..)) {
        response.headers.retain(|(known, _)| *known != name.as_bytes());
    }
    response.headers.extend(value.map(|value| (name.into_bytes(), value)));
    world.did.push(Did::OfResponse(Box::new(deed)));
    Ok(OK)
}

fn tell(mut host: Host<'_>, name: u32, name_size: u32, value: u32, value_size: u32) -> Result<u32> {
    let name = memory::text(&mut host, name, name_size)?;
    let value = memory::text(&mut host, value, value_size)?;
    let Some(stream) = host.data_mut().stream() else { bail!("{name} told outside of a stream") };
    stream.told.insert(name, value);
    Ok(OK)
}

/// The one function that the filter may ask for; a host that has none says that there is no such thing.
#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn foreign(
    mut host: Host<'_>,
    name: u32,
    name_size: u32,
    _arguments: u32,
    _arguments_size: u32,
    _data: u32,
    _size: u32,
) -> Result<u32> {
    let name = memory::text(&mut host, name, name_size)?;
    ensure!(name == "declare_property", "foreign function {name} called");
    Ok(NOT_FOUND)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn share(
    mut host: Host<'_>,
    key: u32,
    key_size: u32,
    value: u32,
    value_size: u32,
    token: u32,
) -> Result<u32> {
    let key = memory::text(&mut host, key, key_size)?;
    let value = memory::read(&mut host, value, value_size)?;
    let shared = &mut host.data_mut().shared;
    let known = shared.get(&key).map_or(0, |(_, token)| *token);
    if token != 0 && token != known {
        return Ok(CAS_MISMATCH);
    }
    shared.insert(key, (value, known + 1));
    Ok(OK)
}

fn resume(mut host: Host<'_>, stream: u32) -> Result<u32> {
    if stream == HTTP_RESPONSE {
        let world = host.data_mut();
        ensure!(world.phase == Phase::Reply, "response resumed in {:?}", world.phase);
        let Some(stream) = world.stream() else { bail!("response resumed outside of a stream") };
        ensure!(stream.response_held, "a response resumed that was not held");
        stream.response_held = false;
        world.did.push(Did::ResumeResponse);
        return Ok(OK);
    }
    ensure!(stream == HTTP_REQUEST, "stream type {stream} resumed");
    let world = host.data_mut();
    ensure!(world.phase == Phase::Reply, "resumed in {:?}", world.phase);
    let Some(stream) = world.stream() else { bail!("resumed outside of a stream") };
    ensure!(!stream.is_over(), "resumed after the answer");
    ensure!(stream.stopped != crate::exchange::Stopped::No, "resumed what was not stopped");
    stream.resume = true;
    world.did.push(Did::Resume);
    Ok(OK)
}

fn close(mut host: Host<'_>, stream: u32) -> Result<u32> {
    ensure!(stream == HTTP_REQUEST, "stream type {stream} closed");
    let world = host.data_mut();
    let Some(stream) = world.stream() else { bail!("closed outside of a stream") };
    stream.cut_off = true;
    world.did.push(Did::Close);
    Ok(OK)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn answer(
    mut host: Host<'_>,
    status: u32,
    details: u32,
    details_size: u32,
    body: u32,
    body_size: u32,
    headers: u32,
    headers_size: u32,
    _grpc_status: i32,
) -> Result<u32> {
    let details = memory::text(&mut host, details, details_size)?;
    ensure!(!details.is_empty() && !details.contains(' '), "details {details:?} would break the access log");
    let body = memory::read(&mut host, body, body_size)?;
    let headers = memory::pairs(&memory::read(&mut host, headers, headers_size)?)?;
    let status = u16::try_from(status)?;
    ensure!((200..600).contains(&status), "answer with status {status}");
    let world = host.data_mut();
    let Some(stream) = world.stream() else { bail!("answered outside of a stream") };
    ensure!(!stream.is_over(), "answered a second time");
    stream.response_held = false;
    let location = headers.iter().find(|(name, _)| name == b"location");
    let did = match location {
        Some((_, to)) => Did::Redirect(status, String::from_utf8_lossy(to).into_owned()),
        None => Did::Answer(status),
    };
    stream.answer = Some(Answer { status, headers, body });
    world.did.push(did);
    Ok(OK)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's signature")]
fn call(
    mut host: Host<'_>,
    cluster: u32,
    cluster_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout: u32,
    token: u32,
) -> Result<u32> {
    let cluster = memory::text(&mut host, cluster, cluster_size)?;
    let headers = memory::pairs(&memory::read(&mut host, headers, headers_size)?)?;
    let trailers = memory::pairs(&memory::read(&mut host, trailers, trailers_size)?)?;
    let body = memory::read(&mut host, body, body_size)?;
    let header = |name: &str| {
        let known = headers.iter().find(|(known, _)| known == name.as_bytes());
        known.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    // The proxy refuses a request without these three.
    let (Some(path), Some(_), Some(_)) = (header(":path"), header(":method"), header(":authority")) else {
        return Ok(BAD_ARGUMENT);
    };
    ensure!(trailers.is_empty() && timeout > 0, "call with trailers, or without a limit of time");
    ensure!(header("content-type").as_deref() == Some("application/x-msgpack"), "call of another type");
    ensure!(header("x-portcullis-protocol").as_deref() == Some("2"), "call of another version");
    let world = host.data_mut();
    ensure!(world.phase != Phase::Log, "called after the end, so that no reply could come");
    if cluster != CLUSTER {
        return Ok(BAD_ARGUMENT);
    }
    if let Some(status) = world.refusal {
        return Ok(status);
    }
    world.tokens += 1;
    let made = world.tokens;
    world.calls.insert(made, Call { context: world.context, body });
    world.did.push(Did::Call(path));
    memory::write(&mut host, token, &made.to_le_bytes()).map(|()| OK)
}

fn define_metric(mut host: Host<'_>, kind: u32, name: u32, size: u32, id: u32) -> Result<u32> {
    let name = memory::text(&mut host, name, size)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    ensure!(kind <= HISTOGRAM && name.bytes().all(fits), "metric {name} of kind {kind}");
    let world = host.data_mut();
    let known = world.metrics.iter().position(|metric| metric.name == name);
    let index = known.unwrap_or_else(|| {
        world.metrics.push(Metric { name, kind, change: 0 });
        world.metrics.len() - 1
    });
    memory::write(&mut host, id, &u32::try_from(index)?.to_le_bytes()).map(|()| OK)
}

fn change(world: &mut World, id: u32, change: impl FnOnce(&mut Metric)) -> Result<u32> {
    let metric = world.metrics.get_mut(usize::try_from(id)?);
    let Some(metric) = metric else { return Err(Error::msg(format!("metric {id} is not defined"))) };
    change(metric);
    Ok(OK)
}

const ROOT: u32 = 1;
const CLUSTER: &str = "portcullis-agent";
const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const HTTP_REQUEST: u32 = 0;
const HTTP_RESPONSE: u32 = 1;
const HISTOGRAM: u32 = 2;
const WARN: u32 = 3;
const CRITICAL: u32 = 5;
