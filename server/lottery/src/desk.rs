//! Where entries are taken: numbers without holes, durable before they are confirmed.
//!
//! Each lottery that somebody enters has a clerk, a task that takes what waits as one batch
//! in one transaction. While a batch is being made durable the next gathers. The lottery's
//! row is locked first, so batches of several instances follow one another, and each lies
//! wholly before the freeze or after it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::failure::may_pass;
use common::telemetry::traces::{self, Trace};
use common::{Clock, Db, Failure, Lifecycle, Outcome, failpoint};
use idl::draw::Entry;
use idl::{Code, LotteryId, Refusal, UserId};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::row::Facts;
use crate::store::entries::{self, NewEntry, Next};

/// Tries of a batch that meets a lock.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);
/// A clerk whom nobody needs goes.
const IDLE: Duration = Duration::from_secs(10);

/// Somebody who may enter.
#[derive(Debug, Clone)]
pub(crate) struct Entrant {
    pub(crate) user: UserId,
    pub(crate) name: String,
    /// When the keyword was posted that is the entry. It counts if that was in time, however
    /// late it comes here.
    pub(crate) posted_ms: Option<u64>,
}

/// An entry that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) entry: Entry,
    /// The account was not in before.
    pub(crate) is_new: bool,
}

type Answer = Result<Taken, Refusal>;

struct Waiting {
    entrant: Entrant,
    answer: oneshot::Sender<Answer>,
    /// Where the entrant came from.
    trace: Option<Trace>,
}

/// Hands entrants to the clerks. Clones are one desk.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    lifecycle: Lifecycle,
    /// Entrants of one lottery that may wait. Full: refused as unavailable, nothing was done.
    waiting: usize,
    batch: usize,
    clerks: Mutex<HashMap<LotteryId, mpsc::Sender<Waiting>>>,
}

impl Desk {
    pub(crate) fn new(db: Db, clock: Clock, lifecycle: Lifecycle, waiting: usize, batch: usize) -> Self {
        Self(Arc::new(Inner { db, clock, lifecycle, waiting, batch, clerks: Mutex::default() }))
    }

    /// Takes an entry. A caller that goes away while it waits undoes nothing.
    pub(crate) async fn enter(&self, lottery: &Arc<Facts>, entrant: Entrant) -> Outcome<Taken> {
        let (answer, answered) = oneshot::channel();
        self.hand_over(lottery, Waiting { entrant, answer, trace: Trace::here() })?;
        let answer = answered.await.map_err(|_| anyhow::anyhow!("a clerk ended with an entrant in hand"))?;
        Ok(answer?)
    }

    fn hand_over(&self, lottery: &Arc<Facts>, waiting: Waiting) -> Result<(), Refusal> {
        if self.0.lifecycle.soft().is_cancelled() {
            return Err(Refusal::new(Code::Unavailable, "the server is stopping").retry_after_ms(2_000));
        }
        let mut clerks = self.0.clerks.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = match clerks.entry(lottery.id) {
            Slot::Occupied(clerk) if !clerk.get().is_closed() => clerk.into_mut(),
            slot => {
                let (queue, entrants) = mpsc::channel(self.0.waiting);
                let clerk = Clerk { desk: Arc::clone(&self.0), lottery: Arc::clone(lottery) };
                self.0.lifecycle.spawn_one_of_many(clerk.run(entrants));
                slot.insert_entry(queue).into_mut()
            }
        };
        queue
            .try_send(waiting)
            .map_err(|_| Refusal::new(Code::Unavailable, "too many wait to enter this lottery").retry_after_ms(1_000))
    }
}

struct Clerk {
    desk: Arc<Inner>,
    lottery: Arc<Facts>,
}

impl Clerk {
    async fn run(self, mut entrants: mpsc::Receiver<Waiting>) {
        let soft = self.desk.lifecycle.soft().clone();
        let mut batch: Vec<Waiting> = Vec::with_capacity(self.desk.batch);
        loop {
            tokio::select! {
                biased;
                taken = entrants.recv_many(&mut batch, self.desk.batch) => {
                    if taken == 0 {
                        break;
                    }
                    let span = tracing::info_span!("lottery.enter", lottery.id = %self.lottery.id, entrants = taken);
                    traces::stand_for(&span, batch.iter().filter_map(|waiting| waiting.trace.as_ref()));
                    let (entrants, answers): (Vec<_>, Vec<_>) = batch.drain(..).map(|w| (w.entrant, w.answer)).unzip();
                    let outcomes = self.commit(&entrants).instrument(span).await;
                    for (answer, outcome) in answers.into_iter().zip(outcomes) {
                        // An error here means that the caller went away: its entry stays.
                        _ = answer.send(outcome);
                    }
                }
                // What waits is still taken.
                () = soft.cancelled(), if !entrants.is_closed() => entrants.close(),
                () = tokio::time::sleep(IDLE) => {
                    // Nobody is handed over while the lock is held.
                    let mut clerks = self.desk.clerks.lock().unwrap_or_else(PoisonError::into_inner);
                    if entrants.is_empty() {
                        clerks.remove(&self.lottery.id);
                        break;
                    }
                }
            }
        }
    }

