//! What the service that indexes replays asks and tells. It asks in nobody's name.

use common::Outcome;
use idl::live::{EndImport, Replay, ReplayIndexed, ReplayJob};
use idl::user::Done;
use idl::{Code, Refusal, ReplayId};

use super::no_such_replay;
use crate::Core;
use crate::store::{mark, replay as table};

/// A number that JSON's readers keep exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;

impl Core {
    /// All danmaku of a file are stored. Once more it changes nothing, unless the replay was
    /// deleted meanwhile: then it is not there any more.
    pub(crate) async fn end_import(&self, asked: &EndImport) -> Outcome<Replay> {
        let id = asked.replay;
        check_number("/duration_ms", asked.duration_ms)?;
        let row = self.find_replay(id).await?;
        if row.session().is_some() {
            return Err(no_such_replay(id).into());
        }
        let mut tx = self.db.begin().await?;
        table::end_import(&mut tx, id, asked.duration_ms.cast_signed()).await?;
        let row = table::find(&mut *tx, id).await?.filter(|row| !row.is_deleted()).ok_or_else(|| no_such_replay(id))?;
        tx.commit().await?;
        self.replay_due.notify_one();
        Ok(row.into())
    }

    /// A file could not be imported: its replay is deleted, also if it was told that it could.
    pub(crate) async fn give_import_up(&self, id: ReplayId) -> Outcome<Done> {
        let row = self.find_replay(id).await?;
        if row.session().is_some() {
            return Err(no_such_replay(id).into());
        }
        let mut tx = self.db.begin().await?;
        table::delete(&mut tx, id).await?;
        tx.commit().await?;
        self.replay_due.notify_one();
        Ok(Done {})
    }

    /// What is to be done about a replay.
    pub(crate) async fn replay_job(&self, id: ReplayId) -> Outcome<ReplayJob> {
        // The row first: a mark that comes in between is shown by an index of a revision that is
        // older than it, and by the next one.
        let row = self.find_replay(id).await?;
        let marks = match row.session() {
            Some(session) => mark::of_session(self.db.reader(), session, row.started_at()).await?,
            None => Vec::new(),
        };
        let (revision, deleted, prefix) = (row.revision(), row.is_deleted(), row.prefix.clone());
        Ok(ReplayJob { replay: row.into(), prefix, revision, marks, deleted })
    }

    /// Shows an index, unless a later one is shown. If it is of an earlier revision than the
    /// replay's, another one has to come: it is due still.
    pub(crate) async fn replay_indexed(&self, index: &ReplayIndexed) -> Outcome<Done> {
        let id = index.replay;
        let numbers = [
            ("/version", index.version),
            ("/revision", index.revision),
            ("/duration_ms", index.duration_ms),
            ("/danmaku_count", index.danmaku_count),
        ];
        for (pointer, number) in numbers {
            check_number(pointer, number)?;
        }
        let mut tx = self.db.begin().await?;
        if !table::show(&mut tx, index).await? {
            table::find(&mut *tx, id).await?.ok_or_else(|| no_such_replay(id))?;
            return Ok(Done {});
        }
        tx.commit().await?;
        let version = index.version;
        tracing::info!(replay.id = %id, version, danmaku = index.danmaku_count, "a replay is shown");
        Ok(Done {})
    }

    /// Forgets a replay that was deleted, with what happened in its broadcast.
    pub(crate) async fn replay_wiped(&self, id: ReplayId) -> Outcome<Done> {
        let mut tx = self.db.begin().await?;
        let Some(row) = table::find(&mut *tx, id).await? else { return Ok(Done {}) };
        if !table::forget(&mut tx, id).await? {
            return Err(Refusal::new(Code::NotAllowed, format!("replay {id} was not deleted")).into());
        }
        if let Some(session) = row.session() {
            mark::delete_of_session(&mut tx, session).await?;
        }
        tx.commit().await?;
        Ok(Done {})
    }
}

fn check_number(pointer: &str, number: u64) -> Result<(), Refusal> {
    if number > MAX_NUMBER {
        return Err(Refusal::field(pointer, format!("at most {MAX_NUMBER}")));
    }
    Ok(())
}
