/** The documents of `goligoli-draw/1`: their shapes and how they are read. */
import { type Reader, Unreadable, arrayOf, canonical, decode, hexOf, id, integer, oneOf, orNull, record, text } from './json'

export const PROTOCOL = 'goligoli-draw/1'

export interface Prize {
  name: string
  count: number
}
export type Condition = { posted: string } | { keyword: string }
export type Weight = 'one' | { rule: string; max: number }

export interface Spec {
  v: number
  lottery_id: string
  room_id: string
  title: string
  prizes: Prize[]
  conditions: Condition[]
  weight: Weight
  claim_ms: number
  opens_at_ms: number
  draw_at_ms: number
  receipt_key: string
  beacon: { chain_hash: string; round: number } | null
}

export interface Opened {
  spec: string
  commitment: string
  signature: string
}

export interface Closed {
  lottery_id: string
  root: string
  count: number
  closed_at_ms: number
  signature: string
}

export interface Cancelled {
  lottery_id: string
  at_ms: number
  reason: string
  signature: string
}

export interface Entry {
  n: number
  user_id: string
  entered_at_ms: number
  weight: number
}

export interface Receipt extends Entry {
  lottery_id: string
  signature: string
}

export interface Winner {
  n: number
  user_id: string
  key: string
  prize: number
}

export interface Replaced {
  n: number
  reason: 'unclaimed' | 'declined'
  at_ms: number
  signature: string
}

export interface Proof {
  protocol: string
  spec: string
  commitment: string
  opened_signature: string
  root: string
  count: number
  closed_at_ms: number
  closed_signature: string
  seed: string
  beacon: { chain_hash: string; round: number; randomness: string; signature: string } | null
  winners: Winner[]
  replaced: Replaced[]
}

export interface Inclusion {
  n: number
  count: number
  root: string
  leaf: string
  path: string[]
}

const number = integer(0, Number.MAX_SAFE_INTEGER)
const MOST_WEIGHT = 2 ** 32 - 1
/** Each chance is an HMAC: a rule gives no entry more. */
const MOST_BY_RULE = 65_535
const hash = hexOf(32)
const signature = hexOf(64)

const condition: Reader<Condition> = (value, name) => {
  if (typeof value === 'object' && value !== null && 'posted' in value) return record({ posted: id })(value, name)
  return record({ keyword: text })(value, name)
}
const weightRule = record<{ rule: string; max: number }>({ rule: text, max: integer(1, MOST_BY_RULE) })
const weight: Reader<Weight> = (value, name) => (value === 'one' ? value : weightRule(value, name))

const specReader = record<Spec>({
  v: integer(1, 1),
  lottery_id: id,
  room_id: id,
  title: text,
  prizes: arrayOf(record<Prize>({ name: text, count: number })),
  conditions: arrayOf(condition),
  weight,
  claim_ms: number,
  opens_at_ms: number,
  draw_at_ms: number,
  receipt_key: hash,
  beacon: orNull(record({ chain_hash: hash, round: number })),
})

const entryFields = { n: number, user_id: id, entered_at_ms: number, weight: integer(0, MOST_WEIGHT) }

export const openedReader = record<Opened>({ spec: text, commitment: hash, signature })
export const closedReader = record<Closed>({ lottery_id: id, root: hash, count: number, closed_at_ms: number, signature })
export const cancelledReader = record<Cancelled>({ lottery_id: id, at_ms: number, reason: text, signature })
export const entryReader = record<Entry>(entryFields)
export const receiptReader = record<Receipt>({ lottery_id: id, ...entryFields, signature })
export const inclusionReader = record<Inclusion>({ n: number, count: number, root: hash, leaf: hash, path: arrayOf(hash) })
export const proofReader = record<Proof>({
  protocol: oneOf(PROTOCOL),
  spec: text,
  commitment: hash,
  opened_signature: signature,
  root: hash,
  count: number,
  closed_at_ms: number,
  closed_signature: signature,
  seed: hash,
  beacon: orNull(record({ chain_hash: hash, round: number, randomness: hash, signature: text })),
  winners: arrayOf(record<Winner>({ n: number, user_id: id, key: hash, prize: number })),
  replaced: arrayOf(record<Replaced>({ n: number, reason: oneOf('unclaimed', 'declined'), at_ms: number, signature })),
})

/** The spec, whose text has to be the one canonical form of what it says. */
export function readSpec(canonicalText: string): Spec {
  const value = decode(canonicalText)
  const spec = specReader(value, 'the spec')
  if (canonical(value) !== canonicalText) throw new Unreadable('the spec is not canonical JSON (RFC 8785)')
  return spec
}

export const mostWeight = ({ weight }: Spec): number => (weight === 'one' ? 1 : weight.max)
