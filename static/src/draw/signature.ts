/** What is signed in a draw, and whether a signature holds. */
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { areEqual, join, ofHex, u32, u64, utf8 } from './bytes'
import type { Cancelled, Closed, Opened, Proof, Receipt, Replaced, Spec } from './documents'
import { leafOf } from './tree'

const { Point } = ed25519
const HALF_BYTES = 32

/**
 * Ed25519 (RFC 8032), by the equation without the cofactor and with neither a key nor an `R`
 * of small order, as the strictest libraries check it: whoever holds the key must not be able
 * to make a signature that one verifier takes and another does not.
 */
export function holds(key: string, message: Uint8Array, signature: string): boolean {
  const signed = ofHex(signature)
  const r = signed.subarray(0, HALF_BYTES)
  const s = littleEndian(signed.subarray(HALF_BYTES))
  try {
    const signer = Point.fromBytes(ofHex(key))
    if (signer.isSmallOrder() || Point.fromBytes(r).isSmallOrder() || s >= Point.Fn.ORDER) return false
    const challenge = littleEndian(sha512(join(r, ofHex(key), message))) % Point.Fn.ORDER
    return areEqual(Point.BASE.multiplyUnsafe(s).subtract(signer.multiplyUnsafe(challenge)).toBytes(), r)
  } catch {
    // The key, or R, is no point of the curve.
    return false
  }
}

/** Nothing binds whoever has a key of small order: some signatures under it hold for many messages. */
export function binds(key: string): boolean {
  try {
    return !Point.fromBytes(ofHex(key)).isSmallOrder()
  } catch {
    return false
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let n = 0n
  for (let at = bytes.length - 1; at >= 0; at--) n = n * 256n + BigInt(bytes[at]!)
  return n
}

export const specHashOf = (spec: string): Uint8Array => sha256(utf8(spec))

export function commitmentOf(specHash: Uint8Array, seed: string): Uint8Array {
  return sha256(join(utf8('goligoli-draw/1/commit'), specHash, ofHex(seed)))
}

export function openedMessage(specHash: Uint8Array, { commitment }: Pick<Opened, 'commitment'>): Uint8Array {
  return join(utf8('goligoli-draw/1/opened'), specHash, ofHex(commitment))
}

export function closedMessage(specHash: Uint8Array, { root, count, closed_at_ms }: Pick<Closed, 'root' | 'count' | 'closed_at_ms'>): Uint8Array {
  return join(utf8('goligoli-draw/1/closed'), specHash, ofHex(root), u64(count), u64(closed_at_ms))
}

export function cancelledMessage(specHash: Uint8Array, { at_ms }: Pick<Cancelled, 'at_ms'>): Uint8Array {
  return join(utf8('goligoli-draw/1/cancelled'), specHash, u64(at_ms))
}

export function receiptMessage(receipt: Omit<Receipt, 'signature'>): Uint8Array {
  return join(utf8('goligoli-draw/1/receipt'), u64(Number(receipt.lottery_id)), leafOf(receipt))
}

const REASONS = { unclaimed: 1, declined: 2 }

/** The i-th replacement; `before` is what was signed before it. */
export function replacedMessage(specHash: Uint8Array, root: string, i: number, { n, reason, at_ms }: Omit<Replaced, 'signature'>, before: Uint8Array): Uint8Array {
  return join(
    utf8('goligoli-draw/1/replaced'), specHash, ofHex(root), u64(i), u64(n), u32(REASONS[reason]), u64(at_ms), sha256(before),
  )
}

/** The proof's own copies of what was announced. */
export function announcedIn(proof: Proof, spec: Spec): { opened: Opened; closed: Closed } {
  return {
    opened: { spec: proof.spec, commitment: proof.commitment, signature: proof.opened_signature },
    closed: { lottery_id: spec.lottery_id, root: proof.root, count: proof.count, closed_at_ms: proof.closed_at_ms, signature: proof.closed_signature },
  }
}
