/** Draws made for the tests, from the protocol's text and with as little of the page's code as possible. */
import { ed25519 } from '@noble/curves/ed25519.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { join, toHex, u32, u64, utf8 } from './bytes'
import type { Closed, Entry, Opened, Proof, Receipt, Replaced, Spec } from './documents'
import { canonical } from './json'

export const OPENS_MS = 1_000
export const DRAW_MS = 2_000
export const CLAIM_MS = 500

export interface Plan {
  entries?: Entry[]
  spec?: Partial<Spec>
  steps?: { place: number; reason: 'unclaimed' | 'declined'; afterMs: number }[]
  seed?: Uint8Array
}

export const bytesOf = (document: unknown): Uint8Array => utf8(JSON.stringify(document))

export function entriesOf(count: number, weightOf: (n: number) => number = () => 1): Entry[] {
  return Array.from({ length: count }, (_, n) => ({
    n, user_id: String(7 + 3 * n), entered_at_ms: OPENS_MS + Math.floor((n * 900) / Math.max(1, count)), weight: weightOf(n),
  }))
}

const leafOf = ({ n, user_id, entered_at_ms, weight }: Entry) =>
  sha256(join(new Uint8Array([0]), u64(n), u64(Number(user_id)), u64(entered_at_ms), u32(weight)))

/** The definition of RFC 9162, as it stands there. */
export function tree(leaves: Uint8Array[]): Uint8Array {
  if (leaves.length < 2) return leaves[0] ?? sha256(new Uint8Array())
  const half = 2 ** (Math.ceil(Math.log2(leaves.length)) - 1)
  return sha256(join(new Uint8Array([1]), tree(leaves.slice(0, half)), tree(leaves.slice(half))))
}

/** The audit path of RFC 9162, as it stands there. */
export function pathOf(n: number, leaves: Uint8Array[]): Uint8Array[] {
  if (leaves.length < 2) return []
  const half = 2 ** (Math.ceil(Math.log2(leaves.length)) - 1)
  const [left, right] = [leaves.slice(0, half), leaves.slice(half)]
  return n < half ? [...pathOf(n, left), tree(right)] : [...pathOf(n - half, right), tree(left)]
}

export class MadeDraw {
  readonly secret = new Uint8Array(32).fill(7)
  readonly spec: Spec
  readonly specText: string
  readonly entries: Entry[]
  readonly leaves: Uint8Array[]
  readonly proof: Proof
  readonly opened: Opened
  readonly closed: Closed

  constructor({ entries = entriesOf(5), spec = {}, steps = [], seed = new Uint8Array(32).fill(9) }: Plan = {}) {
    this.entries = entries
    this.leaves = entries.map(leafOf)
    this.spec = {
      v: 1, lottery_id: '77', room_id: '5', title: 'Tea "☕" 😀\n\\/\u007f\u001f', prizes: [{ name: '茶', count: 1 }, { name: 'cup', count: 2 }],
      conditions: [{ keyword: '冲' }, { posted: '12' }], weight: 'one', claim_ms: CLAIM_MS, opens_at_ms: OPENS_MS, draw_at_ms: DRAW_MS,
      receipt_key: toHex(ed25519.getPublicKey(this.secret)), beacon: null, ...spec,
    }
    this.specText = canonical(this.spec)
    const specHash = sha256(utf8(this.specText))
    const commitment = sha256(join(utf8('goligoli-draw/1/commit'), specHash, seed))
    const root = tree(this.leaves)
    const closedAtMs = DRAW_MS + 7
    const closedMessage = join(utf8('goligoli-draw/1/closed'), specHash, root, u64(entries.length), u64(closedAtMs))
    this.opened = { spec: this.specText, commitment: toHex(commitment), signature: this.sign(join(utf8('goligoli-draw/1/opened'), specHash, commitment)) }
    this.closed = { lottery_id: this.spec.lottery_id, root: toHex(root), count: entries.length, closed_at_ms: closedAtMs, signature: this.sign(closedMessage) }

    const drawKey = hmac(sha256, seed, join(utf8('goligoli-draw/1/draw'), specHash, root, u64(entries.length)))
    const ranking = entries.map(({ n, weight }) => {
      const chances = Array.from({ length: weight }, (_, t) => toHex(hmac(sha256, drawKey, join(this.leaves[n]!, u32(t)))))
      return { n, key: chances.sort()[0]! }
    }).sort((one, other) => (one.key < other.key || (one.key === other.key && one.n < other.n) ? -1 : 1))
    const tiers = this.spec.prizes.flatMap(({ count }, prize) => Array<number>(Math.min(count, 1000)).fill(prize))
    const holders = ranking.slice(0, tiers.length).map(({ n }, rank) => ({ n, prize: tiers[rank]!, sinceMs: closedAtMs }))
    const replaced: Replaced[] = []
    let next = holders.length
    let before = closedMessage
    steps.forEach(({ place, reason, afterMs }, i) => {
      const [holder] = holders.splice(place, 1)
      const step = { n: holder!.n, reason, at_ms: holder!.sinceMs + afterMs }
      before = join(utf8('goligoli-draw/1/replaced'), specHash, root, u64(i), u64(step.n), u32(reason === 'unclaimed' ? 1 : 2), u64(step.at_ms), sha256(before))
      replaced.push({ ...step, signature: this.sign(before) })
      const successor = ranking[next++]
      if (successor) holders.push({ n: successor.n, prize: holder!.prize, sinceMs: step.at_ms })
    })
    this.proof = {
      protocol: 'goligoli-draw/1', spec: this.specText, commitment: this.opened.commitment, opened_signature: this.opened.signature,
      root: this.closed.root, count: entries.length, closed_at_ms: closedAtMs, closed_signature: this.closed.signature, seed: toHex(seed), beacon: null,
      winners: ranking.flatMap(({ n, key }) => {
        const holder = holders.find((one) => one.n === n)
        return holder ? [{ n, user_id: entries[n]!.user_id, key, prize: holder.prize }] : []
      }),
      replaced,
    }
  }

  sign = (message: Uint8Array): string => toHex(ed25519.sign(message, this.secret))

  receipt(n: number, entry: Entry = this.entries[n]!): Receipt {
    const lottery_id = this.spec.lottery_id
    return { lottery_id, ...entry, signature: this.sign(join(utf8('goligoli-draw/1/receipt'), u64(Number(lottery_id)), leafOf(entry))) }
  }

  inclusion(n: number) {
    return { n, count: this.entries.length, root: this.closed.root, leaf: toHex(this.leaves[n]!), path: pathOf(n, this.leaves).map(toHex) }
  }

  get ndjson(): Uint8Array {
    return utf8(this.entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  }

  /** All that one can hand to a verification. */
  given() {
    return { proof: bytesOf(this.proof), entries: this.ndjson, opened: bytesOf(this.opened), closed: bytesOf(this.closed), receipts: this.entries.slice(0, 1).map(({ n }) => bytesOf(this.receipt(n))) }
  }
}
