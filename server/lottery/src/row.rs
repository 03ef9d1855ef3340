//! A lottery as its table has it, and as others see it.

use std::sync::Arc;

use anyhow::Context as _;
use common::Outcome;
use idl::draw::{Cancelled, Closed, Condition, Hash, Opened, Proof, Signature};
use idl::event::{LotteryPhase, LotteryState};
use idl::{LotteryId, RoomId, SessionId};

use crate::protocol::spec::SpecText;

/// What never changes about a lottery.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) id: LotteryId,
    pub(crate) room: RoomId,
    pub(crate) test: bool,
    pub(crate) spec: SpecText,
    commitment: Hash,
    opened_signature: Signature,
}

impl Facts {
    /// What has to be posted to enter.
    pub(crate) fn keyword(&self) -> Option<&str> {
        self.spec.spec().conditions.iter().find_map(|condition| match condition {
            Condition::Keyword(keyword) => Some(keyword.as_str()),
            Condition::Posted(_) => None,
        })
    }

    /// The broadcast in which somebody has to have posted.
    pub(crate) fn posted_in(&self) -> Option<SessionId> {
        self.spec.spec().conditions.iter().find_map(|condition| match condition {
            Condition::Posted(session) => Some(*session),
            Condition::Keyword(_) => None,
        })
    }

    pub(crate) fn opened(&self) -> Opened {
        Opened { spec: self.spec.text().to_owned(), commitment: self.commitment, signature: self.opened_signature }
    }
}

/// A row of the table, as it is read.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct RawRow {
    id: i64,
    room_id: i64,
    test: i64,
    phase: i64,
    version: i64,
    spec: String,
    commitment: String,
    opened_signature: String,
    sealed_seed: String,
    next_n: i64,
    closed_at_ms: Option<i64>,
    root: Option<String>,
    closed_signature: Option<String>,
    drawn_at_ms: Option<i64>,
    seed: Option<String>,
    cancelled_at_ms: Option<i64>,
    cancel_reason: Option<String>,
    cancelled_signature: Option<String>,
}

/// The columns of [`RawRow`].
macro_rules! lottery_columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, room_id, test, phase, version, spec, commitment, opened_signature, sealed_seed, \
             next_n, closed_at_ms, root, closed_signature, drawn_at_ms, seed, cancelled_at_ms, cancel_reason, \
             cancelled_signature FROM lottery ",
            $rest
        )
    };
}
pub(crate) use lottery_columns;

/// A lottery as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) facts: Arc<Facts>,
    pub(crate) phase: LotteryPhase,
    pub(crate) version: u64,
    /// Entries so far, or in all.
    pub(crate) entries: u64,
    pub(crate) sealed_seed: String,
    pub(crate) closed_at_ms: Option<u64>,
    /// The freeze, once it was signed.
    pub(crate) closed: Option<Closed>,
    pub(crate) drawn_at_ms: Option<i64>,
    /// Revealed.
    pub(crate) seed: Option<Hash>,
    pub(crate) cancelled: Option<Cancelled>,
}

impl RawRow {
    /// Everything in it was written by us, so what is wrong is a fault, not a refusal.
    pub(crate) fn parse(self) -> Outcome<Row> {
        let id = LotteryId::from_i64(self.id);
        Ok(self.read().with_context(|| format!("the row of lottery {id} can't be read"))?)
    }

    fn read(self) -> anyhow::Result<Row> {
        let id = LotteryId::from_i64(self.id);
        let entries = self.next_n.cast_unsigned();
        let closed_at_ms = self.closed_at_ms.map(i64::cast_unsigned);
        let closed = match (closed_at_ms, self.root, self.closed_signature) {
            (Some(closed_at_ms), Some(root), Some(signature)) => Some(Closed {
                lottery_id: id,
                root: root.parse()?,
                count: entries,
                closed_at_ms,
                signature: signature.parse()?,
            }),
            _ => None,
        };
        let cancelled = match (self.cancelled_at_ms, self.cancel_reason, self.cancelled_signature) {
            (Some(at_ms), Some(reason), Some(signature)) => {
                let at_ms = at_ms.cast_unsigned();
                Some(Cancelled { lottery_id: id, at_ms, reason, signature: signature.parse()? })
            }
            _ => None,
        };
        let facts = Facts {
            id,
            room: RoomId::from_i64(self.room_id),
            test: self.test != 0,
            spec: SpecText::parse(&self.spec)?,
            commitment: self.commitment.parse()?,
            opened_signature: self.opened_signature.parse()?,
        };
        Ok(Row {
            facts: Arc::new(facts),
            phase: phase(self.phase),
            version: self.version.cast_unsigned(),
            entries,
            sealed_seed: self.sealed_seed,
            closed_at_ms,
            closed,
            drawn_at_ms: self.drawn_at_ms,
            seed: self.seed.map(|seed| seed.parse()).transpose()?,
            cancelled,
        })
    }
}

/// As the table numbers them.
pub(crate) const OPEN: i64 = 0;
pub(crate) const CLOSED: i64 = 1;
pub(crate) const DRAWN: i64 = 2;
pub(crate) const CANCELLED: i64 = 3;

const fn phase(number: i64) -> LotteryPhase {
    match number {
        OPEN => LotteryPhase::Open,
        CLOSED => LotteryPhase::Closed,
        DRAWN => LotteryPhase::Drawn,
        CANCELLED => LotteryPhase::Cancelled,
        _ => LotteryPhase::Unknown,
    }
}

impl Row {
    /// As viewers see it beside the feed.
    pub(crate) fn state(&self) -> LotteryState {
        let spec = self.facts.spec.spec();
        let called_off = self.cancelled.as_ref().map(|cancelled| cancelled.at_ms.cast_signed());
        LotteryState {
            id: self.facts.id,
            version: self.version,
            phase: self.phase,
            test: self.facts.test,
            title: spec.title.clone(),
            prizes: spec.prizes.clone(),
            keyword: self.facts.keyword().map(str::to_owned),
            posted_in: self.facts.posted_in(),
            claim_ms: spec.claim_ms,
            opens_at_ms: spec.opens_at_ms.cast_signed(),
            draw_at_ms: spec.draw_at_ms.cast_signed(),
            entrants: self.entries,
            opened: self.facts.opened(),
            closed: self.closed.clone(),
            cancelled: self.cancelled.clone(),
            decided_at_ms: self.drawn_at_ms.or(called_off),
        }
    }

    /// The proof without winners; `None` before the seed is revealed.
    pub(crate) fn proof(&self) -> Option<Proof> {
        let (closed, seed) = (self.closed.as_ref()?, self.seed?);
        Some(Proof {
            protocol: idl::draw::PROTOCOL.to_owned(),
            spec: self.facts.spec.text().to_owned(),
            commitment: self.facts.commitment,
            opened_signature: self.facts.opened_signature,
            root: closed.root,
            count: closed.count,
            closed_at_ms: closed.closed_at_ms,
            closed_signature: closed.signature,
            seed,
            beacon: None,
            winners: Vec::new(),
            replaced: Vec::new(),
        })
    }
}
