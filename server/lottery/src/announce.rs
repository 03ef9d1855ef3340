//! What viewers are told of lotteries. Changes go through the outbox, in order; prizes that
//! change hands are one change each second, however many they are. How many have entered is
//! told at most once a second, and only as far as somebody watches. States of
//! lotteries that are not decided are given to push again and again, in case it lost them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::{Outcome, failpoint, rpc};
use idl::event::{EventType, LotteryChange, LotteryEvent, LotteryState, LotteryWinner};
use idl::live::{EndKeyword, MarkReplay, ReplayMarkKind};
use idl::push::{Lane, MAX_PUBLICATIONS, Publication, Publish, Retain};
use idl::{Kind, LotteryId, Refusal, RoomId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::draw::vanished;
use crate::row::Row;
use crate::store::{self, Undecided, results};
use crate::{Core, prizes};

/// So many winners travel in an event; the rest is read.
pub(crate) const MAX_WINNERS: usize = 100;
const TELL_SUMS_EVERY: Duration = Duration::from_secs(1);
/// Lotteries whose prizes changed hands. More: the next second's.
const CHANGED_AT_ONCE: i64 = 100;
const RETAIN_EVERY: Duration = Duration::from_mins(1);

/// What other services must learn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fact {
    /// Viewers.
    Publish(Box<Publication>),
    /// live: the keyword is free again.
    EndKeyword(LotteryId),
    /// live: something for the replay's timeline.
    MarkReplay(Box<MarkReplay>),
}

/// The fact that a lottery changed.
pub(crate) fn changed(row: &Row, change: LotteryChange, winners: &[LotteryWinner], now: Timestamp) -> Outcome<Fact> {
    Ok(Fact::Publish(Box::new(publication(row.state(), change, winners, now)?)))
}

/// The fact that a lottery was opened, drawn or called off, for the replay of the broadcast in
/// which that was. A rehearsal is on none.
pub(crate) fn marked(row: &Row, kind: ReplayMarkKind, at: Timestamp) -> Option<Fact> {
    let facts = &row.facts;
    let title = facts.spec.spec().title.clone();
    (!facts.test)
        .then(|| Fact::MarkReplay(Box::new(MarkReplay { room: facts.room, kind, at, lottery: facts.id, title })))
}

fn publication(
    state: LotteryState,
    change: LotteryChange,
    winners: &[LotteryWinner],
    now: Timestamp,
) -> Outcome<Publication> {
    let only_entered = change == LotteryChange::Entered;
    let (id, version, entrants) = (state.id, state.version, state.entrants);
    let event = LotteryEvent {
        change,
        lottery_id: id,
        entrants,
        lottery: (!only_entered).then(|| state.clone()),
        winners: winners.iter().take(MAX_WINNERS).cloned().collect(),
        winners_total: winners.len() as u64,
    };
    Ok(Publication {
        source: match only_entered {
            true => format!("lottery:{id}:entered:{entrants}"),
            false => format!("lottery:{id}:{version}"),
        },
        event: EventType::Lottery,
        data: serde_json::to_string(&event).map_err(anyhow::Error::from)?,
        at_ms: now.0,
        lane: Lane::Guaranteed,
        sender: None,
        tombstones: Vec::new(),
        state: None,
        lottery: Some(state),
    })
}

impl Core {
    /// Brings facts to push and live until the process stops; the rest waits for the next start.
    pub(crate) async fn relay(&self) {
        let stop = self.platform.lifecycle.soft().clone();
        self.outbox.relay(stop, |room, facts| self.deliver(RoomId(room), facts)).await;
    }

    async fn deliver(&self, room: RoomId, facts: Vec<Fact>) -> Result<(), Refusal> {
        let (mut publications, mut ended, mut marks) = (Vec::with_capacity(facts.len()), Vec::new(), Vec::new());
        for fact in facts {
            match fact {
                Fact::Publish(publication) => publications.push(*publication),
                Fact::EndKeyword(lottery) => ended.push(lottery),
                Fact::MarkReplay(mark) => marks.push(*mark),
            }
        }
        let decided = publications.iter().any(|publication| publication.data.contains("\"change\":\"drawn\""));
        for batch in publications.chunks(MAX_PUBLICATIONS) {
            self.publish(room, batch.to_vec()).await?;
        }
        if decided {
            failpoint::reached("lottery.after-announcement");
        }
        // Last: viewers need not wait for live.
        for lottery in ended {
            self.end_keyword(room, lottery).await?;
        }
        for mark in marks {
            self.mark_replay(mark).await?;
        }
        Ok(())
    }

