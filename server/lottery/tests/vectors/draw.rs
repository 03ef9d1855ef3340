//! A draw made from its name, and a vector made of its documents.

use std::fmt::Write as _;

use idl::draw::{
    Closed, Condition, Entry, Hash, Opened, PROTOCOL, Prize, Proof, Receipt, ReplaceReason, Replaced, Spec, Weight,
};
use idl::draw::{One, WeightRule};
use idl::{LotteryId, RoomId, UserId};
use lottery::protocol::keys::ReceiptKey;
use lottery::protocol::merkle;
use lottery::protocol::messages::{self, ReplacementChain};
use lottery::protocol::prizes::{self, Holders};
use lottery::protocol::rank::{DrawKey, Ranked, Ranking};
use lottery::protocol::spec::SpecText;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub(crate) const OPENS_AT_MS: u64 = 1_760_000_000_000;
pub(crate) const DRAW_AT_MS: u64 = OPENS_AT_MS + 600_000;
pub(crate) const CLOSED_AT_MS: u64 = DRAW_AT_MS + 20;
pub(crate) const CLAIM_MS: u64 = 60_000;
/// How the entries of long lists follow from their number.
const FIRST_USER_ID: u64 = 1_000;
const USER_ID_STEP: u64 = 3;
const ENTRIES_PER_MS: u64 = 4;

/// A draw that can be made whole, whether its rules were kept or not.
pub(crate) struct Draw {
    pub(crate) secret: [u8; 32],
    pub(crate) seed: Hash,
    pub(crate) spec: Spec,
    pub(crate) entries: Vec<Entry>,
    pub(crate) closed_at_ms: u64,
    pub(crate) replaced: Vec<(u64, ReplaceReason, u64)>,
}

/// Its documents.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) proof: Proof,
    pub(crate) opened: Opened,
    pub(crate) closed: Closed,
    pub(crate) entries: Vec<Entry>,
}

/// A folder of files.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// Secrets for tests, which anyone may know.
pub(crate) fn bytes(of: &str) -> [u8; 32] {
    Sha256::digest(format!("goligoli-draw/1 test vector, {of}")).into()
}

impl Draw {
    pub(crate) fn new(name: &str, entries: u64, prizes: &[(&str, u64)]) -> Self {
        let secret = bytes("receipt key");
        let entry = |n| Entry {
            n,
            user_id: UserId(FIRST_USER_ID + USER_ID_STEP * n),
            entered_at_ms: OPENS_AT_MS + n / ENTRIES_PER_MS,
            weight: 1,
        };
        let prize = |(name, count): &(&str, u64)| Prize { name: (*name).to_owned(), count: *count };
        let spec = Spec {
            v: 1,
            lottery_id: LotteryId(7_301),
            room_id: RoomId(12),
            title: "A new keyboard".to_owned(),
            prizes: prizes.iter().map(prize).collect(),
            conditions: vec![Condition::Keyword("冲".to_owned())],
            weight: Weight::One(One::One),
            claim_ms: CLAIM_MS,
            opens_at_ms: OPENS_AT_MS,
            draw_at_ms: DRAW_AT_MS,
            receipt_key: ReceiptKey::from_secret(&secret).unwrap().public(),
            beacon: None,
        };
        let seed = Hash(bytes(&format!("seed of {name}")));
        let entries = (0..entries).map(entry).collect();
        Self { secret, seed, spec, entries, closed_at_ms: CLOSED_AT_MS, replaced: Vec::new() }
    }

    /// With the rule `level`, and weights 1, 2, 3, 1, 2, …
    pub(crate) fn weighted(mut self) -> Self {
        self.spec.weight = Weight::Rule(WeightRule { rule: "level".to_owned(), max: 3 });
        self.entries.iter_mut().for_each(|entry| entry.weight = 1 + entry.n % 3);
        self
    }

    /// Takes out whoever is at that place among the winners, from 0.
    pub(crate) fn take_out(mut self, place: usize, reason: ReplaceReason, at_ms: u64) -> Self {
        let n = self.make().proof.winners[place].n;
        self.replaced.push((n, reason, at_ms));
        self
    }

    pub(crate) fn key(&self) -> ReceiptKey {
        ReceiptKey::from_secret(&self.secret).unwrap()
    }

    pub(crate) fn receipt(&self, n: usize) -> Receipt {
        self.key().receipt(self.spec.lottery_id, &self.entries[n])
    }

    pub(crate) fn spec_text(&self) -> SpecText {
        SpecText::new(self.spec.clone()).unwrap()
    }

