/** The Merkle tree over the entries (RFC 9162, section 2.1). */
import { sha256 } from '@noble/hashes/sha2.js'
import { ofHex, putU64 } from './bytes'
import type { Entry, Inclusion } from './documents'

export const HASH_BYTES = 32

export function leafOf({ n, user_id, entered_at_ms, weight }: Entry): Uint8Array {
  const data = new Uint8Array(29)
  const view = new DataView(data.buffer)
  // data[0] is the 0 that marks a leaf.
  putU64(view, 1, n)
  putU64(view, 9, Number(user_id))
  putU64(view, 17, entered_at_ms)
  view.setUint32(25, weight)
  return sha256(data)
}

/** Of leaves that stand one after the other. */
export function rootOf(leaves: Uint8Array): Uint8Array {
  // Full subtrees, the largest first: as many as the number of leaves has ones in binary.
  const full: Uint8Array[] = []
  for (let leaf = 0; leaf < leaves.length / HASH_BYTES; leaf++) {
    let node: Uint8Array = leaves.slice(leaf * HASH_BYTES, (leaf + 1) * HASH_BYTES)
    for (let n = leaf; n % 2 === 1; n = (n - 1) / 2) node = nodeOf(full.pop()!, node)
    full.push(node)
  }
  let root = full.pop() ?? sha256(new Uint8Array())
  while (full.length > 0) root = nodeOf(full.pop()!, root)
  return root
}

/** The root that the path leads to, or `null` if no path of a tree of this size looks so (RFC 9162, section 2.1.3.2). */
export function rootBy({ n, count, leaf, path }: Inclusion): Uint8Array | null {
  if (n >= count) return null
  let at = n
  let last = count - 1
  let node = ofHex(leaf)
  for (const step of path) {
    if (last === 0) return null
    const sibling = ofHex(step)
    if (at % 2 === 1 || at === last) {
      node = nodeOf(sibling, node)
      while (at % 2 === 0 && at !== 0) {
        at = Math.floor(at / 2)
        last = Math.floor(last / 2)
      }
    } else {
      node = nodeOf(node, sibling)
    }
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? node : null
}

const pair = new Uint8Array(1 + 2 * HASH_BYTES).fill(1, 0, 1)

function nodeOf(left: Uint8Array, right: Uint8Array): Uint8Array {
  pair.set(left, 1)
  pair.set(right, 1 + HASH_BYTES)
  return sha256(pair)
}
