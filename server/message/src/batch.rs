//! What becomes of each post of a batch: repetition, refusal or a new danmaku. No I/O.

use std::collections::{HashMap, HashSet};

use idl::event::Sender;
use idl::message::{Danmaku, DanmakuBody, Delivery};
use idl::{Code, DanmakuId, Refusal, RoomId, SessionId, Timestamp, UserId};

use crate::keys::KeyHash;
use crate::post::{Admission, Post};

/// What the database knows that bears on a batch.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The danmaku that keys of the batch stand for already.
    pub(crate) by_key: HashMap<KeyHash, Danmaku>,
    /// When accounts under slow mode last posted in a room; older times may be missing.
    pub(crate) last_sent: HashMap<(RoomId, UserId), Timestamp>,
    /// Broadcasts that have ended: their replay is being made, or was.
    pub(crate) sealed: HashSet<SessionId>,
}

/// What becomes of a post.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is stored.
    Store(Admission),
    /// It was stored before.
    Repeat(Box<Danmaku>),
    /// It repeats an earlier post of this batch.
    SameAs(usize),
    /// It is refused.
    Refuse(Refusal),
}

/// Judges posts in their order, all as of `now`. A key comes before everything else: a
/// repetition of an accepted post gets the first answer even if the room closed since.
pub(crate) fn judge(posts: &[Post], now: Timestamp, mut known: Known) -> Vec<Verdict> {
    let mut first_with: HashMap<&KeyHash, usize> = HashMap::new();
    let mut verdicts = Vec::with_capacity(posts.len());
    for (at, post) in posts.iter().enumerate() {
        let verdict = repetition(posts, post, &known, &first_with).unwrap_or_else(|| admit(post, now, &mut known));
        if let (Verdict::Store(_), Some(key)) = (&verdict, &post.key) {
            first_with.insert(key, at);
        }
        verdicts.push(verdict);
    }
    verdicts
}

fn repetition(posts: &[Post], post: &Post, known: &Known, first_with: &HashMap<&KeyHash, usize>) -> Option<Verdict> {
    let key = post.key.as_ref()?;
    if let Some(danmaku) = known.by_key.get(key) {
        return Some(match again(danmaku, &post.body) {
            Ok(danmaku) => Verdict::Repeat(Box::new(danmaku)),
            Err(refusal) => Verdict::Refuse(refusal),
        });
    }
    let first = *first_with.get(key)?;
    Some(if posts[first].body == post.body { Verdict::SameAs(first) } else { Verdict::Refuse(reused()) })
}

/// The answer to a post that a key stands for already, as it was, if the body that came
/// with the key now is the same.
pub(crate) fn again(danmaku: &Danmaku, body: &DanmakuBody) -> Result<Danmaku, Refusal> {
    let is_of_body =
        (&danmaku.text, danmaku.mode, danmaku.color, danmaku.size) == (&body.text, body.mode, body.color, body.size);
    if is_of_body { Ok(Danmaku { delivery: Delivery::Stored, ..danmaku.clone() }) } else { Err(reused()) }
}

fn reused() -> Refusal {
    Refusal::new(Code::KeyReused, "this idempotency key was used for another danmaku in this room")
}

fn admit(post: &Post, now: Timestamp, known: &mut Known) -> Verdict {
    let admission = match &post.admission {
        Ok(admission) => *admission,
        Err(refusal) => return Verdict::Refuse(refusal.clone()),
    };
    if known.sealed.contains(&admission.session.id) {
        return Verdict::Refuse(Refusal::new(Code::RoomClosed, "the broadcast has ended"));
    }
    let last_sent = known.last_sent.entry((post.room, post.user));
    if let (std::collections::hash_map::Entry::Occupied(last), 1..) = (&last_sent, admission.slow_mode_ms) {
        let wait_ms = last.get().plus_ms(admission.slow_mode_ms).since_ms(now);
        if wait_ms > 0 {
            let detail = format!("slow mode: wait {} s between two danmaku", admission.slow_mode_ms / 1_000);
            return Verdict::Refuse(Refusal::new(Code::SlowMode, detail).retry_after_ms(wait_ms));
        }
    }
    last_sent.insert_entry(now);
    Verdict::Store(admission)
}

/// The danmaku that a post becomes.
pub(crate) fn danmaku(post: &Post, admission: &Admission, id: DanmakuId, now: Timestamp) -> Danmaku {
    Danmaku {
        id,
        room_id: post.room,
        session_id: admission.session.id,
        sender: Sender { id: post.user, name: post.user_name.clone(), role: admission.role },
        text: post.body.text.clone(),
        mode: post.body.mode,
        color: post.body.color,
        size: post.body.size,
        sent_at: now,
        offset_ms: now.since_ms(Timestamp(admission.session.opened_at_ms)),
        delivery: Delivery::Stored,
        lottery_id: admission.lottery(now),
    }
}

#[cfg(test)]
mod tests {
    use idl::danmaku::{Color, DanmakuText, Mode, Size};
    use idl::event::{LiveSession, RoomRole};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const SLOW_MS: u64 = 5_000;

