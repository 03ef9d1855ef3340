//! Durable danmaku posts a second over HTTP, with latencies, against two limits of the
//! same machine in the same run: the same client asking `/healthz` (what HTTP alone costs)
//! and a bare loop of write + fdatasync (what the disk alone costs).
//!
//! `cargo run --release -p goligoli-tests --bin bench-post [SECONDS [CONNECTIONS]]`, after
//! `cargo build --release -p goligoli`. Server and client share the machine.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ACCOUNTS: usize = 2_000;
const WARM_UP: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let seconds = arguments.next().transpose()?.unwrap_or(15);
    let connections = usize::try_from(arguments.next().transpose()?.unwrap_or(64))?;
    let server = Server::start().await?;
    let accounts = server.accounts()?;
    let room = server.live_room(&accounts[0]).await?;
    let span = Duration::from_secs(seconds);

    let health = |_: usize| "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n".to_owned();
    let ceiling = load(&server, connections, Duration::from_secs(5), 200, health).await?;
    let syncs = syncs_per_second(server.data.path())?;
    let path = format!("/api/v1/rooms/{room}/danmaku");
    let post = move |n: usize| {
        let body = format!(r##"{{"text":"line {n} 第{n}句","mode":"scroll","color":"#ffd302"}}"##);
        let token = &accounts[n % ACCOUNTS];
        format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let before = server.cpu_seconds()?;
    let posts = load(&server, connections, span, 201, post).await?;
    let cpu = server.cpu_seconds()? - before;
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
    server: &Server,
    connections: usize,
    span: Duration,
    expected: u16,
    request: impl Fn(usize) -> String + Send + Sync + 'static,
) -> anyhow::Result<Outcome> {
    let request = Arc::new(request);
    let begin = Instant::now() + WARM_UP;
    let end = begin + span;
    let mut running = tokio::task::JoinSet::new();
    for connection in 0..connections {
        let (request, address) = (Arc::clone(&request), server.address.clone());
        running.spawn(async move {
            let mut client = Client::connect(&address).await?;
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

/// The least that speaks HTTP/1.1, so that the client takes little of the machine.
struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: &str) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    async fn ask(&mut self, request: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        self.socket.write_all(request.as_bytes()).await?;
        loop {
            if let Some(head) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
                let status = text.get(9..12).context("no status")?.parse()?;
                let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.context("no content-length")?.trim().parse()?;
                if self.buffer.len() >= head + 4 + length {
                    let mut answer: Vec<u8> = self.buffer.drain(..head + 4 + length).collect();
                    return Ok((status, answer.split_off(head + 4)));
                }
            }
            ensure!(self.socket.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        }
    }
}

struct Server {
    process: Child,
    address: String,
    data: tempfile::TempDir,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        let data = tempfile::Builder::new().prefix("bench-post").tempdir_in("target")?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let process = goligoli(data.path(), &address)
            .arg("serve")
            .stderr(Stdio::null())
            .spawn()
            .context("starting target/release/goligoli (cargo build --release -p goligoli)")?;
        let server = Self { process, address, data };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Ok(mut client) = Client::connect(&server.address).await
                && client.ask("GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n").await?.0 == 200
            {
                return Ok(server);
            }
            ensure!(Instant::now() < deadline, "the server did not become ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Access tokens.
    fn accounts(&self) -> anyhow::Result<Vec<String>> {
        let seeded = goligoli(self.data.path(), &self.address)
            .args(["seed", "--accounts", &ACCOUNTS.to_string()])
            .stderr(Stdio::null())
            .output()?;
        let lines = String::from_utf8(seeded.stdout)?;
        let token = |line: &str| -> anyhow::Result<String> {
            let account: Value = serde_json::from_str(line)?;
            Ok(account["access_token"].as_str().context("no token")?.to_owned())
        };
        lines.lines().map(token).collect()
    }

    async fn live_room(&self, token: &str) -> anyhow::Result<String> {
        let mut client = Client::connect(&self.address).await?;
        let mut post = async |path: &str, body: &str| -> anyhow::Result<Value> {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let (status, body) = client.ask(&request).await?;
            ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(&body));
            Ok(serde_json::from_slice(&body)?)
        };
        let room = post("/api/v1/rooms", r#"{"title":"bench"}"#).await?;
        let id = room["id"].as_str().context("no id")?.to_owned();
        post(&format!("/api/v1/rooms/{id}/sessions"), "").await?;
        Ok(id)
    }

    /// Used so far, by the kernel's account (a hundred ticks a second on Linux).
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().context("no stat")?.split_whitespace().collect();
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn goligoli(data: &std::path::Path, address: &str) -> Command {
    let mut command = Command::new("target/release/goligoli");
    command
        .env("GOLIGOLI_DATA_DIR", data)
        .env("GOLIGOLI_HTTP__LISTEN", address)
        .env("GOLIGOLI_OPS__ENABLED", "false")
        .env("GOLIGOLI_GATEWAY__LIMITS__EXEMPT", r#"["127.0.0.0/8"]"#);
    command
}

/// What the disk under `folder` gives to one writer.
fn syncs_per_second(folder: &std::path::Path) -> anyhow::Result<f64> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    let (begin, mut syncs) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4_096])?;
        file.as_file().sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / begin.elapsed().as_secs_f64())
}
