//! Durable danmaku posts a second over HTTP, with latencies, against two limits of the
//! same machine in the same run: the same client asking `/healthz` (what HTTP alone costs)
//! and a bare loop of write + fdatasync (what the disk alone costs).
//!
//! `cargo run --release -p goligoli-tests --bin bench-post [SECONDS [CONNECTIONS]]`, after
//! `cargo build --release -p goligoli`. Server and client share the machine.

use std::path::Path;
use std::time::Duration;

use goligoli_tests::closed_loop::{WARM_UP, of_health, run, syncs_per_second};
use goligoli_tests::{Account, Scene, Setup, http};

const ACCOUNTS: usize = 2_000;

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

    let ceiling = of_health(server.address(), connections).await?;
    let syncs = syncs_per_second(server.data())?;
    let path = format!("/api/v1/rooms/{room}/danmaku");
    let post = move |n: usize| {
        let body = format!(r##"{{"text":"line {n} 第{n}句","mode":"scroll","color":"#ffd302"}}"##);
        let bearer = format!("Bearer {}", accounts[n % ACCOUNTS].token);
        http::post(&path, &[("Authorization", &bearer), ("Content-Type", "application/json")], &body)
    };
    let before = server.cpu_seconds();
    let posts = run(server.address(), connections, span, 201, post).await?;
    let cpu = server.cpu_seconds() - before;
    let all = posts.total as f64;

    println!("{connections} connections, {ACCOUNTS} accounts, {seconds} s after {} s of warm-up", WARM_UP.as_secs());
    println!("durable posts        {:>8.0} /s", posts.per_second);
    println!("latency ms           {posts}");
    println!("server CPU           {:>8.0} µs per post", cpu / all * 1e6);
    println!(
        "GET /healthz         {:>8.0} /s: posting reaches {:.2} of it",
        ceiling.per_second,
        posts.per_second / ceiling.per_second
    );
    println!("write + fdatasync    {syncs:>8.0} /s: {:.1} posts for each of them", posts.per_second / syncs);
    Ok(())
}
