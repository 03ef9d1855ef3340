//! What a lottery may be. Pure.

use idl::danmaku::{MAX_KEYWORD_CHARS, line};
use idl::draw::{Condition, Hash, One, Prize, Spec, Weight};
use idl::event::LiveSession;
use idl::lottery::LotteryBody;
use idl::{Code, LotteryId, Refusal, RoomId};

const MAX_TITLE_CHARS: usize = 60;
const MAX_PRIZE_CHARS: usize = 60;
const MAX_REASON_CHARS: usize = 200;
const MAX_TIERS: usize = 10;
const MAX_PRIZES: u64 = 1_000;
const MAX_CLAIM_S: u64 = 30 * 24 * 3_600;
const MIN_OPEN_MS: u64 = 1_000;
const MAX_OPEN_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// A lottery that may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    title: String,
    prizes: Vec<Prize>,
    pub(crate) keyword: Option<String>,
    posted: bool,
    claim_ms: u64,
    end: End,
    pub(crate) test: bool,
}

/// When it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    At(u64),
    After(u64),
}

/// Checks everything that does not depend on the time or the room.
pub(crate) fn plan(body: &LotteryBody) -> Result<Plan, Refusal> {
    let end = match (body.draw_at, body.duration_s) {
        (Some(at), None) => End::At(u64::try_from(at.0).unwrap_or(0)),
        (None, Some(s)) => End::After(s.saturating_mul(1_000)),
        _ => return Err(Refusal::field("/duration_s", "exactly one of duration_s and draw_at is given")),
    };
    if body.claim_s > MAX_CLAIM_S {
        return Err(Refusal::field("/claim_s", format!("more than {MAX_CLAIM_S} seconds (30 days)")));
    }
    Ok(Plan {
        title: line("/title", &body.title, MAX_TITLE_CHARS)?,
        prizes: prizes(&body.prizes)?,
        keyword: body.keyword.as_deref().map(|text| line("/keyword", text, MAX_KEYWORD_CHARS)).transpose()?,
        posted: body.posted,
        claim_ms: body.claim_s * 1_000,
        end,
        test: body.test,
    })
}

fn prizes(tiers: &[Prize]) -> Result<Vec<Prize>, Refusal> {
    if tiers.is_empty() || tiers.len() > MAX_TIERS {
        return Err(Refusal::field("/prizes", format!("a lottery has 1 to {MAX_TIERS} kinds of prizes")));
    }
    let tier = |(at, tier): (usize, &Prize)| {
        if tier.count == 0 || tier.count > MAX_PRIZES {
            let detail = format!("there are 1 to {MAX_PRIZES} of a prize");
            return Err(Refusal::field(&format!("/prizes/{at}/count"), detail));
        }
        Ok(Prize { name: line(&format!("/prizes/{at}/name"), &tier.name, MAX_PRIZE_CHARS)?, count: tier.count })
    };
    let prizes = tiers.iter().enumerate().map(tier).collect::<Result<Vec<_>, _>>()?;
    if prizes.iter().map(|prize| prize.count).sum::<u64>() > MAX_PRIZES {
        return Err(Refusal::field("/prizes", format!("a lottery has at most {MAX_PRIZES} prizes in all")));
    }
    Ok(prizes)
}

/// Why a lottery is called off: one line, for everybody.
pub(crate) fn reason(text: &str) -> Result<String, Refusal> {
    line("/reason", text, MAX_REASON_CHARS)
}

impl Plan {
    /// The spec of the lottery if it is opened now, in a room in which this broadcast is on.
    pub(crate) fn spec(
        &self,
        lottery_id: LotteryId,
        room_id: RoomId,
        session: Option<LiveSession>,
        now_ms: u64,
        receipt_key: Hash,
    ) -> Result<Spec, Refusal> {
        match (self.test, session) {
            (false, None) => return Err(Refusal::new(Code::RoomClosed, "no broadcast is on in this room")),
            (true, Some(_)) => {
                return Err(Refusal::new(Code::RoomOpen, "a rehearsal is for before and after a broadcast"));
            }
            _ => {}
        }
        if self.test && self.keyword.is_some() {
            return Err(Refusal::field("/keyword", "nobody can post a keyword while no broadcast is on"));
        }
        let posted = match (self.posted, session) {
            (true, Some(session)) => Some(Condition::Posted(session.id)),
            (true, None) => return Err(Refusal::field("/posted", "a rehearsal is in no broadcast")),
            (false, _) => None,
        };
        Ok(Spec {
            v: crate::protocol::spec::VERSION,
            lottery_id,
            room_id,
            title: self.title.clone(),
            prizes: self.prizes.clone(),
            conditions: posted.into_iter().chain(self.keyword.clone().map(Condition::Keyword)).collect(),
            weight: Weight::One(One::One),
            claim_ms: self.claim_ms,
            opens_at_ms: now_ms,
            draw_at_ms: self.draw_at_ms(now_ms)?,
            receipt_key,
            beacon: None,
        })
    }

