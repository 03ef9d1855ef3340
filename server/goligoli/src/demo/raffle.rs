//! The lottery of a broadcast: the streamer opens it early on, viewers join as they come to
//! it, and those who win claim. In every other broadcast they enter by posting a keyword.

use std::time::Duration;

use common::rpc::{answer, within};
use futures::StreamExt as _;
use idl::draw::Prize;
use idl::event::LotteryPhase;
use idl::lottery::{ClaimPrize, EnterLottery, GetLottery, LotteryBody, OpenLottery, RoomLottery};
use idl::message::{DanmakuBody, PostDanmaku};
use idl::{Code, Refusal, RoomId};
use rand::RngExt as _;

use super::CALL_DEADLINE;
use super::cast::{Actor, Cast};

const KEYWORD: &str = "上车 all aboard";
/// In the file's time: how much of it has gone when the lottery opens, and how long it is open.
const OPENS_AFTER: f64 = 0.08;
const MOST_OPEN: Duration = Duration::from_secs(75);
const MOST_OPEN_PART: f64 = 0.3;
/// A shorter one would be over before anybody saw it.
const LEAST_OPEN: Duration = Duration::from_millis(1_500);
const MOST_ENTRANTS: usize = 120;
const ENTRIES_AT_ONCE: usize = 16;
const LOOK_EVERY: Duration = Duration::from_millis(500);
const DECIDED_WITHIN: Duration = Duration::from_secs(30);
/// Winners look up a little later.
const CLAIM_AFTER: Duration = Duration::from_secs(3);
const CLAIM_S: u64 = 180;

/// One broadcast's lottery.
#[derive(Debug)]
pub(crate) struct Raffle<'a> {
    pub(crate) clients: &'a gateway::Clients,
    pub(crate) room: RoomId,
    pub(crate) streamer: &'a Actor,
    pub(crate) cast: &'a Cast,
    /// How long the broadcast is, in real time.
    pub(crate) length: Duration,
    pub(crate) speed: f64,
    /// Enter by keyword.
    pub(crate) by_keyword: bool,
}

impl Raffle<'_> {
    /// Holds the lottery; a broadcast that is too short has none. What can't be done is left
    /// out: the play goes on.
    pub(crate) async fn hold(&self) {
        let open = MOST_OPEN.div_f64(self.speed).min(self.length.mul_f64(MOST_OPEN_PART));
        if open < LEAST_OPEN {
            return;
        }
        tokio::time::sleep(self.length.mul_f64(OPENS_AFTER)).await;
        match self.hold_for(open).await {
            Ok(lottery) => {
                tracing::info!(lottery.id = %lottery.id, entrants = lottery.entrants, "the demo's lottery is over");
            }
            Err(error) => tracing::warn!(%error, "the demo's lottery could not be held"),
        }
    }

    async fn hold_for(&self, open: Duration) -> Result<RoomLottery, Refusal> {
        let prize = |name: &str, count| Prize { name: name.to_owned(), count };
        let body = LotteryBody {
            title: "Window seat 靠窗的座位".to_owned(),
            prizes: vec![prize("a window seat 靠窗座位", 1), prize("a hot noodle cup 泡面", 3)],
            keyword: self.by_keyword.then(|| KEYWORD.to_owned()),
            claim_s: CLAIM_S,
            duration_s: Some(open.as_secs().max(1)),
            ..LotteryBody::default()
        };
        let request = OpenLottery { caller: self.streamer.caller().await?, room: self.room, body, key: None };
        let lottery = answer(self.clients.lottery.open(within(CALL_DEADLINE), request).await)?;
        self.enter_all(&lottery, open).await;
        let drawn = self.decided(&lottery).await?;
        tokio::time::sleep(CLAIM_AFTER.div_f64(self.speed)).await;
        for winner in &drawn.winners {
            if let Some(actor) = self.cast.who_is(winner.user_id) {
                let request = ClaimPrize { caller: actor.caller().await?, lottery: drawn.id };
                if let Err(error) = answer(self.clients.lottery.claim(within(CALL_DEADLINE), request).await) {
                    tracing::debug!(%error, "a demo viewer did not get the prize");
                }
            }
        }
        Ok(drawn)
    }

    /// How it ended.
    async fn decided(&self, lottery: &RoomLottery) -> Result<RoomLottery, Refusal> {
        let decided = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let request = GetLottery { lottery: lottery.id };
                let now = answer(self.clients.lottery.lottery(within(CALL_DEADLINE), request).await)?;
                if matches!(now.phase, LotteryPhase::Drawn | LotteryPhase::Cancelled) {
                    return Ok(now);
                }
            }
        };
        let never = || Refusal::new(Code::Unavailable, "the lottery was not decided in time");
        tokio::time::timeout(MOST_OPEN + DECIDED_WITHIN, decided).await.map_err(|_| never())?
    }

    /// Viewers come to it at times of their own: most of them early.
    async fn enter_all(&self, lottery: &RoomLottery, open: Duration) {
        let begin = tokio::time::Instant::now();
        let entrants = self.cast.len().min(MOST_ENTRANTS);
        let mut times: Vec<Duration> =
            (0..entrants).map(|_| open.mul_f64(0.9 * rand::rng().random_range(0.0_f64..1.0).powi(2))).collect();
        times.sort();
        let enter = |(n, after): (usize, Duration)| async move {
            tokio::time::sleep_until(begin + after).await;
            self.enter(lottery, self.cast.actor(n)).await
        };
        let entered = futures::stream::iter(times.into_iter().enumerate()).map(enter);
        let refused = entered.buffer_unordered(ENTRIES_AT_ONCE).filter_map(async |entered| entered.err());
        refused.for_each(async |error| tracing::debug!(%error, "a demo viewer did not get into the lottery")).await;
    }

    async fn enter(&self, lottery: &RoomLottery, actor: &Actor) -> Result<(), Refusal> {
        let mut entry = EnterLottery { caller: actor.caller().await?, lottery: lottery.id, danmaku: None };
        if let Some(keyword) = &lottery.keyword {
            let text = idl::danmaku::DanmakuText::from_stored(keyword.clone());
            let body =
                DanmakuBody { text, mode: Default::default(), color: Default::default(), size: Default::default() };
            let request = PostDanmaku { caller: entry.caller.clone(), room: self.room, body, key: None };
            entry.danmaku = Some(answer(self.clients.message.post(within(CALL_DEADLINE), request).await)?.id);
        }
        answer(self.clients.lottery.enter(within(CALL_DEADLINE), entry).await).map(drop)
    }
}
