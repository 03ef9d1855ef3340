//! Who may enter, by click or by keyword. Eligibility is judged here and never again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Failure, Outcome, rpc};
use futures::stream::{StreamExt as _, iter};
use idl::access::{Identity, SiteRole};
use idl::event::{LotteryPhase, RoomRole};
use idl::live::{GetStanding, Standing};
use idl::message::{GetKeywordPost, HasPosted, KeywordPost, ReadKeywordPosts};
use idl::{Code, DanmakuId, Kind, LotteryId, Refusal, UserId};
use tarpc::context::Context;

use crate::Core;
use crate::desk::{Entrant, Taken, late};
use crate::row::Facts;
use crate::store::{Undecided, entries};

/// Keyword danmaku whose entry did not come (a crash between the two) are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Before the freeze they are looked for once more, no longer than this.
const LAST_LOOK: Duration = Duration::from_millis(300);
const POSTS_AT_ONCE: u32 = 500;
const ENTRIES_AT_ONCE: usize = 64;

impl Core {
    /// Enters an account. Who is in already gets the entry that it has, whatever has become
    /// of the lottery or the account since.
    pub(crate) async fn enter(
        &self,
        context: Context,
        who: &Identity,
        id: LotteryId,
        danmaku: Option<DanmakuId>,
    ) -> Outcome<(Arc<Facts>, Taken)> {
        let facts = self.facts(id).await?;
        let entered = match self.entrant(context, who, &facts, danmaku).await {
            Ok(entrant) => self.desk.enter(&facts, entrant).await,
            Err(failure) => Err(failure),
        };
        let refusal = match entered {
            Ok(taken) => return Ok((facts, taken)),
            Err(Failure::Refused(refusal)) => refusal,
            Err(failure) => return Err(failure),
        };
        if let Some(entry) = entries::of_user(&self.db, id, who.user).await? {
            return Ok((facts, Taken { entry, is_new: false }));
        }
        let called_off = refusal.code == Code::LotteryClosed && self.find(id).await?.cancelled.is_some();
        Err(if called_off { Refusal::new(Code::LotteryCancelled, "this lottery was called off") } else { refusal }
            .into())
    }

    async fn entrant(
        &self,
        context: Context,
        who: &Identity,
        facts: &Facts,
        danmaku: Option<DanmakuId>,
    ) -> Outcome<Entrant> {
        // The desk judges that, too; but the rush after the end should cost nobody else anything.
        if danmaku.is_none() && self.platform.clock.now().0.cast_unsigned() >= facts.spec.spec().draw_at_ms {
            return Err(late().into());
        }
        self.platform.space.check()?;
        let standing = self.standing(context, facts.room, who).await?;
        may_enter(&standing, who.role, facts.test)?;
        let posted_ms = match (facts.keyword(), danmaku) {
            (None, _) => None,
            (Some(_), Some(danmaku)) => Some(self.keyword_posted_ms(context, who, facts, danmaku).await?),
            (Some(keyword), None) => {
                let detail = format!("who posts \u{201c}{keyword}\u{201d} in the room enters this lottery");
                return Err(Refusal::new(Code::KeywordNeeded, detail).into());
            }
        };
        self.has_posted(context, facts, who.user).await?;
        Ok(Entrant { user: who.user, name: who.name.clone(), posted_ms })
    }

    /// Refuses who has not posted in the broadcast, if that is asked for.
    async fn has_posted(&self, context: Context, facts: &Facts, user: UserId) -> Result<(), Refusal> {
        let Some(session) = facts.posted_in() else { return Ok(()) };
        let request = HasPosted { room: facts.room, session, user };
        match rpc::answer(self.message.has_posted(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await)?.posted {
            true => Ok(()),
            false => {
                let detail = "only who has posted a danmaku in this broadcast may enter";
                Err(Refusal::new(Code::NotEligible, detail))
            }
        }
    }

    /// When the account posted this keyword danmaku.
    async fn keyword_posted_ms(
        &self,
        context: Context,
        who: &Identity,
        facts: &Facts,
        danmaku: DanmakuId,
    ) -> Outcome<u64> {
        let request = GetKeywordPost { lottery: facts.id, danmaku };
        let post = rpc::answer(self.message.keyword_post(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await)?;
        if post.user != who.user {
            return Err(Refusal::new(Code::NotAllowed, "somebody else posted this danmaku").into());
        }
        Ok(post.sent_at.0.cast_unsigned())
    }

    /// Enters whoever posted a keyword and is not in, as long as the process runs.
    pub(crate) async fn follow_keywords(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(failure) = self.enter_all_keywords().await {
                _ = failure.into_refusal("looking for lotteries with a keyword");
            }
        }
    }

    async fn enter_all_keywords(&self) -> Outcome<()> {
        let (mut undecided, mut followed) = (Undecided::of(&self.db), HashSet::new());
        while let Some(page) = undecided.next_page().await? {
            let open = page.iter().filter(|row| row.phase == LotteryPhase::Open && row.facts.keyword().is_some());
            for row in open {
                followed.insert(row.facts.id);
                if let Err(failure) = self.enter_keywords(&row.facts).await {
                    let refusal = failure.into_refusal(&format!("following the keyword of lottery {}", row.facts.id));
                    tracing::warn!(lottery.id = %row.facts.id, error = %refusal, "keyword danmaku are entered later");
                }
            }
        }
        self.keywords_read.retain(|id| followed.contains(&id));
        Ok(())
    }

    /// The last look before the freeze, which does not wait for it any longer.
    pub(crate) async fn enter_last_keywords(&self, facts: &Arc<Facts>) {
        if facts.keyword().is_none() {
            return;
        }
        match tokio::time::timeout(LAST_LOOK, self.enter_keywords(facts)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                _ = failure.into_refusal(&format!("the last look at the keyword of lottery {}", facts.id));
            }
            Err(_) => tracing::warn!(lottery.id = %facts.id, "keyword danmaku could not be looked through in time"),
        }
    }