    /// Ends a lottery's keyword in live.
    pub(crate) async fn end_keyword(&self, room: RoomId, lottery: LotteryId) -> Result<(), Refusal> {
        let request = EndKeyword { room, lottery };
        match rpc::answer(self.live.end_keyword(rpc::within(rpc::EDGE_DEADLINE), request).await) {
            // Of a room that live does not know, after a backup was put back.
            Err(refusal) if refusal.kind() == Kind::NotFound => Ok(()),
            ended => ended.map(drop),
        }
    }

    async fn mark_replay(&self, mark: MarkReplay) -> Result<(), Refusal> {
        match rpc::answer(self.live.mark_replay(rpc::within(rpc::EDGE_DEADLINE), mark).await) {
            Err(refusal) if refusal.kind() == Kind::NotFound => Ok(()),
            marked => marked.map(drop),
        }
    }

    async fn publish(&self, room: RoomId, publications: Vec<Publication>) -> Result<(), Refusal> {
        let request = Publish { room, publications };
        rpc::answer(self.push.publish(rpc::within(rpc::PUBLISH_DEADLINE), request).await).map(drop)
    }

    /// Tells viewers each second what is told as a sum: how many have entered, and who holds
    /// the prizes that changed hands.
    pub(crate) async fn tell_sums(&self) {
        let mut told = HashMap::new();
        loop {
            tokio::time::sleep(TELL_SUMS_EVERY).await;
            if let Err(failure) = self.tell_changed_hands().await {
                _ = failure.into_refusal("telling of prizes that changed hands");
            }
            if let Err(failure) = self.tell_entrants(&mut told).await {
                _ = failure.into_refusal("telling how many have entered");
            }
        }
    }

    /// Tells how many are in the lotteries that more have entered than was `told`. What push
    /// does not take is told with the next second's.
    async fn tell_entrants(&self, told: &mut HashMap<LotteryId, u64>) -> Outcome<()> {
        let entrants: HashMap<LotteryId, u64> = store::entrants(&self.db).await?.into_iter().collect();
        told.retain(|id, _| entrants.contains_key(id));
        for (id, entrants) in entrants {
            if entrants <= told.get(&id).copied().unwrap_or(0) {
                continue;
            }
            match self.tell_entrants_of(id).await {
                Ok(()) => _ = told.insert(id, entrants),
                Err(failure) => _ = failure.into_refusal(&format!("telling how many have entered lottery {id}")),
            }
        }
        Ok(())
    }

    async fn tell_changed_hands(&self) -> Outcome<()> {
        for id in results::changed_hands(&self.db, CHANGED_AT_ONCE).await? {
            if let Err(failure) = self.tell_holders_of(id).await {
                _ = failure.into_refusal(&format!("telling who holds the prizes of lottery {id}"));
            }
        }
        Ok(())
    }

    async fn tell_holders_of(&self, id: LotteryId) -> Outcome<()> {
        let slot = self.outbox.slots(1).await?[0];
        let mut tx = self.db.begin().await?;
        if !results::told(&mut tx, id).await? {
            return Ok(());
        }
        let row = store::find(&mut *tx, id).await?.ok_or_else(|| vanished(id))?;
        let winners = prizes::winners(&row, &results::of(&mut tx, id).await?)?;
        let fact = changed(&row, LotteryChange::Redrawn, &winners, self.platform.clock.now())?;
        self.outbox.add(&mut tx, slot, row.facts.room.0, &fact).await?;
        tx.commit().await?;
        self.outbox.committed();
        Ok(())
    }

    async fn tell_entrants_of(&self, id: LotteryId) -> Outcome<()> {
        let row = self.find(id).await?;
        if row.phase != idl::event::LotteryPhase::Open {
            return Ok(());
        }
        let news = publication(row.state(), LotteryChange::Entered, &[], self.platform.clock.now())?;
        Ok(self.publish(row.facts.room, vec![news]).await?)
    }

    /// Gives push the states of lotteries that are not decided, now and every minute.
    pub(crate) async fn retain_states(self: Arc<Self>) {
        loop {
            if let Err(failure) = self.retain_all().await {
                let refusal = failure.into_refusal("giving push the states of lotteries");
                tracing::warn!(error = %refusal, "push did not take the states of lotteries");
            }
            tokio::time::sleep(RETAIN_EVERY).await;
        }
    }

    async fn retain_all(&self) -> Outcome<()> {
        let mut undecided = Undecided::of(&self.db);
        while let Some(rows) = undecided.next_page().await? {
            let lotteries = rows.iter().map(|row| (row.facts.room, row.state())).collect();
            let request = Retain { states: Vec::new(), lotteries };
            rpc::answer(self.push.retain(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
        }
        Ok(())
    }
}
