//! How long a broadcast of a million danmaku takes to become a replay, and the most memory that
//! the server takes for it; then what it costs to serve the replay's files, held against what
//! HTTP alone costs in the same run. Fails if that memory is more than the index is allowed.
//!
//! `cargo run --release -p goligoli-tests --bin bench-replay [DANMAKU [CONNECTIONS]]`, after
//! `cargo build --release -p goligoli`. Server and client share the machine.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use goligoli_tests::closed_loop::run;
use goligoli_tests::http::{Connection, get};
use goligoli_tests::process::{cpu_seconds, peak_resident_bytes};
use goligoli_tests::{Scene, Server, Setup};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

/// Over which the danmaku are spread: three hours.
const LENGTH_MS: i64 = 3 * 3_600 * 1_000;
/// What the server may take to index [`ALLOWED_FOR`] danmaku, all in all.
const ALLOWED_BYTES: u64 = 200_000_000;
const ALLOWED_FOR: u64 = 1_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const INDEXED_WITHIN: Duration = Duration::from_mins(10);
/// How long each file is asked for.
const SPAN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let danmaku = arguments.next().transpose()?.unwrap_or(1_000_000);
    let connections = usize::try_from(arguments.next().transpose()?.unwrap_or(4))?;
    // The project's own defaults, on a disk.
    let mut server = Setup::new().data_within(Path::new("target")).start().await;
    let scene = Scene::open(&server).await;
    let room = scene.owner.get(&scene.path("")).await.expect(200);
    let began_ms = room["session"]["opened_at_ms"].as_i64().context("a time")?;
    _ = server.terminate().await;
    let begun = Instant::now();
    put_in(&server, &scene, began_ms, danmaku).await?;
    println!("{danmaku} danmaku of three hours, put into the database within {:.1} s", begun.elapsed().as_secs_f64());
    server.start_again().await;
    let (replay, peak_bytes) = index(&server, &scene).await?;
    serve(&server, &replay, connections).await?;
    // More danmaku may take more; nobody has said how much.
    let is_allowed = danmaku > ALLOWED_FOR || peak_bytes <= ALLOWED_BYTES;
    anyhow::ensure!(is_allowed, "indexing takes {peak_bytes} bytes at its peak; {ALLOWED_BYTES} are allowed");
    Ok(())
}

/// Ends the broadcast and waits until its replay is ready; gives it, and the server's peak
/// memory (bytes).
async fn index(server: &Server, scene: &Scene) -> anyhow::Result<(Value, u64)> {
    let (memory, cpu) = (peak_resident_bytes(server.pid()), cpu_seconds(server.pid()));
    let begun = Instant::now();
    _ = scene.owner.post(&scene.path(&format!("/sessions/{}/close", scene.session)), &Value::Null).await.expect(200);
    let replay = loop {
        let replays = server.get(&scene.path("/replays")).await.expect(200);
        let replay = &replays["items"][0];
        if replay["state"] == "ready" {
            break replay.clone();
        }
        anyhow::ensure!(begun.elapsed() < INDEXED_WITHIN, "it is not indexed: {replay}");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let (elapsed, cpu) = (begun.elapsed(), cpu_seconds(server.pid()) - cpu);
    let peak = peak_resident_bytes(server.pid());
    println!("closed to ready      {:>8.1} s ({cpu:.1} s of CPU)", elapsed.as_secs_f64());
    let [peak_mb, allowed_mb, before_mb] = [peak, ALLOWED_BYTES, memory].map(|bytes| bytes as f64 / 1e6);
    println!("peak memory          {peak_mb:>8.0} MB of {allowed_mb:.0} MB allowed ({before_mb:.0} MB before)");
    println!("danmaku              {:>8}", replay["danmaku_count"]);
    Ok((replay, peak))
}

/// Asks for each kind of file, again and again.
async fn serve(server: &Server, replay: &Value, connections: usize) -> anyhow::Result<()> {
    let (id, version) = (replay["id"].as_str().context("an id")?, &replay["version"]);
    let file = |rest: &str| format!("/api/v1/replays/{id}/{rest}?v={version}");
    let etag = format!("\"{version}\"");
    let known = [("If-None-Match", etag.as_str())];
    let asked = [
        ("GET /healthz", get("/healthz", &[]), 200),
        ("a part that is known", get(&file("parts/7"), &known), 304),
        ("a part", get(&file("parts/7"), &[]), 200),
        ("a segment", get(&file("segments/7"), &[]), 200),
        ("the manifest", get(&file("manifest"), &[]), 200),
    ];
    println!("\n{connections} connections, {} s each", SPAN.as_secs());
    println!("{:<22}{:>10}{:>10}{:>14}{:>12}{:>10}", "", "bytes", "/s", "µs of CPU", "of healthz", "p99 ms");
    let mut of_health = None;
    for (what, request, status) in asked {
        let (_, body) = Connection::to(server.address()).await?.ask(&request).await?;
        let before = cpu_seconds(server.pid());
        let outcome = run(server.address(), connections, SPAN, status, move |_| request.clone()).await?;
        let cpu = (cpu_seconds(server.pid()) - before) / outcome.total as f64 * 1e6;
        let ratio = cpu / *of_health.get_or_insert(cpu);
        let (bytes, rate, p99) = (body.len(), outcome.per_second, outcome.at(0.99));
        println!("{what:<22}{bytes:>10}{rate:>10.0}{cpu:>14.0}{ratio:>12.1}{p99:>10.1}");
    }
    println!("peak memory then     {:>8.0} MB", peak_resident_bytes(server.pid()) as f64 / 1e6);
    Ok(())
}

/// Puts danmaku into the stopped server's database, as if a thousand accounts had posted them.
async fn put_in(server: &Server, scene: &Scene, began_ms: i64, danmaku: u64) -> anyhow::Result<()> {
    const DANMAKU: &str = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ?1) \
         INSERT INTO danmaku (id, room_id, session_id, user_id, user_name, role, text, mode, color, size, sent_at_ms, \
         offset_ms) SELECT 1000000000 + n, ?2, ?3, 1000000000 + n % 1000, 'viewer-' || n % 1000, 0, \
         CASE n % 3 WHEN 0 THEN '哈哈哈哈哈哈' WHEN 1 THEN 'the last mountains before dawn ' || n ELSE '来了来了 ' || n END, \
         n % 11 = 0, 16777215, 1, ?4 + n * ?5 / ?1, n * ?5 / ?1 FROM number";
    let file = server.data().join("data/message.db");
    let mut db = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let (room, session): (i64, i64) = (scene.room.parse()?, scene.session.parse()?);
    let insert = sqlx::query(DANMAKU).bind(danmaku.cast_signed()).bind(room).bind(session);
    insert.bind(began_ms).bind(LENGTH_MS).execute(&mut db).await?;
    Ok(db.close().await?)
}
