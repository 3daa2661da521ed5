//! The root context and the streams.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::abi::WasmHost;
use crate::host::Token;
use crate::plugin::Plugin;
use crate::stream::{End, Flow, Stream};
use crate::verdict::ReplyShape;

thread_local! {
    /// Streams and plugins by context, and who waits for which reply. All entries go with their stream.
    static LIVE: RefCell<Live> = RefCell::default();
}

#[derive(Default)]
struct Live {
    streams: Numbered<u32, Rc<RefCell<Stream>>>,
    /// As many as the proxy has filters in this VM, which are few.
    plugins: Vec<(u32, Rc<Plugin>)>,
    waiting: Numbered<Token, u32>,
}

/// By numbers that the host gives one after the other.
type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// Spreads numbers that nobody can choose over a table.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        // The golden ratio's fraction: neighbours are far apart, in the high bits as well as in the low ones.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// Tells the dispatcher how to make the root context, which makes the streams.
pub(super) fn register() {
    proxy_wasm::set_root_context(|id| Box::new(Root { id, plugin: Rc::default() }));
}

/// A request's headers have come.
pub(super) fn on_request_headers(context: u32, end: End) -> Flow {
    // A stream that is not known has been deleted; nothing of it may go on.
    with_stream(context, |stream| stream.on_request_headers(&WasmHost, end)).unwrap_or(Flow::Hold)
}

/// A request's trailers have come.
pub(super) fn on_request_trailers(context: u32) -> Flow {
    with_stream(context, |stream| stream.on_request_trailers(&WasmHost)).unwrap_or(Flow::Hold)
}

/// A response's headers have come.
pub(super) fn on_response_headers(context: u32) -> Flow {
    // Of a stream that is not known nothing was to be done.
    with_stream(context, |stream| stream.on_response_headers(&WasmHost)).unwrap_or(Flow::Continue)
}

/// A stream has ended.
pub(super) fn on_log(context: u32) {
    with_stream(context, |stream| stream.on_log(&WasmHost));
}

/// Part of a request's body has come.
pub(super) fn on_request_body(context: u32, size: usize, end: End) -> Flow {
    with_stream(context, |stream| stream.on_request_body(&WasmHost, size, end)).unwrap_or(Flow::Hold)
}

/// A reply has come, for a stream that waits or for a report of a plugin.
pub(super) fn on_reply(context: u32, token: Token, shape: ReplyShape) {
    let stream = LIVE.try_with(|live| live.try_borrow_mut().ok()?.waiting.remove(&token)).ok().flatten();
    // Hosts differ in whose callback this is, so the stream is made the current one.
    let Some(id) = stream else {
        return on_report_reply(context, token, shape);
    };
    if WasmHost.enter(id).is_ok() {
        with_stream(id, |stream| stream.on_reply(&WasmHost, token, shape));
    }
}

fn on_report_reply(context: u32, token: Token, shape: ReplyShape) {
    let plugin = |live: &RefCell<Live>| {
        let live = live.try_borrow().ok()?;
        live.plugins.iter().find(|(id, _)| *id == context).map(|(_, plugin)| Rc::clone(plugin))
    };
    if let Some(plugin) = LIVE.try_with(plugin).ok().flatten() {
        plugin.on_reply(&WasmHost, token, shape);
    }
}

/// Runs one callback of a stream, and takes down which reply it waits for then.
fn with_stream<T>(context: u32, act: impl FnOnce(&mut Stream) -> T) -> Option<T> {
    let stream =
        LIVE.try_with(|live| live.try_borrow().ok()?.streams.get(&context).cloned()).ok().flatten()?;
    let mut stream = stream.try_borrow_mut().ok()?;
    let before = stream.pending();
    let result = act(&mut stream);
    let after = stream.pending();
    if before != after {
        change_live(|live| {
            // A call whose stream has ended is dropped by the host without a reply.
            before.map(|token| live.waiting.remove(&token));
            after.map(|token| live.waiting.insert(token, context));
        });
    }
    Some(result)
}

fn change_live(change: impl FnOnce(&mut Live)) {
    let _ = LIVE.try_with(|live| live.try_borrow_mut().map(|mut live| change(&mut live)));
}

struct Root {
    id: u32,
    plugin: Rc<Plugin>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.plugin = Rc::new(Plugin::configure(&WasmHost, &self.plugin));
        change_live(|live| {
            live.plugins.retain(|(id, _)| *id != self.id);
            live.plugins.push((self.id, Rc::clone(&self.plugin)));
        });
        true
    }

    fn on_tick(&mut self) {
        self.plugin.on_tick(&WasmHost);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let stream = Rc::new(RefCell::new(Stream::new(Rc::clone(&self.plugin))));
        change_live(|live| drop(live.streams.insert(id, stream)));
        Some(Box::new(Http { id }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.plugin.end(&WasmHost);
        change_live(|live| live.plugins.retain(|(id, _)| *id != self.id));
    }
}

struct Http {
    id: u32,
}

impl Context for Http {}

// Its callbacks come by other ways, see `entry`.
impl HttpContext for Http {}

impl Drop for Http {
    fn drop(&mut self) {
        change_live(|live| drop(live.streams.remove(&self.id)));
    }
}

pub(super) fn end(end_of_stream: bool) -> End {
    if end_of_stream { End::Reached } else { End::Open }
}