    async fn commit(&self, entrants: &[Entrant]) -> Vec<Answer> {
        let mut tried = 1;
        loop {
            match self.try_commit(entrants).await {
                Ok(answers) => return answers,
                // The same batch again: who is in already gets the entry that it has.
                Err(error) if tried < TRIES && may_pass(&error) => {
                    tracing::warn!(
                        tried,
                        error = &error as &dyn std::error::Error,
                        "a batch of entries met a lock; again"
                    );
                    tried += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    let refusal = Failure::Db(error).into_refusal("taking entries");
                    return entrants.iter().map(|_| Err(refusal.clone())).collect();
                }
            }
        }
    }

    async fn try_commit(&self, entrants: &[Entrant]) -> sqlx::Result<Vec<Answer>> {
        let id = self.lottery.id;
        let mut tx = self.desk.db.begin().await?;
        let next = entries::lock(&mut tx, id).await?;
        let mut taken = entries::of_users(&mut tx, id, entrants.iter().map(|entrant| entrant.user)).await?;
        // Read with the lock in hand: no later batch can have an earlier time.
        let now_ms = self.desk.clock.now().0.cast_unsigned();
        let mut page = Page { draw_at_ms: self.lottery.spec.spec().draw_at_ms, now_ms, next, new: Vec::new() };
        let mut answers = Vec::with_capacity(entrants.len());
        for entrant in entrants {
            answers.push(match taken.get(&entrant.user) {
                Some(entry) => Ok(Taken { entry: *entry, is_new: false }),
                None => page.take(entrant).map(|entry| {
                    taken.insert(entrant.user, entry);
                    Taken { entry, is_new: true }
                }),
            });
        }
        if let (Some(next), false) = (page.next, page.new.is_empty()) {
            entries::append(&mut tx, id, &page.new, next).await?;
            failpoint::reached("lottery.entry-batch");
            tx.commit().await?;
            metrics::counter!("goligoli_lottery_entries_total").increment(page.new.len() as u64);
        } else {
            tx.rollback().await?;
        }
        Ok(answers)
    }
}

/// A batch in the making.
struct Page {
    draw_at_ms: u64,
    now_ms: u64,
    /// `None`: the lottery is not open.
    next: Option<Next>,
    new: Vec<NewEntry>,
}

impl Page {
    fn take(&mut self, entrant: &Entrant) -> Result<Entry, Refusal> {
        let next = self.next.as_mut().ok_or_else(late)?;
        let came_ms = entrant.posted_ms.unwrap_or(self.now_ms);
        if came_ms >= self.draw_at_ms {
            return Err(late());
        }
        let entered_at_ms = next.last_ms.max(came_ms);
        let entry = Entry { n: next.n, user_id: entrant.user, entered_at_ms, weight: 1 };
        *next = Next { n: next.n + 1, last_ms: entered_at_ms };
        self.new.push(NewEntry { entry, user_name: entrant.name.clone() });
        Ok(entry)
    }
}

pub(crate) fn late() -> Refusal {
    Refusal::new(Code::LotteryClosed, "this lottery takes no more entries")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(user: u64, posted_ms: Option<u64>) -> Entrant {
        Entrant { user: UserId(user), name: "mei".to_owned(), posted_ms }
    }

    fn page(now_ms: u64) -> Page {
        Page { draw_at_ms: 1_000, now_ms, next: Some(Next { n: 7, last_ms: 500 }), new: Vec::new() }
    }

    #[test]
    fn times_do_not_go_back_and_numbers_have_no_holes() {
        let mut page = page(700);
        let taken: Vec<Entry> = [entrant(1, Some(450)), entrant(2, None), entrant(3, Some(450)), entrant(4, Some(999))]
            .iter()
            .map(|entrant| page.take(entrant).unwrap())
            .collect();
        let told: Vec<(u64, u64)> = taken.iter().map(|entry| (entry.n, entry.entered_at_ms)).collect();
        assert_eq!(told, [(7, 500), (8, 700), (9, 700), (10, 999)]);
        assert_eq!(page.next.unwrap().n, 11);
    }

    #[test]
    fn who_posted_in_time_is_in_however_late_it_comes_here_and_nobody_else() {
        let mut late = page(1_000);
        assert_eq!(late.take(&entrant(1, None)).unwrap_err().code, Code::LotteryClosed);
        assert_eq!(late.take(&entrant(2, Some(1_000))).unwrap_err().code, Code::LotteryClosed);
        assert_eq!(late.take(&entrant(3, Some(999))).unwrap().entered_at_ms, 999);
        let mut closed = Page { next: None, ..page(600) };
        assert_eq!(closed.take(&entrant(1, Some(10))).unwrap_err().code, Code::LotteryClosed);
    }
}