    /// Enters whoever posted the keyword since the last look and may enter.
    async fn enter_keywords(&self, facts: &Arc<Facts>) -> Outcome<()> {
        let mut after = self.keywords_read.get(facts.id);
        loop {
            let request = ReadKeywordPosts { lottery: facts.id, after, limit: POSTS_AT_ONCE };
            let page = rpc::answer(self.message.keyword_posts(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
            let is_last = page.items.len() < POSTS_AT_ONCE as usize;
            // Nearly all of them are in: their entry came with the danmaku.
            let users = page.items.iter().map(|post| post.user);
            let known = entries::of_users(&mut self.db.reader().acquire().await?, facts.id, users).await?;
            let missing = page.items.into_iter().filter(|post| !known.contains_key(&post.user));
            let entered = iter(missing).map(|post| self.enter_by_keyword(facts, post));
            let outcomes: Vec<Outcome<()>> = entered.buffer_unordered(ENTRIES_AT_ONCE).collect().await;
            outcomes.into_iter().collect::<Outcome<()>>()?;
            // The next look begins where no earlier one can come any more.
            self.keywords_read.set(facts.id, page.settled.unwrap_or_else(|| page.after.clone()));
            if is_last {
                return Ok(());
            }
            after = Some(page.after);
        }
    }

    /// Enters who posted this, by the same rules as if it had come with the danmaku. Who may
    /// not enter is left out for good; what may pass is an error, and tried again.
    async fn enter_by_keyword(&self, facts: &Arc<Facts>, post: KeywordPost) -> Outcome<()> {
        let may = async {
            if post.role != RoomRole::Viewer {
                return Err(Refusal::new(Code::NotEligible, "hosts take no part"));
            }
            let request = GetStanding { room: facts.room, user: post.user };
            let standing = rpc::answer(self.live.standing(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
            // What the account is on the site was in its role in the room.
            may_enter(&standing, SiteRole::Member, facts.test)?;
            self.has_posted(rpc::within(rpc::EDGE_DEADLINE), facts, post.user).await
        };
        let entered = match may.await {
            Ok(()) => {
                let posted_ms = Some(post.sent_at.0.cast_unsigned());
                self.desk.enter(facts, Entrant { user: post.user, name: post.user_name, posted_ms }).await.map(drop)
            }
            Err(refusal) => Err(refusal.into()),
        };
        match entered {
            Err(Failure::Refused(refusal)) if !matches!(refusal.kind(), Kind::Unavailable | Kind::Internal) => Ok(()),
            entered => entered,
        }
    }
}

/// Where the next look at the keyword danmaku of each lottery begins. Those of lotteries that are not open
/// are forgotten.
#[derive(Debug, Default)]
pub(crate) struct KeywordsRead(Mutex<HashMap<LotteryId, String>>);

impl KeywordsRead {
    fn of(&self) -> MutexGuard<'_, HashMap<LotteryId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: LotteryId) -> Option<String> {
        self.of().get(&id).cloned()
    }

    fn set(&self, id: LotteryId, after: String) {
        self.of().insert(id, after);
    }

    fn retain(&self, still: impl Fn(LotteryId) -> bool) {
        self.of().retain(|id, _| still(*id));
    }
}

/// Whether what an account is in the room lets it enter.
fn may_enter(standing: &Standing, site: SiteRole, test: bool) -> Result<(), Refusal> {
    let hosts = standing.role.moderates() || site == SiteRole::SiteAdmin;
    if hosts && !test {
        let detail = "the streamer and the room's admins take no part in its lotteries";
        return Err(Refusal::new(Code::NotEligible, detail));
    }
    if standing.muted {
        let refusal = Refusal::new(Code::Muted, "who is muted in this room takes no part in its lotteries");
        return Err(match standing.muted_until {
            Some(end) => refusal.until(end),
            None => refusal,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use idl::Timestamp;
    use idl::event::RoomRules;

    use super::*;

    fn standing(role: RoomRole, muted: bool) -> Standing {
        Standing {
            role,
            session: None,
            rules: RoomRules::default(),
            muted,
            muted_until: muted.then_some(Timestamp(7)),
            keywords: Vec::new(),
        }
    }

    #[test]
    fn hosts_and_the_muted_stay_out_and_hosts_may_rehearse() {
        let code = |role, site, muted, test| may_enter(&standing(role, muted), site, test).map_err(|r| r.code);
        assert_eq!(code(RoomRole::Viewer, SiteRole::Member, false, false), Ok(()));
        for (role, site) in [
            (RoomRole::Owner, SiteRole::Member),
            (RoomRole::Admin, SiteRole::Member),
            (RoomRole::Viewer, SiteRole::SiteAdmin),
        ] {
            assert_eq!(code(role, site, false, false), Err(Code::NotEligible));
            assert_eq!(code(role, site, false, true), Ok(()));
        }
        assert_eq!(code(RoomRole::Viewer, SiteRole::Member, true, true), Err(Code::Muted));
    }
}