    fn draw_at_ms(&self, now_ms: u64) -> Result<u64, Refusal> {
        let (pointer, at_ms) = match self.end {
            End::At(at_ms) => ("/draw_at", at_ms),
            End::After(ms) => ("/duration_s", now_ms.saturating_add(ms)),
        };
        if at_ms < now_ms.saturating_add(MIN_OPEN_MS) || at_ms > now_ms.saturating_add(MAX_OPEN_MS) {
            return Err(Refusal::field(pointer, "a lottery is open for 1 second to 7 days from now"));
        }
        Ok(at_ms)
    }
}

#[cfg(test)]
mod tests {
    use idl::{SessionId, Timestamp};

    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn body() -> LotteryBody {
        LotteryBody {
            title: " Midnight draw ".to_owned(),
            prizes: vec![Prize { name: "a keyboard".to_owned(), count: 1 }],
            duration_s: Some(60),
            ..LotteryBody::default()
        }
    }

    fn session() -> Option<LiveSession> {
        Some(LiveSession { id: SessionId(9), opened_at_ms: 0 })
    }

    fn spec(body: &LotteryBody) -> Result<Spec, Refusal> {
        plan(body)?.spec(LotteryId(1), RoomId(2), session(), NOW_MS, Hash([0; 32]))
    }

    fn pointer(body: &LotteryBody) -> String {
        let refusal = spec(body).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidField, "{refusal:?}");
        refusal.pointer.unwrap()
    }

    #[test]
    fn a_spec_says_what_was_asked_for() {
        let body = LotteryBody { keyword: Some("冲冲冲".to_owned()), posted: true, claim_s: 60, ..body() };
        let spec = spec(&body).unwrap();
        assert_eq!((spec.title.as_str(), spec.claim_ms, spec.draw_at_ms), ("Midnight draw", 60_000, NOW_MS + 60_000));
        let conditions = [Condition::Posted(SessionId(9)), Condition::Keyword("冲冲冲".to_owned())];
        assert_eq!(spec.conditions, conditions);
        crate::protocol::spec::SpecText::new(spec).unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_field() {
        let prize = |name: &str, count| Prize { name: name.to_owned(), count };
        let with = |prizes: Vec<Prize>| LotteryBody { prizes, ..body() };
        assert_eq!(pointer(&LotteryBody { title: " ".to_owned(), ..body() }), "/title");
        assert_eq!(pointer(&LotteryBody { title: "字".repeat(61), ..body() }), "/title");
        assert_eq!(pointer(&with(Vec::new())), "/prizes");
        assert_eq!(pointer(&with(vec![prize("p", 1); 11])), "/prizes");
        assert_eq!(pointer(&with(vec![prize("p", 1), prize("q", 0)])), "/prizes/1/count");
        assert_eq!(pointer(&with(vec![prize("p", 1_001)])), "/prizes/0/count");
        assert_eq!(pointer(&with(vec![prize("p", u64::MAX), prize("p", u64::MAX)])), "/prizes/0/count");
        assert_eq!(pointer(&with(vec![prize("p", 600), prize("q", 401)])), "/prizes");
        assert_eq!(pointer(&with(vec![prize("a\nb", 1)])), "/prizes/0/name");
        assert_eq!(pointer(&LotteryBody { keyword: Some(String::new()), ..body() }), "/keyword");
        assert_eq!(pointer(&LotteryBody { keyword: Some("k".repeat(21)), ..body() }), "/keyword");
        assert_eq!(pointer(&LotteryBody { claim_s: u64::MAX, ..body() }), "/claim_s");
        for duration_s in [None, Some(0), Some(604_801), Some(u64::MAX)] {
            assert_eq!(pointer(&LotteryBody { duration_s, ..body() }), "/duration_s");
        }
        let at = |ms: i64| LotteryBody { duration_s: None, draw_at: Some(Timestamp(ms)), ..body() };
        for ms in [i64::MIN, 0, NOW_MS as i64, NOW_MS as i64 + 999, i64::MAX] {
            assert_eq!(pointer(&at(ms)), "/draw_at");
        }
        assert_eq!(spec(&at(NOW_MS as i64 + 1_000)).unwrap().draw_at_ms, NOW_MS + 1_000);
        let both = LotteryBody { draw_at: Some(Timestamp(NOW_MS as i64 + 5_000)), ..body() };
        assert_eq!(pointer(&both), "/duration_s");
    }

    #[test]
    fn a_rehearsal_is_for_a_closed_room_and_the_rest_for_an_open_one() {
        let code = |test, session| {
            let plan = plan(&LotteryBody { test, ..body() }).unwrap();
            plan.spec(LotteryId(1), RoomId(2), session, NOW_MS, Hash([0; 32])).map_err(|refusal| refusal.code)
        };
        assert_eq!(code(false, None).unwrap_err(), Code::RoomClosed);
        assert_eq!(code(true, session()).unwrap_err(), Code::RoomOpen);
        assert!(code(true, None).is_ok() && code(false, session()).is_ok());
        for body in [LotteryBody { posted: true, ..body() }, LotteryBody { keyword: Some("k".to_owned()), ..body() }] {
            let rehearsal = plan(&LotteryBody { test: true, ..body }).unwrap();
            let refused = rehearsal.spec(LotteryId(1), RoomId(2), None, NOW_MS, Hash([0; 32])).unwrap_err();
            assert_eq!(refused.code, Code::InvalidField);
        }
    }
}
