/** Who wins: the entries' keys, their order, and who holds which prize after replacements. */
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { join, ofHex, u32, u64, utf8 } from './bytes'
import type { Closed, Prize, Proof } from './documents'
import { HASH_BYTES } from './tree'

/** The key that ranks: nobody can know it before the seed is revealed and the entries are frozen. */
export function drawKeyOf(seed: string, specHash: Uint8Array, { root, count }: Pick<Closed, 'root' | 'count'>): Uint8Array {
  // Without a beacon nothing follows the count.
  return hmac(sha256, ofHex(seed), join(utf8('goligoli-draw/1/draw'), specHash, ofHex(root), u64(count)))
}

/** Computes entries' keys; what all of them have in common is hashed once. */
export class Keys {
  private readonly begun

  constructor(drawKey: Uint8Array) {
    this.begun = hmac.create(sha256, drawKey)
  }

  /** The least of as many as the entry has chances. */
  of(leaf: Uint8Array, weight: number): Uint8Array {
    let least = this.chance(leaf, 0)
    for (let t = 1; t < weight; t++) {
      const key = this.chance(leaf, t)
      if (compare(key, least) < 0) least = key
    }
    return least
  }

  private chance(leaf: Uint8Array, t: number): Uint8Array {
    return this.begun.clone().update(leaf).update(u32(t)).digest()
  }
}

export function compare(one: Uint8Array, other: Uint8Array): number {
  for (let at = 0; at < one.length; at++) {
    const difference = one[at]! - other[at]!
    if (difference !== 0) return difference
  }
  return 0
}

export interface Ranked {
  n: number
  key: Uint8Array
}

/** The first `k` entries by their keys, which stand one after the other. */
export function firstOf(keys: Uint8Array, k: number): Ranked[] {
  const view = new DataView(keys.buffer, keys.byteOffset, keys.byteLength)
  const keyAt = (n: number) => keys.subarray(n * HASH_BYTES, (n + 1) * HASH_BYTES)
  const order = new Uint32Array(keys.length / HASH_BYTES).map((_, n) => n)
  // The first four bytes nearly always decide.
  order.sort((a, b) => view.getUint32(a * HASH_BYTES) - view.getUint32(b * HASH_BYTES) || compare(keyAt(a), keyAt(b)) || a - b)
  return Array.from(order.subarray(0, k), (n) => ({ n, key: keyAt(n) }))
}

export const prizesIn = (prizes: Prize[]): number => prizes.reduce((sum, { count }) => sum + count, 0)

/** So many entries have or had a prize: those who hold one and those who were replaced. */
export function rankedIn(prizes: Prize[], { count, replaced }: Pick<Proof, 'count' | 'replaced'>): number {
  return Math.min(prizesIn(prizes) + replaced.length, count)
}

/** Which prize each of the first ranks gets at first. */
export function prizeOf(prizes: Prize[], rank: number): number {
  let end = 0
  return prizes.findIndex(({ count }) => rank < (end += count))
}
