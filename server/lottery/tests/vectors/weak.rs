//! Keys and signatures that some verifiers of Ed25519 take and others do not.
//!
//! All of these satisfy the equation of RFC 8032 in one of its readings. Most keys here are
//! of small order: whoever names one has signed nothing, and can show signatures all the same.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::IsIdentity as _;
use idl::draw::{Hash, Signature};
use lottery::protocol::keys::entry_of;
use lottery::protocol::{merkle, messages};
use sha2::{Digest as _, Sha512};

use crate::draw::{Draw, Vector, text};
use crate::tampered::{CLOSED, Files, OPENED, PROOF, RECEIPT};

/// A public key that is one of the eight points of small order, each in a form that decodes.
const WEAK: [(&str, &str, &str); 8] = [
    ("key-one", "the neutral element", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("key-zero", "of order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("key-minus-one", "of order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("key-order-8", "of order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ("key-order-8-negative", "of order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ("key-p", "0, written as p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("key-p-plus-1", "1, written as p + 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("key-one-negative", "1 with a sign", "0100000000000000000000000000000000000000000000000000000000000080"),
];

/// The order of the group, little-endian (RFC 8032, section 5.1).
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

pub(crate) fn vectors() -> Vec<Vector> {
    let weak = WEAK.map(|(name, about, hex)| {
        let public = hash(hex);
        let point = CompressedEdwardsY(public.0).decompress().unwrap();
        assert!(point.is_small_order(), "{name}");
        let sign = |message: &[u8]| sign(&public, Scalar::ZERO, message, |k| (k * point).is_identity());
        signed(name, &format!("a receipt key that binds nobody: {about}"), public, &sign, 1)
    });
    let honest = Draw::new("weak", 3, &[("first", 1)]);
    let public = honest.key().public();
    let secret = Scalar::from_bytes_mod_order(clamp_integer(Sha512::digest(honest.secret)[..32].try_into().unwrap()));
    assert_eq!(EdwardsPoint::mul_base(&secret).compress().0, public.0);
    let torsion = EIGHT_TORSION[1];
    let mixed = Hash((EdwardsPoint::mul_base(&secret) + torsion).compress().0);
    let without = |message: &[u8]| sign(&mixed, secret, message, |k| (k * torsion).is_identity());
    let with_cofactor = |message: &[u8]| sign(&mixed, secret, message, |k| !(k * torsion).is_identity());
    let small_r = |message: &[u8]| sign_with(&public, secret, message, Scalar::ZERO).1;
    let large_s = |message: &[u8]| plus_order(sign(&public, secret, message, |_| true));
    let no_point = hash("0200000000000000000000000000000000000000000000000000000000000000");
    assert!(CompressedEdwardsY(no_point.0).decompress().is_none());
    let mut all: Vec<Vector> = weak.into();
    all.extend([
        signed("key-no-point", "a receipt key that is no point", no_point, &|_| Signature([0; 64]), 1),
        signed("key-mixed", "a key with a part of order 8: the equation holds", mixed, &without, 0),
        signed("signature-cofactor", "the equation holds only with the cofactor", mixed, &with_cofactor, 1),
        signed("signature-small-order", "R is of small order", public, &small_r, 1),
        signed("signature-large-s", "S is not below the order", public, &large_s, 1),
    ]);
    all
}

/// A draw whose documents are signed like that.
fn signed(name: &str, about: &str, public: Hash, sign: &dyn Fn(&[u8]) -> Signature, exit: u8) -> Vector {
    let mut draw = Draw::new("weak", 3, &[("first", 1)]);
    draw.spec.receipt_key = public;
    let (mut made, mut receipt, spec) = (draw.make(), draw.receipt(1), draw.spec_text());
    made.opened.signature = sign(&messages::opened(spec.hash(), &made.opened.commitment));
    let closed = &mut made.closed;
    closed.signature = sign(&messages::closed(spec.hash(), &closed.root, closed.count, closed.closed_at_ms));
    receipt.signature = sign(&messages::receipt(receipt.lottery_id, &merkle::leaf(&entry_of(&receipt))));
    made.proof.opened_signature = made.opened.signature;
    made.proof.closed_signature = made.closed.signature;
    let says = if exit == 0 { "" } else { "did not sign this opening" };
    let files = Files::of(&draw).put(PROOF, text(&made.proof)).put(RECEIPT, text(&receipt));
    files.put(OPENED, text(&made.opened)).put(CLOSED, text(&made.closed)).vector(name, about, exit, says)
}

/// The first signature whose challenge is as wanted.
fn sign(public: &Hash, secret: Scalar, message: &[u8], wanted: impl Fn(Scalar) -> bool) -> Signature {
    let mut tried = (1_u64..).map(|r| sign_with(public, secret, message, r.into()));
    tried.find(|(challenge, _)| wanted(*challenge)).unwrap().1
}

/// RFC 8032, section 5.1.6, with an `r` that anyone may know; and the challenge.
fn sign_with(public: &Hash, secret: Scalar, message: &[u8], r: Scalar) -> (Scalar, Signature) {
    let point = EdwardsPoint::mul_base(&r).compress().0;
    let digest = Sha512::digest([&point[..], &public.0, message].concat());
    let challenge = Scalar::from_bytes_mod_order_wide(&digest.into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&point);
    signature[32..].copy_from_slice((r + challenge * secret).as_bytes());
    (challenge, Signature(signature))
}

/// The same with another number that stands for the same `S`.
fn plus_order(mut signature: Signature) -> Signature {
    let mut carry = 0;
    for (byte, order) in signature.0[32..].iter_mut().zip(hash(ORDER).0) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    signature
}

fn hash(hex: &str) -> Hash {
    hex.parse().unwrap()
}
