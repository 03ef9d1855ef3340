//! The hands that play with replays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::rpc;
use idl::live::{
    BeginImport, DeleteReplay, EditReplay, EndImport, GetReplay, GetReplayJob, GiveImportUp, IndexReplay, ListReplays,
    LocatedReplay, MarkReplay, Replay, ReplayIndexed, ReplayJob, ReplayMarkKind, ReplayText, ReplayWiped, Session,
};
use idl::user::Done;
use idl::{Caller, LotteryId, Refusal, ReplayId, RoomId, Timestamp};

use super::{World, eventually, idempotency_key, soon};

/// What was read from the queue: of which replays somebody was woken, in order.
#[derive(Clone, Default)]
pub(crate) struct Woken(Arc<Mutex<Vec<ReplayId>>>);

impl Woken {
    pub(crate) fn times(&self, replay: ReplayId) -> usize {
        self.0.lock().unwrap().iter().filter(|woken| **woken == replay).count()
    }

    pub(crate) async fn wait_for(&self, replay: ReplayId, times: usize) {
        eventually("a message", async || (self.times(replay) >= times).then_some(())).await;
    }
}

impl World {
    /// Begins to read the queue.
    pub(crate) fn consume(&self) -> Woken {
        let woken = Woken::default();
        let handed = woken.clone();
        let handler = move |message: common::queue::Message| {
            handed.0.lock().unwrap().push(message.body.parse().unwrap());
            std::future::ready(Ok::<(), &str>(()))
        };
        self.queue.consume("replay.index", 1, Duration::from_secs(5), &self.lifecycle, handler).unwrap();
        woken
    }

    /// A broadcast of so many milliseconds that has ended, and its replay.
    pub(crate) async fn broadcast(&self, room: RoomId, ms: i64) -> (Session, Replay) {
        let owner = self.room(room).await.unwrap().owner.id.0;
        let session = self.open(self.member(owner), room, None).await.unwrap();
        self.clock.advance_ms(ms);
        let session = self.close(self.member(owner), &session).await.unwrap();
        let replays = self.replays(Some(self.member(owner)), room).await.unwrap();
        let of_it = replays.into_iter().find(|replay| replay.session_id == Some(session.id));
        (session, of_it.unwrap())
    }

    /// All that are listed for somebody, read in pages of two.
    pub(crate) async fn replays(&self, caller: Option<Caller>, room: RoomId) -> Result<Vec<Replay>, Refusal> {
        let (mut replays, mut cursor) = (Vec::new(), None);
        loop {
            let ask = ListReplays { caller: caller.clone(), room, cursor, limit: 2 };
            let page = rpc::answer(self.client.replays(soon(), ask).await)?;
            assert!(page.items.len() <= 2);
            replays.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(replays);
            }
        }
    }

    pub(crate) async fn replay(&self, caller: Option<Caller>, replay: ReplayId) -> Result<LocatedReplay, Refusal> {
        rpc::answer(self.client.replay(soon(), GetReplay { caller, replay }).await)
    }

    pub(crate) async fn edit_replay(&self, by: Caller, replay: ReplayId, body: ReplayText) -> Result<Replay, Refusal> {
        rpc::answer(self.client.edit_replay(soon(), EditReplay { caller: by, replay, body }).await)
    }

    pub(crate) async fn delete_replay(&self, by: Caller, replay: ReplayId) -> Result<Done, Refusal> {
        rpc::answer(self.client.delete_replay(soon(), DeleteReplay { caller: by, replay }).await)
    }

    pub(crate) async fn index_replay(&self, by: Caller, replay: ReplayId) -> Result<Replay, Refusal> {
        rpc::answer(self.client.index_replay(soon(), IndexReplay { caller: by, replay }).await)
    }

    pub(crate) async fn begin_import(&self, by: Caller, room: RoomId, title: &str) -> Result<Replay, Refusal> {
        self.begin_import_with(by, room, title, None).await
    }

    pub(crate) async fn begin_import_with(
        &self,
        by: Caller,
        room: RoomId,
        title: &str,
        key: Option<&str>,
    ) -> Result<Replay, Refusal> {
        let begin = BeginImport { caller: by, room, title: title.to_owned(), key: key.map(idempotency_key) };
        rpc::answer(self.client.begin_import(soon(), begin).await)
    }

    pub(crate) async fn give_import_up(&self, replay: ReplayId) -> Result<Done, Refusal> {
        rpc::answer(self.client.give_import_up(soon(), GiveImportUp { replay }).await)
    }

    pub(crate) async fn end_import(&self, replay: ReplayId, duration_ms: u64) -> Result<Replay, Refusal> {
        rpc::answer(self.client.end_import(soon(), EndImport { replay, duration_ms }).await)
    }

    pub(crate) async fn job(&self, replay: ReplayId) -> Result<ReplayJob, Refusal> {
        rpc::answer(self.client.replay_job(soon(), GetReplayJob { replay }).await)
    }

    /// An index is there, of a minute and of a danmaku for each version.
    pub(crate) async fn indexed(&self, replay: ReplayId, version: u64, revision: u64) -> Result<Done, Refusal> {
        let index = ReplayIndexed { replay, version, revision, duration_ms: 60_000, danmaku_count: version };
        rpc::answer(self.client.replay_indexed(soon(), index).await)
    }

    pub(crate) async fn wiped(&self, replay: ReplayId) -> Result<Done, Refusal> {
        rpc::answer(self.client.replay_wiped(soon(), ReplayWiped { replay }).await)
    }

    pub(crate) async fn mark(
        &self,
        room: RoomId,
        lottery: u64,
        kind: ReplayMarkKind,
        at: Timestamp,
    ) -> Result<Done, Refusal> {
        let title = format!("lottery {lottery}");
        let mark = MarkReplay { room, kind, at, lottery: LotteryId(lottery), title };
        rpc::answer(self.client.mark_replay(soon(), mark).await)
    }

    /// The first number that a question to the database has.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let number = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
        number.fetch_one(self.live.core.db.reader()).await.unwrap()
    }

    /// Whether something is to be done about a replay, sooner or later; `None` if it has no row.
    pub(crate) async fn is_due(&self, replay: ReplayId) -> Option<bool> {
        let due = sqlx::query_scalar("SELECT due_ms FROM replay WHERE id = ?").bind(replay.as_i64());
        let due: Option<Option<i64>> = due.fetch_optional(self.live.core.db.reader()).await.unwrap();
        due.map(|due| due.is_some())
    }
}
