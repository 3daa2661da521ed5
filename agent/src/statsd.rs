//! Metrics sent to a StatsD sink, under the names that dashboards know.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_config::{HostPort, Settings, StatsdType};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::aside;
use crate::latency::Distribution;
use crate::process;
use crate::service::Service;

/// Bytes of one datagram: it must fit a frame of every network.
const DATAGRAM: usize = 1400;

/// Where metrics go, and in which form.
#[derive(Clone, Debug)]
pub struct Statsd {
    address: HostPort,
    dialect: StatsdType,
    globs: Vec<String>,
    every: Duration,
}

/// What was sent last: counters are sent as what was added since.
#[derive(Debug)]
struct Sent {
    at: Instant,
    cpu: Duration,
    total: u64,
    error: u64,
    allow: u64,
    block: u64,
    signals: Vec<u64>,
    decision: Distribution,
    queued: Distribution,
}

#[derive(Debug)]
struct Metric {
    name: String,
    tag: Option<String>,
    value: String,
    kind: &'static str,
}

impl Statsd {
    /// Reads the options; none where there is no sink.
    pub fn new(settings: &Settings) -> Option<Self> {
        Some(Self {
            address: settings.statsd_address.as_ref()?.clone(),
            dialect: *settings.statsd_type,
            globs: settings.statsd_metrics.0.clone(),
            // A sink is not asked to take more than it can.
            every: settings.statsd_interval.0.max(Duration::from_millis(100)),
        })
    }

    /// Sends metrics until it is `ended`, and then what came since the last time.
    pub async fn run(self, service: Arc<Service>, mut ended: oneshot::Receiver<()>) {
        let started = Instant::now();
        // Nothing was sent before: what happened until this task ran counts, too.
        let mut sent = Sent::nothing(&service);
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                _ = &mut ended => true,
            };
            let now = Sent::now(&service);
            let metrics = metrics(&sent, &now, started, &service, self.dialect);
            let wanted = metrics.iter().filter(|metric| self.wants(&metric.name));
            let lines = wanted.map(|metric| self.line(metric)).collect();
            let outcome = match self.open().await {
                Ok(sink) => {
                    // Also where not all of it arrives: what did must not be counted twice.
                    sent = now;
                    send(sink, lines).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                warn!(%error, address = %self.address, "cannot send metrics to statsd-address");
            }
            if is_last {
                return;
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.globs.iter().any(|glob| matches(glob.as_bytes(), name.as_bytes()))
    }

    fn line(&self, metric: &Metric) -> String {
        let tag = match (&metric.tag, self.dialect) {
            (Some(tag), StatsdType::Dogstatsd) => format!("|#{tag}"),
            (Some(_), StatsdType::Statsd) | (None, _) => String::new(),
        };
        format!("{}:{}|{}{tag}", metric.name, metric.value, metric.kind)
    }

    /// A socket, and where the sink is now: it may have moved.
    async fn open(&self) -> io::Result<(UdpSocket, SocketAddr)> {
        let resolved = aside::lookup(&self.address.host, self.address.port).await?.into_iter().next();
        let resolved = resolved.ok_or(io::ErrorKind::NotFound)?;
        let local = if resolved.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        Ok((UdpSocket::bind(local).await?, resolved))
    }
}

async fn send((socket, sink): (UdpSocket, SocketAddr), lines: Vec<String>) -> io::Result<()> {
    let mut datagram = String::new();
    for line in lines {
        if !datagram.is_empty() && datagram.len() + 1 + line.len() > DATAGRAM {
            socket.send_to(datagram.as_bytes(), sink).await?;
            datagram.clear();
        }
        if !datagram.is_empty() {
            datagram.push('\n');
        }
        datagram.push_str(&line);
    }
    // There is nothing where statsd-metrics leaves nothing over.
    if !datagram.is_empty() {
        socket.send_to(datagram.as_bytes(), sink).await?;
    }
    debug!(address = %sink, "metrics sent");
    Ok(())
}

impl Sent {
    fn nothing(service: &Service) -> Self {
        Self {
            at: Instant::now(),
            cpu: process::cpu_time(),
            total: 0,
            error: 0,
            allow: 0,
            block: 0,
            signals: service.counters.signals.all().map(|_| 0).collect(),
            decision: Distribution::default(),
            queued: Distribution::default(),
        }
    }

