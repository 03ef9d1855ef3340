//! Every value on the way of a draw, for whoever writes a second implementation.

use hmac::{Hmac, KeyInit as _, Mac as _};
use idl::draw::{Hash, InclusionProof};
use lottery::protocol::messages::ReplacementChain;
use lottery::protocol::rank::DrawKey;
use lottery::protocol::{merkle, messages};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::draw::{Draw, OPENS_AT_MS, bytes, text};

/// What `cancelled` would be, had this lottery been called off.
const CANCELLED_AT_MS: u64 = OPENS_AT_MS + 30_000;

/// `steps.json`, and the two documents that a draw's check does not need.
pub(crate) fn files(draw: &Draw) -> Vec<(String, Vec<u8>)> {
    let (spec, made) = (draw.spec_text(), draw.make());
    let (root, count) = (made.proof.root, made.proof.count);
    let hash = |bytes: &[u8]| Hash(Sha256::digest(bytes).into());
    let leaves: Vec<Hash> = draw.entries.iter().map(merkle::leaf).collect();
    let k = {
        let mut mac = Hmac::<Sha256>::new_from_slice(&draw.seed.0).unwrap();
        mac.update(b"goligoli-draw/1/draw");
        mac.update(&[&spec.hash().0[..], &root.0, &count.to_be_bytes()].concat());
        Hash(mac.finalize().into_bytes().into())
    };
    let key = DrawKey::from_bytes(&k);
    let closed = messages::closed(spec.hash(), &root, count, made.proof.closed_at_ms);
    let mut chain = ReplacementChain::after(spec.hash(), &made.closed, &[]);
    let replaced: Vec<Vec<u8>> =
        draw.replaced.iter().map(|(n, reason, at_ms)| chain.append(*n, *reason, *at_ms)).collect();
    let steps = json!({
        "receipt_key_secret": Hash(bytes("receipt key")),
        "spec_hash": spec.hash(),
        "seed": draw.seed,
        "commitment": made.proof.commitment,
        "opened_signed_bytes": hex(&messages::opened(spec.hash(), &made.proof.commitment)),
        "leaf_data": draw.entries.iter().map(|entry| hex(&merkle::leaf_data(entry))).collect::<Vec<_>>(),
        "leaf": leaves,
        "node_0_1": merkle::node(&leaves[0], &leaves[1]),
        "root": root,
        "receipt_1_signed_bytes": hex(&messages::receipt(draw.spec.lottery_id, &leaves[1])),
        "closed_signed_bytes": hex(&closed),
        "closed_hash": hash(&closed),
        "k": k,
        "key": leaves.iter().map(|leaf| key.key(leaf, 1)).collect::<Vec<_>>(),
        "ranking": draw.ranking(&root).iter().map(|entry| entry.n).collect::<Vec<_>>(),
        "replaced_0_signed_bytes": hex(&replaced[0]),
        "cancelled_signed_bytes": hex(&messages::cancelled(spec.hash(), CANCELLED_AT_MS)),
    });
    let path = merkle::audit_path(1, &leaves, &[root]).unwrap();
    let inclusion = InclusionProof { n: 1, count, root, leaf: leaves[1], path };
    let cancelled = draw.key().cancel(&spec, CANCELLED_AT_MS, "the prize broke".to_owned());
    vec![
        ("steps.json".to_owned(), format!("{}\n", serde_json::to_string_pretty(&steps).unwrap()).into_bytes()),
        ("inclusion-1.json".to_owned(), text(&inclusion).into_bytes()),
        ("cancelled.json".to_owned(), text(&cancelled).into_bytes()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
