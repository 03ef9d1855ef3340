//! Opening a lottery.

use common::idempotency::Key;
use common::telemetry::traces::Trace;
use common::{Failure, Outcome, rpc};
use idl::access::{Identity, SiteRole};
use idl::event::{LotteryChange, RoomRole};
use idl::live::{GetStanding, ReplayMarkKind, Standing};
use idl::lottery::OpenLottery;
use idl::{Code, LotteryId, Refusal, RoomId, Timestamp};
use tarpc::context::Context;

use crate::draw::vanished;
use crate::protocol::spec::SpecText;
use crate::row::{Facts, Row};
use crate::rules::{self, Plan};
use crate::store::keyword::{self as intents, Intent};
use crate::store::{self, NewLottery};
use crate::{Core, announce};

impl Core {
    /// Opens a lottery. Its keyword is live before it is: who posts it as soon as the lottery
    /// is announced has entered.
    pub(crate) async fn open(&self, context: Context, who: &Identity, request: OpenLottery) -> Outcome<Row> {
        let room = request.room;
        let plan = rules::plan(&request.body)?;
        let body = serde_json::to_string(&request.body).map_err(anyhow::Error::from)?;
        let key = request.key.map(|key| Key::new(key, who.user, "open_lottery", &[&room.to_string(), &body]));
        if let Some(earlier) = self.opened_before(key.as_ref()).await? {
            return Ok(earlier);
        }
        self.platform.space.check()?;
        let standing = self.standing(context, room, who).await?;
        require_host(who, &standing)?;
        let id = LotteryId(self.ids.next().await?);
        let spec = self.spec(&plan, id, room, &standing)?;
        let has_keyword = plan.keyword.is_some();
        if let Some(keyword) = plan.keyword
            && let Err(failure) = self.claim_keyword(context, request.caller, &spec, keyword).await
        {
            return match (failure, &key) {
                // By the same request, which came twice at once and is not done yet, or is by now.
                (Failure::Refused(refusal), Some(_)) if refusal.code == Code::KeywordTaken => {
                    match self.opened_before(key.as_ref()).await? {
                        Some(earlier) => Ok(earlier),
                        None => Err(refusal.retry_after_ms(1_000).into()),
                    }
                }
                (failure, _) => Err(failure),
            };
        }
        let opened = self.insert(who, &spec, plan.test, key.as_ref()).await;
        let is_this = opened.as_ref().is_ok_and(|row| row.facts.id == id);
        if !is_this && has_keyword {
            // If that fails it is done later.
            let freed = self.abandon_keyword(Intent { lottery: id, room }).await;
            _ = freed.map_err(|failure| failure.into_refusal(&format!("freeing the keyword of lottery {id}")));
        }
        opened
    }

    fn spec(&self, plan: &Plan, id: LotteryId, room: RoomId, standing: &Standing) -> Outcome<SpecText> {
        let now_ms = self.platform.clock.now().0.cast_unsigned();
        let spec = plan.spec(id, room, standing.session, now_ms, self.keys.current().public())?;
        Ok(SpecText::new(spec).map_err(anyhow::Error::from)?)
    }

    /// What a request with this key made before. Its repetition gets that whatever has happened
    /// since: the room may be closed, and its keyword is taken by itself.
    async fn opened_before(&self, key: Option<&Key>) -> Outcome<Option<Row>> {
        let Some(key) = key else { return Ok(None) };
        // Rolled back: nothing is claimed here.
        let mut tx = self.db.begin().await?;
        let earlier = key.claim(&self.db, &mut tx, 0, self.platform.clock.now()).await?;
        let earlier = match earlier {
            Some(earlier) => store::find(&mut *tx, LotteryId::from_i64(earlier)).await?,
            None => None,
        };
        tx.rollback().await?;
        Ok(earlier)
    }

    async fn insert(&self, who: &Identity, spec: &SpecText, test: bool, key: Option<&Key>) -> Outcome<Row> {
        let (id, room) = (spec.spec().lottery_id, spec.spec().room_id);
        let (seed, sealed_seed) = self.seal.draw_seed(id)?;
        let opened = self.keys.current().open(spec, seed.reveal());
        let slots = self.outbox.slots(2).await?;
        let (now, opened_at) = (self.platform.clock.now(), Timestamp(spec.spec().opens_at_ms.cast_signed()));
        let mut tx = self.db.begin().await?;
        if let Some(key) = key
            && let Some(earlier) = key.claim(&self.db, &mut tx, id.as_i64(), now).await?
        {
            let earlier = LotteryId::from_i64(earlier);
            return Ok(store::find(&mut *tx, earlier).await?.ok_or_else(|| vanished(earlier))?);
        }
        let most = self.settings.open_per_room.get();
        if !store::claim_place(&self.db, &mut tx, room, most).await? {
            let detail = format!("a room has at most {most} lotteries at once that are not decided");
            return Err(Refusal::new(Code::LimitReached, detail).into());
        }
        let (sealed_seed, opened_by) = (sealed_seed.as_str(), who.user);
        let traceparent = Trace::header_here();
        let new = NewLottery { spec, opened: &opened, sealed_seed, opened_by, test, traceparent };
        store::insert(&mut tx, new).await?;
        let row = store::find(&mut *tx, id).await?.ok_or_else(|| vanished(id))?;
        if row.facts.keyword().is_some() && !intents::fulfil(&mut tx, id).await? {
            let detail = "opening the lottery took so long that its keyword was freed again";
            return Err(Refusal::new(Code::Unavailable, detail).retry_after_ms(1_000).into());
        }
        let fact = announce::changed(&row, LotteryChange::Opened, &[], now)?;
        self.outbox.add(&mut tx, slots[0], room.0, &fact).await?;
        if let Some(mark) = announce::marked(&row, ReplayMarkKind::LotteryOpened, opened_at) {
            self.outbox.add(&mut tx, slots[1], room.0, &mark).await?;
        }
        tx.commit().await?;
        self.outbox.committed();
        Ok(row)
    }

    /// Refuses whoever may not run the room's lotteries.
    pub(crate) async fn require_host(&self, context: Context, who: &Identity, facts: &Facts) -> Outcome<()> {
        Ok(require_host(who, &self.standing(context, facts.room, who).await?)?)
    }

    pub(crate) async fn standing(&self, context: Context, room: RoomId, who: &Identity) -> Result<Standing, Refusal> {
        let request = GetStanding { room, user: who.user };
        rpc::answer(self.live.standing(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await)
    }
}

fn require_host(who: &Identity, standing: &Standing) -> Result<(), Refusal> {
    if standing.role == RoomRole::Owner || who.role == SiteRole::SiteAdmin {
        return Ok(());
    }
    Err(Refusal::new(Code::NotAllowed, "only the room's owner and site admins may do this"))
}
