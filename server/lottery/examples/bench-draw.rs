//! How long a draw takes, and its check, and how much memory they need at most:
//! `cargo run --release -p goligoli-lottery --example bench-draw [ENTRIES]`.
//!
//! First what the service does at the freeze (tree and ranking, from entries that come one by
//! one as from a database), then what `goligoli verify-draw` does, from files.

use std::fs::File;
use std::io::{BufReader, BufWriter, Error, Write as _};
use std::path::Path;
use std::time::Instant;

use idl::draw::{Entry, Hash, One, PROTOCOL, Prize, Proof, Spec, Weight};
use idl::{LotteryId, RoomId, UserId};
use lottery::protocol::keys::ReceiptKey;
use lottery::protocol::merkle::{self, PagedTree};
use lottery::protocol::prizes::{Holders, places};
use lottery::protocol::rank::{DrawKey, Ranked, Ranking};
use lottery::protocol::spec::SpecText;
use lottery::protocol::verify::{Documents, verify};

/// What the program has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OPENS_AT_MS: u64 = 1_760_000_000_000;
const DRAW_AT_MS: u64 = OPENS_AT_MS + 600_000;

fn main() -> Result<(), Error> {
    let count = std::env::args().nth(1).map_or(Ok(1_000_000), |count| count.parse()).map_err(Error::other)?;
    let folder = std::env::temp_dir().join(format!("bench-draw-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let done = bench(count, &folder);
    std::fs::remove_dir_all(&folder)?;
    done
}

fn bench(count: u64, folder: &Path) -> Result<(), Error> {
    let key = ReceiptKey::from_secret(&[1; 32]).map_err(Error::other)?;
    let spec = SpecText::new(spec(&key)).map_err(Error::other)?;
    let seed = Hash([2; 32]);

    let from = Instant::now();
    let mut tree = PagedTree::default();
    entries(count).for_each(|entry| tree.push(merkle::leaf(&entry)));
    let root = merkle::root(tree.into_pages());
    report("root", from)?;

    let from = Instant::now();
    let draw = DrawKey::derive(&seed, spec.hash(), &root, count, None);
    let mut ranking = Ranking::of(places(&spec.spec().prizes, 0, count));
    for entry in entries(count) {
        ranking.offer(Ranked { key: draw.key(&merkle::leaf(&entry), 1), n: entry.n, user_id: entry.user_id });
    }
    let ranking = ranking.in_order();
    report("ranking", from)?;

    let (opened, closed) = (key.open(&spec, &seed), key.close(&spec, root, count, DRAW_AT_MS));
    let proof = Proof {
        protocol: PROTOCOL.to_owned(),
        spec: spec.text().to_owned(),
        commitment: opened.commitment,
        opened_signature: opened.signature,
        root,
        count,
        closed_at_ms: closed.closed_at_ms,
        closed_signature: closed.signature,
        seed,
        beacon: None,
        winners: Holders::first(&spec.spec().prizes, 0, &ranking, DRAW_AT_MS).winners(),
        replaced: Vec::new(),
    };
    let file = folder.join("entries.ndjson");
    let from = Instant::now();
    let mut lines = BufWriter::new(File::create(&file)?);
    for entry in entries(count) {
        serde_json::to_writer(&mut lines, &entry)?;
        lines.write_all(b"\n")?;
    }
    lines.into_inner().map_err(Error::other)?.sync_all()?;
    report("writing the file", from)?;

    let [proof, opened, closed] =
        [serde_json::to_vec(&proof)?, serde_json::to_vec(&opened)?, serde_json::to_vec(&closed)?];
    let from = Instant::now();
    let documents = Documents { proof: &proof, opened: Some(&opened), closed: Some(&closed), receipts: &[] };
    let checked = verify(&documents, BufReader::with_capacity(1 << 16, File::open(&file)?)).map_err(Error::other)?;
    report("verifying", from)?;
    assert!(checked.is_anchored(), "what was just made agrees");
    Ok(())
}

fn spec(key: &ReceiptKey) -> Spec {
    Spec {
        v: 1,
        lottery_id: LotteryId(1),
        room_id: RoomId(1),
        title: "A million".to_owned(),
        prizes: [1, 10, 1_000].map(|count| Prize { name: "a prize".to_owned(), count }).into(),
        conditions: Vec::new(),
        weight: Weight::One(One::One),
        claim_ms: 0,
        opens_at_ms: OPENS_AT_MS,
        draw_at_ms: DRAW_AT_MS,
        receipt_key: key.public(),
        beacon: None,
    }
}

fn entries(count: u64) -> impl Iterator<Item = Entry> {
    (0..count).map(move |n| {
        let entered_at_ms = OPENS_AT_MS + n * (DRAW_AT_MS - OPENS_AT_MS) / count;
        Entry { n, user_id: UserId(700_000_000 + 3 * n), entered_at_ms, weight: 1 }
    })
}

/// The most memory since the start, so the steps that need little come first.
fn report(what: &str, from: Instant) -> Result<(), Error> {
    let elapsed = from.elapsed();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(" unknown").trim();
    writeln!(std::io::stdout(), "{what:>20}: {:>6} ms, at most {most} so far", elapsed.as_millis())
}