    fn post(user: u64, key: Option<u64>, text: u64, admitted: bool, slow: bool) -> Post {
        let (user, room) = (UserId(user), RoomId(7));
        let session = LiveSession { id: SessionId(1), opened_at_ms: NOW.0 - 10 };
        let slow_mode_ms = if slow { SLOW_MS } else { 0 };
        let admission = Admission { session, role: RoomRole::Viewer, slow_mode_ms, keyword: None };
        Post {
            room,
            user,
            user_name: "mei".into(),
            body: DanmakuBody {
                text: DanmakuText::parse(&format!("t{text}")).unwrap(),
                mode: Mode::Scroll,
                color: Color::WHITE,
                size: Size::Standard,
            },
            key: key.map(|k| KeyHash::new(user, room, &k.to_string().try_into().unwrap())),
            admission: if admitted { Ok(admission) } else { Err(Refusal::new(Code::RoomClosed, "closed")) },
        }
    }

    fn posts() -> impl Strategy<Value = Vec<Post>> {
        let one = (1..4u64, proptest::option::of(0..3u64), 0..2u64, any::<bool>(), any::<bool>());
        proptest::collection::vec(one.prop_map(|(u, k, t, a, s)| post(u, k, t, a, s)), 0..40)
    }

    #[test]
    fn slow_mode_says_exactly_how_long() {
        let judge_after = |ms: i64| {
            let last_sent = HashMap::from([((RoomId(7), UserId(1)), Timestamp(NOW.0 - ms))]);
            let known = Known { last_sent, ..Known::default() };
            judge(&[post(1, None, 0, true, true)], NOW, known).remove(0)
        };
        match judge_after(1_234) {
            Verdict::Refuse(refusal) => {
                assert_eq!((refusal.code, refusal.retry_after_ms), (Code::SlowMode, Some(3_766)));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(judge_after(4_999), Verdict::Refuse(_)));
        assert!(matches!(judge_after(5_000), Verdict::Store(_)));
    }

    #[test]
    fn a_sealed_broadcast_takes_nothing_but_repetitions() {
        let sealed = || Known { sealed: HashSet::from([SessionId(1)]), ..Known::default() };
        match judge(&[post(1, Some(1), 0, true, false)], NOW, sealed()).remove(0) {
            Verdict::Refuse(refusal) => assert_eq!(refusal.code, Code::RoomClosed),
            other => panic!("{other:?}"),
        }
        let other = Known { sealed: HashSet::from([SessionId(2)]), ..Known::default() };
        assert!(matches!(judge(&[post(1, None, 0, true, false)], NOW, other)[..], [Verdict::Store(_)]));
        let first = post(1, Some(1), 0, true, false);
        let stored = danmaku(&first, first.admission.as_ref().unwrap(), DanmakuId(5), NOW);
        let by_key = HashMap::from([(first.key.clone().unwrap(), stored)]);
        let verdicts = judge(&[first], NOW, Known { by_key, ..sealed() });
        assert!(matches!(verdicts[..], [Verdict::Repeat(_)]), "{verdicts:?}");
    }

    #[test]
    fn a_refused_first_try_does_not_use_up_its_key() {
        let batch = [post(1, Some(1), 0, false, false), post(1, Some(1), 0, true, false)];
        let verdicts = judge(&batch, NOW, Known::default());
        assert!(matches!(verdicts[..], [Verdict::Refuse(_), Verdict::Store(_)]), "{verdicts:?}");
    }

    proptest! {
        #[test]
        fn a_key_is_stored_once_and_answers_for_its_body_only(batch in posts()) {
            let verdicts = judge(&batch, NOW, Known::default());
            let mut stored: HashMap<&KeyHash, usize> = HashMap::new();
            for (at, (post, verdict)) in batch.iter().zip(&verdicts).enumerate() {
                let Some(key) = &post.key else {
                    prop_assert!(!matches!(verdict, Verdict::SameAs(_)));
                    continue;
                };
                match (stored.get(key), verdict) {
                    (None, Verdict::Store(_)) => { stored.insert(key, at); }
                    (None, Verdict::Refuse(refusal)) => prop_assert_ne!(refusal.code, Code::KeyReused),
                    (Some(first), Verdict::SameAs(same)) => {
                        prop_assert_eq!(first, same);
                        prop_assert!(batch[*first].body == post.body);
                    }
                    (Some(first), Verdict::Refuse(refusal)) => {
                        prop_assert_eq!(refusal.code, Code::KeyReused);
                        prop_assert!(batch[*first].body != post.body);
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        #[test]
        fn slow_mode_lets_one_in_and_closed_rooms_none(batch in posts()) {
            let verdicts = judge(&batch, NOW, Known::default());
            let mut stored_before: HashMap<UserId, usize> = HashMap::new();
            for (post, verdict) in batch.iter().zip(&verdicts) {
                if let Verdict::Store(admission) = verdict {
                    prop_assert!(post.admission.is_ok());
                    let before = stored_before.entry(post.user).or_default();
                    prop_assert!(admission.slow_mode_ms == 0 || *before == 0);
                    *before += 1;
                }
            }
        }
    }
}
