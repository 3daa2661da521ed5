//! The module at work: lifecycle, ticks, replies, and what it did.

use std::collections::BTreeMap;
use std::time::Duration;

use wasmtime::{Instance, Store, WasmParams, WasmResults};

use crate::exchange::StreamId;
use crate::imports;
use crate::module;
use crate::script::{Did, Reply, ReplyContext, Settings};
use crate::world::{Phase, World};

/// One VM with one plugin.
pub struct Vm {
    pub(crate) store: Store<World>,
    instance: Instance,
    pub(crate) contexts: u32,
}

impl Vm {
    /// Starts the module and configures the plugin. Tests of anything else need not expect what that does.
    pub fn start(settings: &Settings) -> Vm {
        let mut vm = Vm::start_unasked(settings);
        vm.expect(&[Did::Tick(100)]);
        vm
    }

    /// Starts the module and configures the plugin; what that does is to be expected.
    pub fn start_unasked(settings: &Settings) -> Vm {
        let (engine, module) = module::filter();
        let mut linker = imports::linker(engine).expect("host functions");
        if let Some((name, status)) = &settings.broken {
            imports::breaks(&mut linker, module, name, *status).expect("a host function");
        }
        let mut store = Store::new(engine, World::new(settings));
        let instance = linker.instantiate(&mut store, module).expect("an instance");
        let mut vm = Vm { store, instance, contexts: ROOT };
        vm.run::<(), ()>("_initialize", (), Phase::None, ROOT);
        vm.run::<(u32, u32), ()>("proxy_on_context_create", (ROOT, 0), Phase::None, ROOT);
        let started: u32 = vm.run("proxy_on_vm_start", (ROOT, 0_u32), Phase::Configure, ROOT);
        assert_eq!(started, 1, "the VM does not start");
        vm.configure(&settings.configuration);
        vm
    }

    /// The host functions that the module imports.
    pub fn functions() -> Vec<String> {
        module::filter().1.imports().map(|import| import.name().to_owned()).collect()
    }

    /// Gives the plugin a configuration. It must take any: a proxy would not start.
    pub fn configure(&mut self, configuration: &[u8]) {
        self.store.data_mut().settings.configuration = configuration.to_vec();
        let size = u32::try_from(configuration.len()).expect("a small configuration");
        let taken: u32 = self.run("proxy_on_configure", (ROOT, size), Phase::Configure, ROOT);
        assert_eq!(taken, 1, "the configuration is refused");
    }

    /// Time goes by.
    pub fn pass(&mut self, time: Duration) {
        self.store.data_mut().nanos += u64::try_from(time.as_nanos()).expect("a short time");
    }

    /// The plugin's timer goes off.
    pub fn tick(&mut self) {
        assert!(self.store.data().ticks.is_some_and(|period| period > 0), "no ticks were asked for");
        self.run::<u32, ()>("proxy_on_tick", ROOT, Phase::Tick, ROOT);
    }

    /// The agent, or the proxy in its place, replies to the stream's call.
    pub fn reply(&mut self, stream: StreamId, reply: &Reply) {
        self.reply_to(stream.0, reply);
        self.settle(stream);
    }

    /// The agent, or the proxy in its place, replies to the oldest report.
    pub fn reply_to_report(&mut self, reply: &Reply) {
        self.reply_to(ROOT, reply);
    }

    fn reply_to(&mut self, context: u32, reply: &Reply) {
        let calls = &mut self.store.data_mut().calls;
        let token = calls.iter().find(|(_, call)| call.context == context).map(|(token, _)| *token);
        let token = token.expect("a call that waits for a reply");
        calls.remove(&token);
        self.call_back(context, token, reply);
    }

    /// A reply comes that nothing waits for.
    pub fn stray_reply(&mut self, token: u32, reply: &Reply) {
        self.call_back(ROOT, token, reply);
    }

    fn call_back(&mut self, context: u32, token: u32, reply: &Reply) {
        let context = match self.store.data().settings.reply_context {
            ReplyContext::Stream => context,
            ReplyContext::Plugin => ROOT,
        };
        let sizes = [reply.headers.len(), reply.body.len()];
        let [headers, body] = sizes.map(|size| u32::try_from(size).expect("a small reply"));
        self.store.data_mut().reply = Some(reply.clone());
        let arguments = (context, token, headers, body, 0_u32);
        self.run::<_, ()>("proxy_on_http_call_response", arguments, Phase::Reply, context);
        self.store.data_mut().reply = None;
    }

