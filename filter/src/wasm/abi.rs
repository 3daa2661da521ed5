//! The host functions that the filter uses, each as a `Result`.
#![expect(unsafe_code, reason = "functions of the host are foreign functions")]

use std::time::Duration;

use proxy_wasm::types::{BufferType, MapType, MetricType, StreamType};

use crate::headers::Headers;
use crate::host::{Answer, Callout, Host, HostError, Level, MetricId, MetricKind, Token};

/// The proxy that runs this module.
pub(super) struct WasmHost;

impl WasmHost {
    /// Makes a context the one that the next calls act on.
    pub(super) fn enter(&self, context: u32) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_set_effective_context(context) })
    }
}

impl Host for WasmHost {
    fn now(&self) -> Duration {
        let mut nanos = 0;
        // SAFETY: the pointer is to a live local that the host writes before it returns.
        let status = unsafe { proxy_get_current_time_nanoseconds(&mut nanos) };
        checked(status).map_or(Duration::ZERO, |()| Duration::from_nanos(nanos))
    }

    fn memory(&self) -> u64 {
        u64::try_from(core::arch::wasm32::memory_size(0)).unwrap_or(u64::MAX).saturating_mul(65_536)
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Info => 2,
            Level::Warn => 3,
            Level::Error => 4,
        };
        // SAFETY: the host reads the slice before it returns. There is nowhere to say that logging failed.
        let _ = unsafe { proxy_log(level, message.as_ptr(), message.len()) };
    }

    fn request_headers(&self) -> Result<Headers, HostError> {
        map(MapType::HttpRequestHeaders)
    }

    fn request_trailers(&self) -> Result<Headers, HostError> {
        map(MapType::HttpRequestTrailers)
    }

    fn response_headers(&self) -> Result<Headers, HostError> {
        map(MapType::HttpResponseHeaders)
    }

    fn request_body(&self, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
        buffer(BufferType::HttpRequestBody, start, max)
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, HostError> {
        let path = Path::of(path);
        let path = path.as_bytes();
        // SAFETY: the host reads `path` before it returns; `data` and `size` are as `received` wants them.
        let value =
            received(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) });
        match value {
            Err(HostError::NotFound) => Ok(None),
            other => other.map(Some),
        }
    }

    fn replace_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        replace_header(REQUEST, name, value)
    }

    fn add_request_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        add_header(REQUEST, name, value)
    }

    fn remove_request_header(&self, name: &[u8]) -> Result<(), HostError> {
        remove_header(REQUEST, name)
    }

    fn remove_request_trailer(&self, name: &[u8]) -> Result<(), HostError> {
        remove_header(TRAILERS, name)
    }

    fn replace_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        replace_header(RESPONSE, name, value)
    }

    fn add_response_header(&self, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        add_header(RESPONSE, name, value)
    }

    fn remove_response_header(&self, name: &[u8]) -> Result<(), HostError> {
        remove_header(RESPONSE, name)
    }

    fn tell(&self, name: &str, value: &[u8]) -> Result<(), HostError> {
        // SAFETY: the host reads both slices before it returns.
        checked(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
    }

    fn keep_told(&self, name: &str) -> Result<(), HostError> {
        let Ok(length @ 0..=0x7f) = u8::try_from(name.len()) else { return Err(HostError::BadArgument) };
        // A message of Envoy's: the name is its field 1, the type (a string) 3, the life (of a request) 5.
        let mut arguments = vec![0x0a, length];
        arguments.extend_from_slice(name.as_bytes());
        arguments.extend_from_slice(&[0x18, 1, 0x28, 1]);
        let function = "declare_property";
        // SAFETY: the host reads both slices before it returns; `data` and `size` are as `received` wants them.
        let answer = received(|data, size| unsafe {
            proxy_call_foreign_function(
                function.as_ptr(),
                function.len(),
                arguments.as_ptr(),
                arguments.len(),
                data,
                size,
            )
        });
        answer.map(drop)
    }

    fn resume_response(&self) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_continue_stream(StreamType::HttpResponse as u32) })
    }

    fn resume_request(&self) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_continue_stream(StreamType::HttpRequest as u32) })
    }

    fn respond(&self, answer: &Answer<'_>) -> Result<(), HostError> {
        let Answer { status, headers, body, details } = answer;
        let headers = headers.as_bytes();
        // SAFETY: the host reads all slices before it returns.
        checked(unsafe {
            proxy_send_local_response(
                (*status).into(),
                details.as_ptr(),
                details.len(),
                body.as_ptr(),
                body.len(),
                headers.as_ptr(),
                headers.len(),
                NO_GRPC_STATUS,
            )
        })
    }

    fn reset(&self) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_close_stream(StreamType::HttpRequest as u32) })
    }

    fn call(&self, callout: &Callout<'_>) -> Result<Token, HostError> {
        let Callout { cluster, headers, body, timeout } = callout;
        let (headers, trailers) = (headers.as_bytes(), Headers::from_pairs(&[]));
        let trailers = trailers.as_bytes();
        let mut token = 0;
        // SAFETY: the host reads all slices before it returns, and `token` is a live local that it writes before then.
        let status = unsafe {
            proxy_http_call(
                cluster.as_ptr(),
                cluster.len(),
                headers.as_ptr(),
                headers.len(),
                body.as_ptr(),
                body.len(),
                trailers.as_ptr(),
                trailers.len(),
                millis(*timeout),
                &mut token,
            )
        };
        checked(status).map(|()| Token(token))
    }

    fn reply_headers(&self) -> Result<Headers, HostError> {
        map(MapType::HttpCallResponseHeaders)
    }

    fn reply_body(&self, max: usize) -> Result<Vec<u8>, HostError> {
        buffer(BufferType::HttpCallResponseBody, 0, max)
    }

    fn shared_data(&self, key: &str) -> Result<Option<(Vec<u8>, u32)>, HostError> {
        let mut token = 0;
        // SAFETY: the host reads `key` and writes `token`, a live local, before it returns; `data` and `size` are as
        // `received` wants them.
        let value = received(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut token)
        });
        match value {
            Ok(value) => Ok(Some((value, token))),
            Err(HostError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_shared_data(&self, key: &str, value: &[u8], token: u32) -> Result<(), HostError> {
        // SAFETY: the host reads both slices before it returns.
        checked(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), token) })
    }

    fn configuration(&self) -> Result<Vec<u8>, HostError> {
        match buffer(BufferType::PluginConfiguration, 0, usize::MAX) {
            Err(HostError::NotFound) => Ok(Vec::new()),
            other => other,
        }
    }

    fn tick_every(&self, period: Duration) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_set_tick_period_milliseconds(millis(period)) })
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId, HostError> {
        let kind = match kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let mut id = 0;
        // SAFETY: the host reads `name` and writes `id`, a live local, before it returns.
        let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
        checked(status).map(|()| MetricId(id))
    }

    fn add_to_metric(&self, metric: MetricId, by: i64) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_increment_metric(metric.0, by) })
    }

    fn record_metric(&self, metric: MetricId, value: u64) -> Result<(), HostError> {
        // SAFETY: takes no pointer.
        checked(unsafe { proxy_record_metric(metric.0, value) })
    }
}