    fn now(service: &Service) -> Self {
        let counters = &service.counters;
        let passed = [&counters.allowed, &counters.unwatched, &counters.unsampled];
        Self {
            at: Instant::now(),
            cpu: process::cpu_time(),
            total: counters.requests(),
            error: counters.not_inspected() + counters.refused.value(),
            allow: passed.iter().map(|counter| counter.value()).sum(),
            block: counters.blocked.value(),
            signals: counters.signals.all().map(|(_, count)| count).collect(),
            decision: counters.decision.now(),
            queued: counters.queued.now(),
        }
    }
}

fn metrics(sent: &Sent, now: &Sent, started: Instant, service: &Service, dialect: StatsdType) -> Vec<Metric> {
    let mut all = Vec::new();
    let metric = |name: &str, value: String, kind| Metric {
        name: format!("sigsci.agent.{name}"),
        tag: None,
        value,
        kind,
    };
    for (name, before, after) in [
        ("waf.total", sent.total, now.total),
        ("waf.error", sent.error, now.error),
        ("waf.allow", sent.allow, now.allow),
        ("waf.block", sent.block, now.block),
    ] {
        all.push(metric(name, after.saturating_sub(before).to_string(), "c"));
    }
    for (name, before, after) in
        [("decision_time", &sent.decision, &now.decision), ("queue_time", &sent.queued, &now.queued)]
    {
        let window = after.since(before);
        for percent in [50, 95, 99] {
            if let Some(took) = window.percentile(percent) {
                let millis = format!("{:.3}", took.as_secs_f64() * 1e3);
                all.push(metric(&format!("waf.perf.{name}.{percent}pct"), millis, "g"));
            }
        }
    }
    all.push(metric("rpc.connections.open", service.counters.open().to_string(), "g"));
    let wall = now.at.saturating_duration_since(sent.at).as_secs_f64().max(1e-3);
    let cpu = now.cpu.saturating_sub(sent.cpu).as_secs_f64() / wall * 100.0;
    all.push(metric("runtime.cpu_pct", format!("{cpu:.1}"), "g"));
    if let Some(bytes) = process::resident_bytes() {
        all.push(metric("runtime.mem.sys_bytes", bytes.to_string(), "g"));
    }
    all.push(metric("runtime.uptime", started.elapsed().as_secs().to_string(), "g"));
    let tags = service.counters.signals.all().map(|(tag, _)| tag);
    for ((tag, before), after) in tags.zip(&sent.signals).zip(&now.signals) {
        let added = after.saturating_sub(*before);
        if added == 0 {
            continue;
        }
        all.push(match dialect {
            StatsdType::Statsd => metric(&format!("signal.{tag}"), added.to_string(), "c"),
            StatsdType::Dogstatsd => {
                Metric { tag: Some(format!("signal_type:{tag}")), ..metric("signal", added.to_string(), "c") }
            }
        });
    }
    all
}

/// Whether `name` is of the form `glob`, where `*` stands for anything. Linear but for the stars, of which a glob has few.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g + 1, n));
                g += 1;
            }
            Some(byte) if Some(byte) == name.get(n) => {
                g += 1;
                n += 1;
            }
            _ => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (g, n) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    glob.get(g..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use portcullis_detect::Tag;

    use super::*;

    #[test]
    fn matches_globs() {
        for (glob, name, expected) in [
            ("*", "sigsci.agent.waf.total", true),
            ("sigsci.agent.waf.*", "sigsci.agent.waf.total", true),
            ("sigsci.agent.waf.*", "sigsci.agent.runtime.uptime", false),
            ("*.total", "sigsci.agent.waf.total", true),
            ("*waf*t*l", "sigsci.agent.waf.total", true),
            ("sigsci.agent.waf.total", "sigsci.agent.waf.total", true),
            ("sigsci.agent.waf", "sigsci.agent.waf.total", false),
            ("", "x", false),
        ] {
            assert_eq!(matches(glob.as_bytes(), name.as_bytes()), expected, "{glob}");
        }
    }

    fn lines(dialect: StatsdType) -> Vec<String> {
        let service = Service::testing(1, Duration::from_secs(1));
        let before = Sent::now(&service);
        service.counters.allowed.add_many(3);
        service.counters.blocked.add();
        service.counters.signals.add(&[Tag::Sqli]);
        service.counters.decision.add(Duration::from_millis(1));
        let address = HostPort { host: "127.0.0.1".to_owned(), port: 1 };
        let statsd = Statsd { address, dialect, globs: vec!["*".to_owned()], every: Duration::from_secs(1) };
        let all = metrics(&before, &Sent::now(&service), Instant::now(), &service, dialect);
        all.iter().map(|metric| statsd.line(metric)).collect()
    }

    #[tokio::test]
    async fn sends_at_the_end_what_came_since_the_last_time() {
        let service = Service::testing(1, Duration::from_secs(1));
        let sink = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = HostPort { host: "127.0.0.1".to_owned(), port: sink.local_addr().unwrap().port() };
        let sending = |glob: &str| Statsd {
            address: address.clone(),
            dialect: StatsdType::Statsd,
            globs: vec![glob.to_owned()],
            every: Duration::from_secs(3600),
        };
        let end = || oneshot::channel().1;
        service.counters.blocked.add();
        // An empty datagram would be the first to come.
        sending("nothing").run(Arc::clone(&service), end()).await;
        sending("*.block").run(Arc::clone(&service), end()).await;
        let mut datagram = [0; DATAGRAM];
        let len = sink.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..len], b"sigsci.agent.waf.block:1|c");
    }

    #[test]
    fn uses_the_names_that_dashboards_know() {
        let plain = lines(StatsdType::Statsd);
        for line in [
            "sigsci.agent.waf.total:4|c",
            "sigsci.agent.waf.error:0|c",
            "sigsci.agent.waf.allow:3|c",
            "sigsci.agent.waf.block:1|c",
            "sigsci.agent.rpc.connections.open:0|g",
            "sigsci.agent.signal.SQLI:1|c",
        ] {
            assert!(plain.iter().any(|have| have == line), "{line} is not in {plain:?}");
        }
        for name in [
            "waf.perf.decision_time.50pct",
            "waf.perf.decision_time.95pct",
            "waf.perf.decision_time.99pct",
            "runtime.cpu_pct",
            "runtime.mem.sys_bytes",
            "runtime.uptime",
        ] {
            assert!(plain.iter().any(|have| have.starts_with(&format!("sigsci.agent.{name}:"))), "{name}");
        }
        let tagged = lines(StatsdType::Dogstatsd);
        assert!(tagged.iter().any(|have| have == "sigsci.agent.signal:1|c|#signal_type:SQLI"), "{tagged:?}");
    }
}