    /// The ranking up to the last place that says who holds what.
    pub(crate) fn ranking(&self, root: &Hash) -> Vec<Ranked> {
        let count = self.entries.len() as u64;
        let key = DrawKey::derive(&self.seed, self.spec_text().hash(), root, count, None);
        let mut ranking = Ranking::of(prizes::places(&self.spec.prizes, self.replaced.len(), count));
        for entry in &self.entries {
            let weight = u32::try_from(entry.weight).unwrap();
            ranking.offer(Ranked { key: key.key(&merkle::leaf(entry), weight), n: entry.n, user_id: entry.user_id });
        }
        ranking.in_order()
    }

    /// Signs everything, as an operator would who keeps no rules.
    pub(crate) fn make(&self) -> Made {
        let (key, spec) = (self.key(), self.spec_text());
        let opened = key.open(&spec, &self.seed);
        let root = merkle::root(self.entries.iter().map(merkle::leaf));
        let closed = key.close(&spec, root, self.entries.len() as u64, self.closed_at_ms);
        let ranking = self.ranking(&root);
        let mut holders = Holders::first(&self.spec.prizes, self.spec.claim_ms, &ranking, self.closed_at_ms);
        let mut chain = ReplacementChain::after(spec.hash(), &closed, &[]);
        let mut replaced: Vec<Replaced> = Vec::new();
        for (n, reason, at_ms) in &self.replaced {
            // Those that are not allowed are signed all the same, and change nothing.
            let _not_allowed = holders.replace(*n, *reason, *at_ms).is_err();
            replaced.push(key.replace(&mut chain, *n, *reason, *at_ms));
        }
        let proof = Proof {
            protocol: PROTOCOL.to_owned(),
            spec: spec.text().to_owned(),
            commitment: messages::commitment(spec.hash(), &self.seed),
            opened_signature: opened.signature,
            root,
            count: closed.count,
            closed_at_ms: closed.closed_at_ms,
            closed_signature: closed.signature,
            seed: self.seed,
            beacon: None,
            winners: holders.winners(),
            replaced,
        };
        Made { proof, opened, closed, entries: self.entries.clone() }
    }
}

/// A document as it is written: compact.
pub(crate) fn text(document: &impl serde::Serialize) -> String {
    serde_json::to_string(document).unwrap()
}

pub(crate) fn lines(entries: &[Entry]) -> String {
    entries.iter().fold(String::new(), |mut lines, entry| {
        writeln!(lines, "{}", text(entry)).unwrap();
        lines
    })
}

/// What a verifier is expected to answer.
pub(crate) fn expected(about: &str, args: &[&str], exit: u8, says: &str) -> (String, Vec<u8>) {
    let mut expected = json!({ "about": about, "args": args, "exit": exit });
    if !says.is_empty() {
        expected["says"] = says.into();
    }
    ("expected.json".to_owned(), format!("{}\n", serde_json::to_string_pretty(&expected).unwrap()).into_bytes())
}

impl Vector {
    /// A draw that agrees with what was signed at the time, with the receipts of some entries.
    pub(crate) fn good(name: &str, about: &str, draw: &Draw, receipts: &[usize]) -> Self {
        let made = draw.make();
        let mut files = vec![
            ("proof.json".to_owned(), text(&made.proof).into_bytes()),
            ("entries.ndjson".to_owned(), lines(&made.entries).into_bytes()),
            ("opened.json".to_owned(), text(&made.opened).into_bytes()),
            ("closed.json".to_owned(), text(&made.closed).into_bytes()),
        ];
        let mut args = vec!["proof.json", "entries.ndjson", "--opened", "opened.json", "--closed", "closed.json"];
        let of = |n: &usize| (format!("receipt-{n}.json"), text(&draw.receipt(*n)).into_bytes());
        let receipts: Vec<_> = receipts.iter().map(of).collect();
        receipts.iter().for_each(|(name, _)| args.extend(["--receipt", name]));
        files.push(expected(about, &args, 0, ""));
        files.extend(receipts);
        Self { name: name.to_owned(), files }
    }

    /// The same with a list of entries that follows from its parameters, and is not kept.
    pub(crate) fn long(name: &str, about: &str, draw: &Draw) -> Self {
        let mut vector = Self::good(name, about, draw, &[]);
        let at = vector.files.iter().position(|(name, _)| name == "entries.ndjson").unwrap();
        let (_, entries) = vector.files.remove(at);
        let parameters = json!({
            "count": draw.entries.len(),
            "first_user_id": FIRST_USER_ID,
            "user_id_step": USER_ID_STEP,
            "opens_at_ms": OPENS_AT_MS,
            "entries_per_ms": ENTRIES_PER_MS,
            "bytes": entries.len(),
            "sha256": Hash(Sha256::digest(&entries).into()),
        });
        let parameters = format!("{}\n", serde_json::to_string_pretty(&parameters).unwrap());
        vector.files.push(("entries.json".to_owned(), parameters.into_bytes()));
        vector
    }
}
