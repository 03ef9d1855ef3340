//! Durable entries a second over HTTP, with latencies; then the draw over a million entries
//! by the server's own stamps, and the most memory that the server took for it.
//!
//! `cargo run --release -p goligoli-tests --bin bench-lottery [SECONDS [CONNECTIONS [ENTRIES]]]`,
//! after `cargo build --release -p goligoli`. No entries: no draw. Server and client share the
//! machine. With `TOPOLOGY=apart` the entries are those of a whole site; the draw is not measured
//! there.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use goligoli_tests::closed_loop::{WARM_UP, of_health, run, syncs_per_second};
use goligoli_tests::lottery::{Lottery, book, with};
use goligoli_tests::process::peak_resident_bytes;
use goligoli_tests::{Account, Scene, Server, Setup, Watch, http, until};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};

/// Each account enters each lottery once.
const ACCOUNTS: usize = 20_000;
const LOTTERIES: usize = 10;
/// Entries are put into the stopped server's database within this time, or the draw begins
/// when it starts.
const OPEN_S: u64 = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let seconds = arguments.next().transpose()?.unwrap_or(15);
    let connections = usize::try_from(arguments.next().transpose()?.unwrap_or(64))?;
    let entries = arguments.next().transpose()?.unwrap_or(1_000_000);
    // The project's own defaults, but for the number of lotteries; on a disk.
    let setup = Setup::new().set("LOTTERY__OPEN_PER_ROOM", &LOTTERIES.to_string());
    let mut server = setup.data_within(Path::new("target")).start().await;
    let scene = Scene::open(&server).await;
    enter(&server, &scene, Duration::from_secs(seconds), connections).await?;
    if entries == 0 { Ok(()) } else { draw(&mut server, entries).await }
}

async fn enter(server: &Server, scene: &Scene, span: Duration, connections: usize) -> anyhow::Result<()> {
    let accounts = Account::seed(server, ACCOUNTS).await;
    let ceiling = of_health(server.address(), connections).await?;
    let syncs = syncs_per_second(server.data())?;
    let mut lotteries = Vec::new();
    for _ in 0..LOTTERIES {
        lotteries.push(Lottery::open(scene, &book(3_600)).await);
    }
    let request = move |n: usize| {
        let bearer = format!("Bearer {}", accounts[n % ACCOUNTS].token);
        // More than that were told that they are in already, which is not what is measured.
        let lottery = lotteries.get(n / ACCOUNTS).expect("more lotteries are needed for such a time");
        http::put(&lottery.path("/entries/me"), &[("Authorization", &bearer)])
    };
    let before = server.cpu_seconds();
    let entries = run(server.address(), connections, span, 201, request).await?;
    let cpu = server.cpu_seconds() - before;
    println!("{connections} connections, {} s after {} s of warm-up", span.as_secs(), WARM_UP.as_secs());
    println!("durable entries      {:>8.0} /s", entries.per_second);
    println!("latency ms           {entries}");
    println!("server CPU           {:>8.0} µs per entry", cpu / entries.total as f64 * 1e6);
    let part = entries.per_second / ceiling.per_second;
    println!("GET /healthz         {:>8.0} /s: entering reaches {part:.2} of it", ceiling.per_second);
    println!("write + fdatasync    {syncs:>8.0} /s: {:.1} entries for each of them", entries.per_second / syncs);
    Ok(())
}

async fn draw(server: &mut Server, entries: u64) -> anyhow::Result<()> {
    // A room of its own: the other one's lotteries are still open.
    let owner = Account::register(server, "hostess").await;
    let room = owner.post("/api/v1/rooms", &json!({"title": "A large room"})).await.expect(201);
    let room = room["id"].as_str().context("an id")?.to_owned();
    let session = owner.post(&format!("/api/v1/rooms/{room}/sessions"), &json!(null)).await.expect(201);
    let session = session["id"].as_str().context("an id")?.to_owned();
    let prizes = json!({"prizes": [{"name": "a mug", "count": 100}]});
    let scene = Scene { owner, room, session };
    let lottery = Lottery::open(&scene, &with(book(OPEN_S), prizes)).await;
    _ = server.terminate().await;
    let begun = Instant::now();
    put_in(server, &lottery, entries).await?;
    let wrote = begun.elapsed();
    server.start_again().await;
    let before = peak_resident_bytes(server.pid());
    // What is kept for viewers says when in milliseconds.
    let drawn = until("the result is in the room", async || {
        let hello = Watch::guest().open(server, &scene.room).await.next("hello").await.json();
        Some(hello["lotteries"][0].clone()).filter(|lottery| lottery["phase"] == "drawn")
    })
    .await;
    let peak = peak_resident_bytes(server.pid());
    let closed_ms = drawn["closed"]["closed_at_ms"].as_i64().context("a time")?;
    let drawn_ms = drawn["decided_at_ms"].as_i64().context("a time")?;
    println!("\n{entries} entries, written within {:.1} s", wrote.as_secs_f64());
    println!("due to closed        {:>8} ms", closed_ms - lottery.draw_at_ms().cast_signed());
    println!("closed to drawn      {:>8} ms", drawn_ms - closed_ms);
    println!("peak memory          {:>8.0} MB ({:.0} MB before the draw)", peak as f64 / 1e6, before as f64 / 1e6);
    let begun = Instant::now();
    lottery.audit(server, &drawn["opened"], &drawn["closed"], &[]).await;
    println!("download and verify  {:>8.1} s: it agrees", begun.elapsed().as_secs_f64());
    let peak = peak_resident_bytes(server.pid());
    println!("peak memory then     {:>8.0} MB", peak as f64 / 1e6);
    Ok(())
}

/// Puts entries of accounts that nobody has into the stopped server's database, as if they
/// had come over HTTP.
async fn put_in(server: &Server, lottery: &Lottery, entries: u64) -> anyhow::Result<()> {
    const ENTRIES: &str = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?) \
         INSERT INTO entry (lottery_id, n, user_id, user_name, entered_at_ms, weight) \
         SELECT ?, n, 1000000000 + n, 'viewer-' || n, ?, 1 FROM number";
    const NEXT: &str = "UPDATE lottery SET next_n = ?, last_ms = ? WHERE id = ?";
    let file = server.data().join("data/lottery.db");
    let mut db = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let (id, entries): (i64, _) = (lottery.id.parse()?, entries.cast_signed());
    let entered_ms = lottery.spec()["opens_at_ms"].as_i64().context("a time")?;
    let mut tx = db.begin().await?;
    sqlx::query(ENTRIES).bind(entries).bind(id).bind(entered_ms).execute(&mut *tx).await?;
    sqlx::query(NEXT).bind(entries).bind(entered_ms).bind(id).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(db.close().await?)
}