/// The name of an attribute, its parts divided by zeros; the usual ones need no memory.
enum Path {
    Short([u8; 64], usize),
    Long(String),
}

impl Path {
    fn of(parts: &[&str]) -> Self {
        let mut bytes = [0; 64];
        let mut end = 0;
        for (index, part) in parts.iter().enumerate() {
            let start = end + usize::from(index > 0);
            end = start + part.len();
            match bytes.get_mut(start..end) {
                Some(into) => into.copy_from_slice(part.as_bytes()),
                None => return Self::Long(parts.join("\0")),
            }
        }
        Self::Short(bytes, end)
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, end) => bytes.get(..*end).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }
}

fn map(kind: MapType) -> Result<Headers, HostError> {
    // SAFETY: `data` and `size` are as `received` wants them.
    received(|data, size| unsafe { proxy_get_header_map_pairs(kind as u32, data, size) }).map(Headers::new)
}

fn buffer(kind: BufferType, start: usize, max: usize) -> Result<Vec<u8>, HostError> {
    // SAFETY: `data` and `size` are as `received` wants them.
    received(|data, size| unsafe { proxy_get_buffer_bytes(kind as u32, start, max, data, size) })
}

/// Takes over what the host returns through two pointers: bytes that it allocated by the module's `malloc`.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, HostError> {
    let (mut data, mut size) = (std::ptr::null_mut::<u8>(), 0);
    checked(call(&mut data, &mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the SDK's `malloc` gave the host a boxed slice of exactly `size` bytes of this module's allocator; the
    // host has filled it and keeps no claim to it.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Statuses are numbers here, not an enum of the SDK: a host may return one that the enum lacks.
fn replace_header(map: u32, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: the host reads both slices before it returns.
    checked(unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

fn add_header(map: u32, name: &[u8], value: &[u8]) -> Result<(), HostError> {
    // SAFETY: the host reads both slices before it returns.
    checked(unsafe {
        proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

fn remove_header(map: u32, name: &[u8]) -> Result<(), HostError> {
    // SAFETY: the host reads the slice before it returns.
    checked(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

fn checked(status: u32) -> Result<(), HostError> {
    match status {
        0 => Ok(()),
        1 => Err(HostError::NotFound),
        2 => Err(HostError::BadArgument),
        4 => Err(HostError::ParseFailure),
        10 => Err(HostError::InternalFailure),
        other => Err(HostError::Other(other)),
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

const REQUEST: u32 = MapType::HttpRequestHeaders as u32;
const TRAILERS: u32 = MapType::HttpRequestTrailers as u32;
const RESPONSE: u32 = MapType::HttpResponseHeaders as u32;
const NO_GRPC_STATUS: i32 = -1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(name: *const u8, name_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        token: u32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(metric: u32, by: i64) -> u32;
    fn proxy_record_metric(metric: u32, value: u64) -> u32;
}
