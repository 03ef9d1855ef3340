//! A server starts, and the machine's clock is not where the server left it.

use std::path::PathBuf;

use goligoli_tests::{Scene, Server, Watch, until};
use serde_json::Value;

use crate::statistics::Ops;

const HOUR_MS: i64 = 3_600_000;
/// More than a start takes on the slowest machine.
const SOON_MS: i64 = 120_000;

fn file(server: &Server) -> PathBuf {
    server.data().join("data/clock.json")
}

/// Between two runs: where the clock was is told otherwise by so much. To the server that is as
/// if the machine's had been set meanwhile, which a test may not do.
pub(crate) fn tell(server: &Server, off_ms: i64) {
    let mut kept: Value = serde_json::from_slice(&std::fs::read(file(server)).unwrap()).unwrap();
    let wall_ms = &mut kept["known"]["wall_ms"];
    *wall_ms = (wall_ms.as_i64().unwrap() + off_ms).into();
    std::fs::write(file(server), kept.to_string()).unwrap();
}

/// What a page takes for the time (ms since 1970).
async fn server_time_ms(server: &Server, scene: &Scene) -> i64 {
    let welcome = Watch::guest().open(server, &scene.room).await.next("welcome").await.json();
    welcome["server_time_ms"].as_i64().unwrap()
}

#[tokio::test]
async fn a_clock_that_was_set_while_nothing_ran_is_doubted() {
    let (ops, setup) = Ops::setup();
    let mut server = setup.start().await;
    let scene = Scene::open(&server).await;
    let began_ms = server_time_ms(&server, &scene).await;
    let since_began = async |server: &Server| server_time_ms(server, &scene).await - began_ms;
    let in_doubt = async |server: &Server| {
        let told = async || ops.metrics(server).await.get("goligoli_clock_in_doubt").copied();
        until("it tells whether the clock is in doubt", told).await
    };

    server.restart().await;
    assert!((0..SOON_MS).contains(&since_began(&server).await));
    assert_eq!(in_doubt(&server).await, 0.0);

    for off_ms in [HOUR_MS, -HOUR_MS] {
        assert!(server.terminate().await.success());
        tell(&server, off_ms);
        server.start_again().await;
        assert!((off_ms..off_ms + SOON_MS).contains(&since_began(&server).await), "by the clock that nobody sets");
        assert_eq!(in_doubt(&server).await, 1.0);
        // Neither another start nor a kill makes it believed.
        server.kill9().await;
        server.start_again().await;
        assert!((off_ms..off_ms + SOON_MS).contains(&since_began(&server).await));
        assert_eq!(in_doubt(&server).await, 1.0);
        assert!(server.terminate().await.success());
        tell(&server, -off_ms);
        server.start_again().await;
        assert!((0..SOON_MS).contains(&since_began(&server).await), "put right again");
        assert_eq!(in_doubt(&server).await, 0.0);
    }

    assert!(server.terminate().await.success());
    tell(&server, HOUR_MS);
    std::fs::remove_file(file(&server)).unwrap();
    server.start_again().await;
    assert!((0..SOON_MS).contains(&since_began(&server).await), "who knows better removes what is kept");
    assert_eq!(in_doubt(&server).await, 0.0);
}
