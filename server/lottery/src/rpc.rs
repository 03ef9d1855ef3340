//! The contract's implementation: who asks, which function, how it fails. Nothing else.

use std::sync::Arc;

use common::Outcome;
use common::failure::again;
use idl::access::Identity;
use idl::draw::{InclusionProof, Proof};
use idl::lottery::{
    CancelLottery, ClaimPrize, EnterLottery, Entered, EntriesPage, GetInclusion, GetLottery, GetMyEntry, Keys,
    ListKeys, ListLotteries, ListMyEntries, ListWinners, Lotteries, Lottery, MyEntries, MyEntry, OpenLottery,
    ReadEntries, RedrawPrize, RoomLottery, Winners,
};
use idl::{Caller, Refusal};
use tarpc::context::Context;

use crate::Core;
use crate::prizes::Deed;

/// Answers calls. Clones are one service.
#[derive(Clone)]
pub(crate) struct Service {
    core: Arc<Core>,
}

impl Service {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn who(&self, caller: &Caller) -> Result<Arc<Identity>, Refusal> {
        self.core.platform.verifier.verify(caller)
    }

    /// Runs what changes something to its end, also if the caller goes away meanwhile.
    async fn effect<T, R, F>(
        &self,
        what: String,
        request: R,
        work: impl Fn(Arc<Core>, R) -> F + Send + Sync + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        R: Clone + Send + Sync + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let core = Arc::clone(&self.core);
        let work = async move { again(|| work(Arc::clone(&core), request.clone())).await };
        let done = self.core.platform.lifecycle.effect(work).await;
        done.map_err(|failure| failure.into_refusal(&what))
    }

    async fn prize(self, r: ClaimPrize, deed: Deed) -> Result<MyEntry, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("settling user {}'s prize of lottery {}", who.user, r.lottery);
        let work = move |core: Arc<Core>, who: Arc<Identity>| async move {
            core.answer_prize(&who, r.lottery, deed).await?;
            core.my_entry(&who, r.lottery).await
        };
        self.effect(what, who, work).await
    }
}

impl Lottery for Service {
    async fn open(self, context: Context, r: OpenLottery) -> Result<RoomLottery, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("opening a lottery in room {}", r.room);
        let open = move |core: Arc<Core>, (who, r): (Arc<Identity>, OpenLottery)| async move {
            core.view(&core.open(context, &who, r).await?).await
        };
        self.effect(what, (who, r), open).await
    }

    async fn cancel(self, context: Context, r: CancelLottery) -> Result<RoomLottery, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("calling lottery {} off", r.lottery);
        let cancel = move |core: Arc<Core>, (who, r): (Arc<Identity>, CancelLottery)| async move {
            core.view(&core.cancel(context, &who, r.lottery, &r.reason).await?).await
        };
        self.effect(what, (who, r), cancel).await
    }

    async fn lottery(self, _: Context, r: GetLottery) -> Result<RoomLottery, Refusal> {
        let read = async { self.core.view(&self.core.find(r.lottery).await?).await };
        read.await.map_err(|failure| failure.into_refusal(&format!("reading lottery {}", r.lottery)))
    }

    async fn lotteries(self, context: Context, r: ListLotteries) -> Result<Lotteries, Refusal> {
        let what = || format!("listing the lotteries of room {}", r.room);
        self.core.list(context, &r).await.map_err(|failure| failure.into_refusal(&what()))
    }

    /// Not run as an effect: all of it happens at the desk, once the entrant is handed over,
    /// and nothing before that.
    async fn enter(self, context: Context, r: EnterLottery) -> Result<Entered, Refusal> {
        let who = self.who(&r.caller)?;
        let enter = async {
            let (facts, taken) = self.core.enter(context, &who, r.lottery, r.danmaku).await?;
            let receipt = self.core.keys.of(&facts)?.receipt(facts.id, &taken.entry);
            Ok(Entered { receipt, is_new: taken.is_new })
        };
        let what = || format!("entering user {} in lottery {}", who.user, r.lottery);
        enter.await.map_err(|failure: common::Failure| failure.into_refusal(&what()))
    }

    async fn my_entry(self, _: Context, r: GetMyEntry) -> Result<MyEntry, Refusal> {
        let who = self.who(&r.caller)?;
        let what = || format!("reading user {}'s entry in lottery {}", who.user, r.lottery);
        self.core.my_entry(&who, r.lottery).await.map_err(|failure| failure.into_refusal(&what()))
    }

    async fn my_entries(self, _: Context, r: ListMyEntries) -> Result<MyEntries, Refusal> {
        let who = self.who(&r.caller)?;
        let what = || format!("listing user {}'s entries", who.user);
        self.core.my_entries(&who, &r).await.map_err(|failure| failure.into_refusal(&what()))
    }

    async fn winners(self, _: Context, r: ListWinners) -> Result<Winners, Refusal> {
        let what = || format!("listing the winners of lottery {}", r.lottery);
        self.core.winners(&r).await.map_err(|failure| failure.into_refusal(&what()))
    }

    async fn claim(self, _: Context, r: ClaimPrize) -> Result<MyEntry, Refusal> {
        self.prize(r, Deed::Claim).await
    }

    async fn decline(self, _: Context, r: ClaimPrize) -> Result<MyEntry, Refusal> {
        self.prize(r, Deed::Decline).await
    }

    async fn redraw(self, context: Context, r: RedrawPrize) -> Result<RoomLottery, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("replacing entry {} in lottery {}", r.n, r.lottery);
        let redraw = move |core: Arc<Core>, (who, r): (Arc<Identity>, RedrawPrize)| async move {
            core.view(&core.redraw(context, &who, r.lottery, r.n).await?).await
        };
        self.effect(what, (who, r), redraw).await
    }

    async fn proof(self, _: Context, r: GetLottery) -> Result<Proof, Refusal> {
        let what = || format!("proving lottery {}", r.lottery);
        self.core.proof(r.lottery).await.map_err(|failure| failure.into_refusal(&what()))
    }

    async fn entries(self, _: Context, r: ReadEntries) -> Result<EntriesPage, Refusal> {
        let what = || format!("reading the entries of lottery {}", r.lottery);
        self.core.entries(r.lottery, r.page).await.map_err(|failure| failure.into_refusal(&what()))
    }

    async fn inclusion(self, _: Context, r: GetInclusion) -> Result<InclusionProof, Refusal> {
        let what = || format!("proving entry {} of lottery {}", r.n, r.lottery);
        self.core.inclusion(r.lottery, r.n).await.map_err(|failure| failure.into_refusal(&what()))
    }

    async fn keys(self, _: Context, _: ListKeys) -> Result<Keys, Refusal> {
        self.core.keys().await.map_err(|failure| failure.into_refusal("listing the receipt keys"))
    }
}
