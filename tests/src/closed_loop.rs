//! A closed loop of requests: each connection asks, waits for the answer, and asks again.
//! What durable requests cost is held against two limits of the same machine in the same
//! run: what HTTP alone costs, and what the disk alone does.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::http::Connection;

/// What comes before the measurement.
pub const WARM_UP: Duration = Duration::from_secs(2);

/// What a loop came to.
#[derive(Debug)]
pub struct Outcome {
    /// Answers a second, after the warm-up.
    pub per_second: f64,
    /// Everything, also of the warm-up.
    pub total: usize,
    /// After the warm-up, ascending.
    latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency (ms) that this part of the answers did not exceed.
    #[must_use]
    pub fn at(&self, part: f64) -> f64 {
        let last = self.latencies.len() - 1;
        self.latencies[((last as f64) * part).round() as usize].as_secs_f64() * 1e3
    }
}

impl std::fmt::Display for Outcome {
    /// The latencies.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, p999, max] = [0.5, 0.9, 0.99, 0.999, 1.0].map(|part| self.at(part));
        write!(f, "p50 {p50:.1}   p90 {p90:.1}   p99 {p99:.1}   p99.9 {p999:.1}   max {max:.1}")
    }
}

/// What asking `/healthz` comes to: what HTTP alone costs.
///
/// # Errors
/// A connection broke, or the server did not answer so.
pub async fn of_health(address: SocketAddr, connections: usize) -> anyhow::Result<Outcome> {
    let health = |_: usize| b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec();
    run(address, connections, Duration::from_secs(5), 200, health).await
}

/// Each connection asks, waits for the answer, which has to have this status, and asks again.
/// `request` makes the n-th request.
///
/// # Errors
/// A connection broke, or an answer had another status.
pub async fn run(
    address: SocketAddr,
    connections: usize,
    span: Duration,
    expected: u16,
    request: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
) -> anyhow::Result<Outcome> {
    let request = Arc::new(request);
    let begin = Instant::now() + WARM_UP;
    let end = begin + span;
    let mut running = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let request = Arc::clone(&request);
        running.spawn(async move {
            let mut client = Connection::to(address).await?;
            let (mut latencies, mut total) = (Vec::new(), 0);
            while Instant::now() < end {
                let asked = Instant::now();
                let (status, body) = client.ask(&request(connection + total * connections)).await?;
                ensure!(status == expected, "{status}: {}", String::from_utf8_lossy(&body));
                total += 1;
                if asked >= begin {
                    latencies.push(asked.elapsed());
                }
            }
            Ok((latencies, total))
        });
    }
    let mut outcome = Outcome { per_second: 0.0, total: 0, latencies: Vec::new() };
    while let Some(one) = running.join_next().await {
        let (latencies, total) = one??;
        outcome.latencies.extend(latencies);
        outcome.total += total;
    }
    outcome.latencies.sort_unstable();
    outcome.per_second = outcome.latencies.len() as f64 / span.as_secs_f64();
    Ok(outcome)
}

/// What the disk under `folder` gives to one writer: write + fdatasync, a second.
///
/// # Errors
/// Nothing can be written there.
pub fn syncs_per_second(folder: &Path) -> anyhow::Result<f64> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let (begin, mut syncs) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4_096])?;
        file.as_file().sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / begin.elapsed().as_secs_f64())
}