    /// From now on the proxy answers calls with this status; 0 takes them again.
    pub fn refuse_calls(&mut self, status: u32) {
        self.store.data_mut().refusal = (status != 0).then_some(status);
    }

    /// What the agent was sent, oldest first, as far as it has not replied.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.store.data().calls.values().map(|call| call.body.clone()).collect()
    }

    /// The filter must have done exactly this since it was last asked.
    #[track_caller]
    pub fn expect(&mut self, expected: &[Did]) {
        let did = std::mem::take(&mut self.store.data_mut().did);
        assert_eq!(did, expected, "left: what the filter did, right: what was expected");
    }

    /// Metrics must have changed by exactly this since they were last asked for.
    #[track_caller]
    pub fn expect_metrics(&mut self, expected: &[(&str, i64)]) {
        self.hand_over_metrics();
        let changes = self.metric_changes();
        let expected: BTreeMap<String, i64> =
            expected.iter().map(|(name, by)| (format!("portcullis.{name}"), *by)).collect();
        assert_eq!(changes, expected, "left: how metrics changed, right: what was expected");
        for metric in &mut self.store.data_mut().metrics {
            metric.change = 0;
        }
    }

    /// Metrics are handed over by the timer. What else it does then is to be expected, as at any tick.
    fn hand_over_metrics(&mut self) {
        self.run::<u32, ()>("proxy_on_tick", ROOT, Phase::Tick, ROOT);
    }

    /// Passes over everything that was done so far.
    pub fn forget_deeds(&mut self) {
        self.store.data_mut().did.clear();
    }

    /// Passes over everything that was done and counted so far.
    pub fn forget(&mut self) {
        self.hand_over_metrics();
        let world = self.store.data_mut();
        world.did.clear();
        world.metrics.iter_mut().for_each(|metric| metric.change = 0);
    }

    /// Whether the stream waits for a reply.
    pub fn pending(&self, stream: StreamId) -> bool {
        self.store.data().calls.values().any(|call| call.context == stream.0)
    }

    /// What the filter has logged.
    pub fn log(&self) -> &[String] {
        &self.store.data().log
    }

    /// Bytes of memory that the module has.
    pub fn memory_size(&mut self) -> usize {
        let memory = self.instance.get_memory(&mut self.store, "memory").expect("a memory");
        memory.data_size(&self.store)
    }

    /// Runs one callback. A trap is a panic of the filter, or a hostcall that no filter may make.
    pub(crate) fn run<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &str,
        arguments: P,
        phase: Phase,
        context: u32,
    ) -> R {
        let world = self.store.data_mut();
        (world.phase, world.context) = (phase, context);
        let callback = self.instance.get_typed_func::<P, R>(&mut self.store, name);
        let callback = callback.unwrap_or_else(|error| panic!("the filter exports no {name}: {error:?}"));
        let result = callback.call(&mut self.store, arguments);
        self.store.data_mut().phase = Phase::None;
        result.unwrap_or_else(|error| panic!("{name} of context {context} failed: {error:?}"))
    }

    fn metric_changes(&self) -> BTreeMap<String, i64> {
        // How much memory the allocator takes is not a script's business.
        let told =
            |metric: &&crate::world::Metric| metric.change != 0 && !metric.name.ends_with(".memory_bytes");
        let metrics = self.store.data().metrics.iter().filter(told);
        metrics.map(|metric| (metric.name.clone(), metric.change)).collect()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.store.data().did, [], "the filter did what the test does not expect");
            // A script that ends may leave reports, and facts.
            self.hand_over_metrics();
            let mut metrics = self.metric_changes();
            metrics.retain(|name, _| {
                !name.starts_with("portcullis.reports.") && name != "portcullis.local.facts_version"
            });
            assert!(metrics.is_empty(), "metrics changed that the test does not expect: {metrics:?}");
        }
    }
}

const ROOT: u32 = 1;
