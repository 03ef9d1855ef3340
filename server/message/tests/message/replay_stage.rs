//! The hands for replays: what is told to the service, and what lies in the object store.

use std::collections::BTreeSet;
use std::time::Duration;

use common::rpc;
use idl::live::ReplayIndexed;
use idl::message::{DeleteReplayDanmaku, ImportReplay, ImportedReplay, ReadReplayDanmaku, ReplayDanmakuPage};
use idl::replay::{ReplayDanmaku, ReplayDocument, ReplayLines, ReplayManifest};
use idl::user::Done;
use idl::{Caller, DanmakuId, Refusal, ReplayId};
use sqlx::Row as _;

use crate::stage::{PATIENCE, ROOM, START, Stage};

pub(crate) const REPLAY: ReplayId = ReplayId(41);
/// The owner of [`ROOM`].
pub(crate) const OWNER: u64 = 1;
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Stage {
    /// live says that there is something to do about the replay.
    pub(crate) fn wake(&self) {
        self.queue.publish("replay.index", REPLAY.to_string()).expect("room in the queue");
    }

    /// The broadcast ends now, and is [`REPLAY`] from then on.
    pub(crate) fn close(&self) {
        self.live.change(ROOM, |room| room.session = None);
        self.live.replays.of_broadcast(REPLAY, ROOM, START, self.clock.now().since_ms(START));
        self.wake();
    }

    /// Waits until live was told of this version, and nothing is left to do.
    pub(crate) async fn until_shown(&self, version: u64) -> ReplayIndexed {
        self.until_row("the version is shown", "version", version.cast_signed()).await;
        self.until_row("nothing is left to do", "due_ms IS NULL", 1).await;
        let told = self.live.replays.told(REPLAY);
        let last = told.last().expect("live was told").clone();
        assert_eq!(last.version, version, "{told:?}");
        last
    }

    /// Waits until a column of the replay's row has this value.
    pub(crate) async fn until_row(&self, what: &str, column: &str, value: i64) {
        let begun = tokio::time::Instant::now();
        while self.row(column).await != Some(value) {
            assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) async fn row(&self, column: &str) -> Option<i64> {
        let sql = format!("SELECT {column} FROM replay_index WHERE replay_id = {REPLAY}");
        self.number(&sql).await
    }

    /// The first number that a question to the database has.
    pub(crate) async fn number(&self, sql: &str) -> Option<i64> {
        let db = self.other_db().await;
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).fetch_optional(db.reader()).await.expect("an answer");
        db.close().await;
        row.map(|row| row.get(0))
    }

    /// Does something to the database that the service does not; returns how many rows it changed.
    pub(crate) async fn meddle(&self, sql: &str) -> u64 {
        let db = self.other_db().await;
        let mut tx = db.begin().await.expect("a transaction");
        if db.is_shared() {
            let recursion = "SET SESSION max_recursive_iterations = 10000";
            sqlx::query(recursion).execute(&mut *tx).await.expect("it works");
        }
        let done = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *tx).await.expect("it works");
        tx.commit().await.expect("a commit");
        db.close().await;
        done.rows_affected()
    }

    /// Moves the clock if a restart ends no leases: others may have them.
    pub(crate) fn advance_if_shared(&self, ms: i64) {
        if self.db_url != "sqlite:" {
            self.clock.advance_ms(ms);
        }
    }

    /// Stores `count` danmaku of the broadcast, `step_ms` after each other from `from_ms` on, as
    /// if they had been posted.
    pub(crate) async fn fill(&self, first_id: u64, count: u64, from_ms: u64, step_ms: u64) {
        let (start, room) = (START.0, ROOM.0);
        let portions = (0..count).step_by(10_000).map(|from| (from, count.min(from + 10_000)));
        for (from, end) in portions {
            let sql = format!(
                "INSERT INTO danmaku (id, room_id, session_id, user_id, user_name, role, text, mode, color, size, \
             sent_at_ms, offset_ms) \
             WITH RECURSIVE number (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {end}) \
             SELECT {first_id} + n, {room}, {room}, 1 + n % 7, 'user', 0, 'line ' || n, 0, \
             16777215, 1, {start} + {from_ms} + n * {step_ms}, {from_ms} + n * {step_ms} FROM number"
            );
            assert_eq!(self.meddle(&sql).await, end - from);
        }
    }

    /// The versions of which something lies in the object store.
    pub(crate) fn versions(&self) -> BTreeSet<String> {
        let folder = self.dir.path().join("objects").join(self.prefix());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().expect("ASCII")).collect()
    }

    pub(crate) fn prefix(&self) -> String {
        format!("replays/{ROOM}/2023/11/{REPLAY}-0123456789abcdef")
    }

    async fn object<T: serde::de::DeserializeOwned>(&self, version: u64, name: &str) -> T {
        let key = format!("{}/v{version}/{name}", self.prefix());
        let object = self.objects.get(&key).await.expect("a folder").unwrap_or_else(|| panic!("{key} is not there"));
        serde_json::from_slice(&object).unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    pub(crate) async fn manifest(&self, version: u64) -> ReplayManifest {
        self.object(version, "meta.json").await
    }

    /// All danmaku of a version, which all its files agree on.
    pub(crate) async fn lines(&self, version: u64) -> Vec<ReplayDanmaku> {
        let manifest = self.manifest(version).await;
        assert_eq!(manifest.version, version);
        let mut lines: Vec<ReplayDanmaku> = Vec::new();
        for part in &manifest.parts {
            let name = format!("danmaku/part_{:05}", part.part);
            let of_part: ReplayLines = self.object(version, &format!("{name}.json")).await;
            let danmaku = of_part.danmaku;
            let ends = (danmaku[0].at_ms, danmaku[danmaku.len() - 1].at_ms, danmaku.len() as u64);
            assert_eq!((part.from_ms, part.to_ms, part.danmaku_count), ends, "{part:?}");
            assert!(danmaku.iter().all(|line| 1 + line.at_ms / 360_000 == part.segment), "{part:?}");
            lines.extend(danmaku);
        }
        assert!(lines.is_sorted_by(|a, b| (a.at_ms, a.id) < (b.at_ms, b.id)), "by time and id");
        let whole: ReplayDocument = self.object(version, "danmaku/all.json").await;
        assert_eq!(whole.danmaku, lines);
        let heat: u64 = manifest.heat.counts.iter().copied().map(u64::from).sum();
        assert_eq!((manifest.replay.danmaku_count, heat), (lines.len() as u64, lines.len() as u64));
        for name in ["all.xml", "all.ass", "all.pb"] {
            let key = format!("{}/v{version}/danmaku/{name}", self.prefix());
            assert!(self.objects.get(&key).await.expect("a folder").is_some(), "{key}");
        }
        lines
    }

    /// Imports a file into [`ROOM`] as [`REPLAY`].
    pub(crate) async fn import(&self, file: &str) -> Result<ImportedReplay, Refusal> {
        self.live.replays.of_file(REPLAY, ROOM, START);
        let request = ImportReplay { replay: REPLAY };
        self.objects.put(&request.object(), file.to_owned().into()).await.expect("a folder");
        let imported = self.import_begun(REPLAY).await;
        let left = self.objects.get(&request.object()).await.expect("a folder");
        assert_eq!(left, None, "the file is not needed any more");
        imported
    }

    /// Imports the file that lies there into a replay that was begun.
    pub(crate) async fn import_begun(&self, replay: ReplayId) -> Result<ImportedReplay, Refusal> {
        rpc::answer(self.message.import_replay(rpc::within(PATIENCE), ImportReplay { replay }).await)
    }

    pub(crate) async fn delete_of_replay(&self, caller: Caller, danmaku: DanmakuId) -> Result<Done, Refusal> {
        let request = DeleteReplayDanmaku { caller, replay: REPLAY, danmaku };
        rpc::answer(self.message.delete_replay_danmaku(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn search(&self, request: ReadReplayDanmaku) -> Result<ReplayDanmakuPage, Refusal> {
        rpc::answer(self.message.replay_danmaku(rpc::within(PATIENCE), request).await)
    }
}

pub(crate) fn everything() -> ReadReplayDanmaku {
    ReadReplayDanmaku {
        caller: None,
        replay: REPLAY,
        from_ms: 0,
        before_ms: None,
        text: None,
        cursor: None,
        limit: 500,
    }
}

/// What lines say, in order.
pub(crate) fn texts(lines: &[ReplayDanmaku]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}
