//! A lottery's keyword in live while the lottery is being opened. The keyword is set before
//! the lottery is stored, so that who posts it as soon as the lottery is announced has
//! entered. What is meant is written down first: if nothing comes of it, whatever happens in
//! between, the keyword is freed again.

use std::time::Duration;

use common::{Outcome, failpoint, rpc};
use idl::live::SetKeyword;
use idl::{Caller, Kind, Refusal, Timestamp};
use tarpc::context::Context;

use crate::Core;
use crate::protocol::spec::SpecText;
use crate::store::keyword::{self as intents, Intent};

/// A lottery that is not stored so long after its keyword was to be set will not be.
const STORED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Intents that are looked at together. More: the next look finds them.
const AT_ONCE: i64 = 100;

impl Core {
    /// Sets the keyword of a lottery that is about to be stored.
    pub(crate) async fn claim_keyword(
        &self,
        context: Context,
        caller: Caller,
        spec: &SpecText,
        keyword: String,
    ) -> Outcome<()> {
        let spec = spec.spec();
        let intent = Intent { lottery: spec.lottery_id, room: spec.room_id };
        intents::intend(&self.db, intent, self.platform.clock.now()).await?;
        let until = Timestamp(spec.draw_at_ms.cast_signed());
        let request = SetKeyword { caller, room: intent.room, lottery: intent.lottery, keyword, until };
        let set = rpc::answer(self.live.set_keyword(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await);
        failpoint::reached("lottery.keyword-set");
        if let Err(refusal) = set {
            // Where it is not known whether it was set, it is freed later, when it is.
            if !matches!(refusal.kind(), Kind::Unavailable | Kind::Internal) {
                intents::forget(&self.db, intent.lottery).await?;
            }
            return Err(refusal.into());
        }
        Ok(())
    }

    /// Frees the keyword of a lottery that was not stored, after all. If that fails it is
    /// freed later.
    pub(crate) async fn abandon_keyword(&self, intent: Intent) -> Outcome<()> {
        match intents::abandon(&self.db, intent.lottery).await? {
            true => self.free_keyword(intent).await,
            // Nobody knew what became of the transaction: it was committed.
            false => Ok(()),
        }
    }

    async fn free_keyword(&self, intent: Intent) -> Outcome<()> {
        self.end_keyword(intent.room, intent.lottery).await?;
        Ok(intents::forget(&self.db, intent.lottery).await?)
    }

    /// Frees keywords of lotteries that were never stored, as long as the process runs.
    pub(crate) async fn free_keywords(&self) {
        loop {
            if let Err(failure) = self.free_abandoned().await {
                let refusal = failure.into_refusal("freeing keywords of lotteries that were not opened");
                tracing::warn!(error = %refusal, "keywords are freed later");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn free_abandoned(&self) -> Outcome<()> {
        // A write only where there is something.
        if intents::oldest(&self.db, 1).await?.is_empty() {
            return Ok(());
        }
        let before = self.platform.clock.now().0 - STORED_WITHIN.as_millis() as i64;
        intents::abandon_before(&self.db, Timestamp(before)).await?;
        let mut failed: Option<Refusal> = None;
        for (intent, abandoned) in intents::oldest(&self.db, AT_ONCE).await? {
            if !abandoned {
                break;
            }
            if let Err(failure) = self.free_keyword(intent).await {
                let what = format!("freeing the keyword of lottery {}, which was not opened", intent.lottery);
                failed = Some(failure.into_refusal(&what));
            }
        }
        failed.map_or(Ok(()), |refusal| Err(refusal.into()))
    }
}
