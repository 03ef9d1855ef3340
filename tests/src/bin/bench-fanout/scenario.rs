//! One measurement: so many viewers, so many events a second, for so long.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use goligoli_tests::poster::{Plan, Posted, Poster};
use goligoli_tests::process::{cpu_seconds, kernel_bytes, resident_bytes};
use goligoli_tests::swarm::{Options, Report, Swarm};

use crate::outcome::{Idle, Outcome};
use crate::peer::Peer;

/// What a server needs to open all streams at most.
const OPENING: Duration = Duration::from_secs(120);
/// Nothing more comes when nothing has come for so long.
const QUIET: Duration = Duration::from_millis(600);
/// A server that is still sending what it was given this long ago is not waited for.
const DRAIN: Duration = Duration::from_secs(15);
/// Idle viewers' memory is looked at when allocators and collectors have calmed down.
const CALM: Duration = Duration::from_secs(1);

/// What is measured.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Scenario {
    /// Viewers of one room or channel.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) viewers: usize,
    /// Events a second that are published.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) events_per_s: f64,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// How long before that, unmeasured.
    #[arg(long, default_value_t = 1.5)]
    pub(crate) warm_up_s: f64,
    /// Bytes of an event's data. What goligoli makes of a danmaku has about 240.
    #[arg(long, default_value_t = 240)]
    pub(crate) payload_bytes: usize,
    /// Gathers events for so long before they are sent (goligoli and the bare loop);
    /// otherwise goligoli's default and, in the bare loop, one event per write.
    #[arg(long)]
    pub(crate) gather_ms: Option<u64>,
}

impl Scenario {
    /// Measures a server that has just been started.
    pub(crate) fn measure(&self, peer: &Peer) -> anyhow::Result<Outcome> {
        let resident = || peer.sum(resident_bytes);
        let (before, kernel_before) = (resident(), kernel_bytes());
        let options = Options { come_back: None, ..Options::viewers(self.viewers) };
        let swarm = Swarm::start(peer.target.clone(), &options)?;
        let watching = |report: &Report| report.watching == self.viewers || report.gone > 0;
        let report = swarm.try_wait_until(OPENING, watching).context("viewers that can't open a stream")?;
        anyhow::ensure!(report.gone == 0, "{} viewers are turned away: {:?}", report.gone, report.refused);
        std::thread::sleep(CALM);
        let per_viewer = |bytes: u64| bytes as f64 / self.viewers as f64;
        let idle = before.zip(resident()).map(|(before, after)| Idle {
            resident_bytes: per_viewer(after.saturating_sub(before)),
            kernel_bytes: per_viewer(kernel_bytes().saturating_sub(kernel_before)),
        });

        let warm_up = self.post(peer, 0, self.warm_up_s)?;
        drained(&swarm);
        _ = swarm.mark();
        let cpu = || (peer.sum(cpu_seconds), cpu_seconds(std::process::id()));
        let (cpu_before, begin) = (cpu(), Instant::now());
        let posted = self.post(peer, warm_up.sent, self.seconds)?;
        let (report, ended) = drained(&swarm);
        let cpu_after = cpu();
        let events = report.latency_us().len();
        let per_event = |seconds: f64| seconds * 1e6 / events as f64;
        // The swarm is part of this process, which has children if it started the server.
        let server_cpu = cpu_after.0.zip(cpu_before.0).map(|(after, before)| after - before);
        let own_cpu = cpu_after.1 - cpu_before.1 - server_cpu.filter(|_| peer.is_child()).unwrap_or_default();
        let taken: u64 = posted.answered.iter().filter(|(status, _)| **status < 300).map(|(_, times)| times).sum();
        Ok(Outcome {
            name: peer.name.clone(),
            viewers: self.viewers,
            asked_per_s: self.events_per_s,
            reached_per_s: events as f64 / self.viewers as f64 / (ended - begin).as_secs_f64(),
            events,
            server_us: server_cpu.map(per_event),
            client_us: per_event(own_cpu),
            p50_ms: report.latency_ms(0.5),
            p99_ms: report.latency_ms(0.99),
            p999_ms: report.latency_ms(0.999),
            idle,
            bytes_per_event: report.bytes as f64 / events as f64,
            events_per_read: events as f64 / report.reads as f64,
            refused: posted.sent - taken,
            missing: (taken * self.viewers as u64).saturating_sub(events),
            violations: report.tally.violations(),
            disconnected: report.gone,
        })
    }

    fn post(&self, peer: &Peer, first: u64, seconds: f64) -> anyhow::Result<Posted> {
        let poster = Poster::start(Plan {
            address: peer.target.address,
            request: std::sync::Arc::clone(&peer.publish),
            class: "",
            per_second: self.events_per_s,
            connections: peer.publishers,
            first,
            most: None,
        })?;
        std::thread::sleep(Duration::from_secs_f64(seconds));
        Ok(poster.stop())
    }
}

/// Waits until nothing more comes. Returns what came, and when the last event did: what else
/// a server says is not counted.
fn drained(swarm: &Swarm) -> (Report, Instant) {
    let mut last_event = Instant::now();
    let (mut events, mut bytes, mut last) = (0, u64::MAX, last_event);
    let quiet = swarm.try_wait_until(DRAIN, |report| {
        if report.latency_us().len() != events {
            (events, last_event) = (report.latency_us().len(), Instant::now());
        }
        if report.bytes != bytes {
            (bytes, last) = (report.bytes, Instant::now());
        }
        last.elapsed() >= QUIET
    });
    (quiet.unwrap_or_else(|| swarm.report()), last_event)
}
