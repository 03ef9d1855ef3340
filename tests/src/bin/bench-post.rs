//! Durable danmaku posts a second over HTTP, with latencies, against two limits of the
//! same machine in the same run: the same client asking `/healthz` (what HTTP alone costs)
//! and a bare loop of write + fdatasync (what the disk alone costs).
//!
//! `cargo run --release -p goligoli-tests --bin bench-post [SECONDS [CONNECTIONS]]`, after
//! `cargo build --release -p goligoli`. Server and client share the machine.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use goligoli_tests::http::{self, Connection};
use goligoli_tests::process::cpu_seconds;
use goligoli_tests::{Account, Scene, Setup};

const ACCOUNTS: usize = 2_000;
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let seconds = arguments.next().transpose()?.unwrap_or(15);
    let connections = usize::try_from(arguments.next().transpose()?.unwrap_or(64))?;
    // The project's own defaults for what viewers see; and a data folder that lies on a disk.
    let setup = Setup::new().unset("PUSH__RATE_PER_S").unset("PUSH__BURST").data_within(Path::new("target"));
    let server = setup.start().await;
    let accounts = Account::seed(&server, ACCOUNTS).await;
    let room = Scene::open(&server).await.room;
    let span = Duration::from_secs(seconds);

    let health = |_: usize| b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec();
    let ceiling = load(server.address(), connections, Duration::from_secs(5), 200, health).await?;
    let syncs = syncs_per_second(server.data())?;
    let path = format!("/api/v1/rooms/{room}/danmaku");
    let post = move |n: usize| {
        let body = format!(r##"{{"text":"line {n} 第{n}句","mode":"scroll","color":"#ffd302"}}"##);
        let bearer = format!("Bearer {}", accounts[n % ACCOUNTS].token);
        http::post(&path, &[("Authorization", &bearer), ("Content-Type", "application/json")], &body)
    };
    let before = cpu_seconds(server.pid());
    let posts = load(server.address(), connections, span, 201, post).await?;
    let cpu = cpu_seconds(server.pid()) - before;
    let all = posts.total as f64;

    println!("{connections} connections, {ACCOUNTS} accounts, {seconds} s after {} s of warm-up", WARM_UP.as_secs());
    println!("durable posts        {:>8.0} /s", posts.per_second);
    println!(
        "latency ms           p50 {:.1}   p90 {:.1}   p99 {:.1}   p99.9 {:.1}   max {:.1}",
        posts.at(0.5),
        posts.at(0.9),
        posts.at(0.99),
        posts.at(0.999),
        posts.at(1.0)
    );
    println!("server CPU           {:>8.0} µs per post", cpu / all * 1e6);
    println!(
        "GET /healthz         {:>8.0} /s: posting reaches {:.2} of it",
        ceiling.per_second,
        posts.per_second / ceiling.per_second
    );
    println!("write + fdatasync    {syncs:>8.0} /s: {:.1} posts for each of them", posts.per_second / syncs);
    Ok(())
}

struct Outcome {
    per_second: f64,
    /// Everything, also of the warm-up.
    total: usize,
    /// After the warm-up, ascending.
    latencies: Vec<Duration>,
}

impl Outcome {
    fn at(&self, part: f64) -> f64 {
        let last = self.latencies.len() - 1;
        self.latencies[((last as f64) * part).round() as usize].as_secs_f64() * 1e3
    }
}

/// Each connection asks, waits for the answer, and asks again.
async fn load(
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

/// What the disk under `folder` gives to one writer.
fn syncs_per_second(folder: &Path) -> anyhow::Result<f64> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let (begin, mut syncs) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4_096])?;
        file.as_file().sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / begin.elapsed().as_secs_f64())
}
