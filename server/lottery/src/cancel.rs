//! Calling lotteries off: one by its host, and all that are open after their database was put
//! back from a backup.

use std::path::Path;

use common::outbox::Outbox;
use common::{Clock, Db, Ids, Outcome};
use idl::access::Identity;
use idl::event::{LotteryChange, LotteryPhase};
use idl::live::ReplayMarkKind;
use idl::{Code, LotteryId, Refusal, Timestamp};
use tarpc::context::Context;

use crate::announce::Fact;
use crate::draw::vanished;
use crate::keyring::KeyRing;
use crate::row::Row;
use crate::store::{self, Undecided};
use crate::{Core, Lottery, Settings, announce, rules};

/// The public reason after a restore.
const RESTORED: &str = "the site was restored from a backup, in which some entries may be missing";

impl Core {
    /// Calls an open lottery off, with a reason that everybody sees.
    pub(crate) async fn cancel(&self, context: Context, who: &Identity, id: LotteryId, reason: &str) -> Outcome<Row> {
        let reason = rules::reason(reason)?;
        let row = self.find(id).await?;
        self.require_host(context, who, &row.facts).await?;
        if row.phase == LotteryPhase::Cancelled {
            return Ok(row);
        }
        self.platform.space.check()?;
        let at_ms = self.platform.clock.now().0.cast_unsigned();
        let late = || Refusal::new(Code::LotteryClosed, "only an open lottery can be called off");
        if at_ms >= row.facts.spec.spec().draw_at_ms {
            return Err(late().into());
        }
        if !call_off(&self.db, &self.outbox, &self.keys, &row, at_ms, reason).await? {
            let row = self.find(id).await?;
            return if row.phase == LotteryPhase::Cancelled { Ok(row) } else { Err(late().into()) };
        }
        self.find(id).await
    }
}

impl Lottery {
    /// Calls every lottery off that is open in a database that was put back from a backup, and
    /// says how many they were. Entries that were acknowledged since the backup are missing in
    /// them, and their root may have been signed already with those entries. What was closed
    /// is complete: it is drawn, and gives the same result.
    ///
    /// No service may run on the database.
    ///
    /// # Errors
    /// A key or the database can't be opened, or a lottery's key is another one.
    pub async fn after_restore(
        settings: &Settings,
        db_url: &str,
        data_dir: &Path,
        clock: &Clock,
    ) -> anyhow::Result<u64> {
        let db = Db::open(db_url, data_dir, "lottery", &crate::MIGRATIONS).await?;
        let keys = KeyRing::open(settings, data_dir)?;
        let outbox = Outbox::new(db.clone(), Ids::new(db.clone()));
        let Timestamp(now_ms) = clock.now();
        let (mut undecided, mut called_off) = (Undecided::of(&db), 0);
        while let Some(rows) = undecided.next_page().await.map_err(anyhow::Error::from)? {
            for row in rows.iter().filter(|row| row.phase == LotteryPhase::Open) {
                let done = call_off(&db, &outbox, &keys, row, now_ms.cast_unsigned(), RESTORED.to_owned()).await;
                called_off += u64::from(done.map_err(anyhow::Error::from)?);
            }
        }
        db.close().await;
        Ok(called_off)
    }
}

/// Signs and stores that an open lottery is called off, and tells of it; `false` if it is not
/// open any more.
async fn call_off(db: &Db, outbox: &Outbox, keys: &KeyRing, row: &Row, at_ms: u64, reason: String) -> Outcome<bool> {
    let (id, room) = (row.facts.id, row.facts.room);
    let cancelled = keys.of(&row.facts)?.cancel(&row.facts.spec, at_ms, reason);
    let slots = outbox.slots(3).await?;
    let mut tx = db.begin().await?;
    if !store::cancel(&mut tx, &cancelled).await? {
        return Ok(false);
    }
    store::give_place_back(&mut tx, room).await?;
    let row = store::find(&mut *tx, id).await?.ok_or_else(|| vanished(id))?;
    let at = Timestamp(at_ms.cast_signed());
    let fact = announce::changed(&row, LotteryChange::Cancelled, &[], at)?;
    outbox.add(&mut tx, slots[0], room.0, &fact).await?;
    if row.facts.keyword().is_some() {
        outbox.add(&mut tx, slots[1], room.0, &Fact::EndKeyword(id)).await?;
    }
    if let Some(mark) = announce::marked(&row, ReplayMarkKind::LotteryCancelled, at) {
        outbox.add(&mut tx, slots[2], room.0, &mark).await?;
    }
    tx.commit().await?;
    outbox.committed();
    Ok(true)
}
