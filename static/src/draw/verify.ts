/**
 * Recomputes a draw from its proof and all of its entries, in the order of the protocol
 * (`goligoli-draw/1`), and holds it against what was signed while it ran.
 */
import { areEqual, ofHex, toHex } from './bytes'
import {
  type Closed, type Entry, type Opened, type Proof, type Receipt, type Spec, closedReader, entryReader, mostWeight, openedReader, proofReader, readSpec,
  receiptReader,
} from './documents'
import { type Check, Disagrees, agrees } from './finding'
import { Unreadable, decode, readDocument, textOf } from './json'
import { Keys, drawKeyOf, firstOf, rankedIn } from './ranking'
import { holdersAfter } from './replacements'
import { announcedIn, binds, closedMessage, commitmentOf, holds, openedMessage, receiptMessage, specHashOf } from './signature'
import { HASH_BYTES, leafOf, rootOf } from './tree'

/** What is verified, as bytes: nothing was read before that this would not have read. */
export interface Given {
  proof: Uint8Array
  /** NDJSON. */
  entries: Uint8Array
  opened?: Uint8Array
  closed?: Uint8Array
  receipts?: Uint8Array[]
}

/**
 * `agrees`: with what was signed at the time. `consistent`: only in itself, because what was
 * signed at the time was not given; all of it could have been made up afterwards.
 */
export type Outcome = 'agrees' | 'consistent' | 'disagrees' | 'unreadable'

export interface Verdict {
  outcome: Outcome
  /** The checks that passed, in their order. */
  passed: Check[]
  /** The one that did not. */
  failed: Check | null
  /** What does not agree, or why something cannot be read. */
  finding: { code: Disagrees['code'] | 'unreadable'; which: string | number } | null
  /** What the proof says of itself, as far as it could be read. */
  spec: Spec | null
  count: number | null
}

export function verify(given: Given): Verdict {
  return judge((run) => {
    const { proof, spec, specHash } = run.check('documents', () => readProof(given.proof))
    run.spec = spec
    run.count = proof.count
    const saved = run.check('documents', () => ({
      opened: given.opened && readOpened(given.opened),
      closed: given.closed && readDocument(given.closed, closedReader),
      receipts: (given.receipts ?? []).map((receipt) => readDocument(receipt, receiptReader)),
    }))
    checkAnnounced(run, { proof, spec, specHash }, saved)
    const entries = run.check('entries', () => readEntries(given.entries, spec, proof.count))
    run.check('root', () => agrees(areEqual(rootOf(entries.leaves), ofHex(proof.root)), 'root'))
    if (saved.receipts.length > 0) {
      run.check('receipt', () => saved.receipts.forEach((receipt) => checkReceipt(receipt, spec, (n) => entries.leaf(n))))
    }
    run.check('winners', () => checkWinners(proof, spec, specHash, entries))
    return saved.opened && saved.closed ? 'agrees' : 'consistent'
  })
}

export interface Run extends Omit<Verdict, 'outcome' | 'failed' | 'finding'> {
  check<T>(check: Check, work: () => T): T
}

/** Runs checks until one does not pass, and says how it ended. */
export function judge(work: (run: Run) => Outcome): Verdict {
  let current: Check = 'documents'
  const run: Run = {
    passed: [],
    spec: null,
    count: null,
    check(check, work) {
      current = check
      const result = work()
      if (!run.passed.includes(check)) run.passed.push(check)
      return result
    },
  }
  const verdict = (outcome: Outcome, finding: Verdict['finding'] = null): Verdict => {
    const { passed, spec, count } = run
    return { outcome, passed: finding ? passed.filter((one) => one !== current) : passed, failed: finding && current, finding, spec, count }
  }
  try {
    return verdict(work(run))
  } catch (error) {
    if (error instanceof Disagrees) return verdict('disagrees', { code: error.code, which: error.which })
    if (error instanceof Unreadable) return verdict('unreadable', { code: 'unreadable', which: error.message })
    throw error
  }
}

export interface ReadProof {
  proof: Proof
  spec: Spec
  specHash: Uint8Array
}

/** What was saved has a spec of its own, which has to be one. */
export function readOpened(bytes: Uint8Array): Opened {
  const opened = readDocument(bytes, openedReader)
  readSpec(opened.spec)
  return opened
}

export function readProof(bytes: Uint8Array): ReadProof {
  const proof = readDocument(bytes, proofReader)
  const spec = readSpec(proof.spec)
  if (spec.beacon) throw new Unreadable('the draw has a beacon, which this page does not verify')
  return { proof, spec, specHash: specHashOf(proof.spec) }
}

/** What was announced: that it is the proof's, and that the key of the spec signed it. */
export function checkAnnounced(run: Run, { proof, spec, specHash }: ReadProof, saved: { opened?: Opened; closed?: Closed }): void {
  const announced = announcedIn(proof, spec)
  run.check('opened', () => {
    agrees(proof.beacon === null, 'beacon')
    agrees(binds(spec.receipt_key), 'weak-key')
    checkSaved(saved.opened, announced.opened, 'opened-differs')
    agrees(holds(spec.receipt_key, openedMessage(specHash, proof), proof.opened_signature), 'opened-signature')
  })
  run.check('commitment', () => agrees(toHex(commitmentOf(specHash, proof.seed)) === proof.commitment, 'commitment'))
  run.check('closed', () => {
    checkSaved(saved.closed, announced.closed, 'closed-differs')
    agrees(holds(spec.receipt_key, closedMessage(specHash, proof), proof.closed_signature), 'closed-signature')
    agrees(proof.closed_at_ms >= spec.draw_at_ms, 'closed-early')
  })
}

/** The signature is the same over the same bytes, so it holds if the proof's does. */
function checkSaved<T extends object>(saved: T | undefined, published: T, code: 'opened-differs' | 'closed-differs'): void {
  if (!saved) return
  for (const field of Object.keys(published) as (keyof T & string)[]) agrees(saved[field] === published[field], code, field)
}

class Entries {
  readonly leaves: Uint8Array
  readonly users: string[] = []
  readonly weights: number[] = []

  constructor(most: number) {
    this.leaves = new Uint8Array(most * HASH_BYTES)
  }

  add(entry: Entry): void {
    this.leaves.set(leafOf(entry), this.users.length * HASH_BYTES)
    this.users.push(entry.user_id)
    this.weights.push(entry.weight)
  }

  leaf(n: number): Uint8Array | null {
    return n < this.users.length ? this.leaves.subarray(n * HASH_BYTES, (n + 1) * HASH_BYTES) : null
  }
}

/** Of a line's bytes with its newline; one has some eighty. */
const MOST_LINE = 1024
const NEWLINE = 0x0a

/** Line by line, so that the first thing that is wrong is what is told. */
function readEntries(ndjson: Uint8Array, spec: Spec, count: number): Entries {
  const entries = new Entries(count)
  const users = new Set<string>()
  let lastMs = spec.opens_at_ms
  for (let [n, from] = [0, 0]; from < ndjson.length; n++) {
    const end = ndjson.indexOf(NEWLINE, from)
    const entry = readEntry(ndjson.subarray(from, end < 0 ? undefined : end), n, end >= 0)
    agrees(n < count, 'entry-count', n + 1)
    agrees(entry.n === n, 'entry-number', n)
    agrees(!users.has(entry.user_id), 'entry-twice', n)
    agrees(entry.entered_at_ms >= lastMs, 'entry-early', n)
    agrees(entry.entered_at_ms < spec.draw_at_ms, 'entry-late', n)
    agrees(entry.weight >= 1 && entry.weight <= mostWeight(spec), 'entry-weight', n)
    users.add(entry.user_id)
    lastMs = entry.entered_at_ms
    entries.add(entry)
    from = end + 1
  }
  agrees(users.size === count, 'entry-count', users.size)
  return entries
}

function readEntry(line: Uint8Array, n: number, isEnded: boolean): Entry {
  try {
    if (line.length >= MOST_LINE) throw new Unreadable('too long')
    if (!isEnded) throw new Unreadable('not ended by a newline')
    return entryReader(decode(textOf(line)), 'the entry')
  } catch (error) {
    if (error instanceof Unreadable) throw new Unreadable(`line ${n + 1} of the entries: ${error.message}`)
    throw error
  }
}

/** A receipt that is signed and has no entry is proof of a fraud. */
export function checkReceipt(receipt: Receipt, spec: Spec, leafAt: (n: number) => Uint8Array | null): void {
  agrees(receipt.lottery_id === spec.lottery_id, 'receipt-lottery', receipt.n)
  agrees(holds(spec.receipt_key, receiptMessage(receipt), receipt.signature), 'receipt-signature', receipt.n)
  const leaf = leafAt(receipt.n)
  agrees(leaf !== null && areEqual(leaf, leafOf(receipt)), 'receipt-missing', receipt.n)
}

function checkWinners(proof: Proof, spec: Spec, specHash: Uint8Array, entries: Entries): void {
  // Those who hold a prize and those who were replaced are together the first of the ranking.
  const ranked = rankedIn(spec.prizes, proof)
  agrees(proof.winners.length + proof.replaced.length === ranked, 'winner-count', ranked)
  const keys = new Keys(drawKeyOf(proof.seed, specHash, proof))
  const all = new Uint8Array(entries.leaves.length)
  for (let n = 0; n < proof.count; n++) all.set(keys.of(entries.leaf(n)!, entries.weights[n]!), n * HASH_BYTES)
  const ranking = firstOf(all, ranked)
  const held = holdersAfter(proof, spec, specHash, ranking.map(({ n }) => n))
  const right = ranking.filter(({ n }) => held.has(n))
  right.forEach(({ n, key }, place) => {
    const said = proof.winners[place]
    const isRight = said !== undefined && said.n === n && said.user_id === entries.users[n] && said.key === toHex(key) && said.prize === held.get(n)
    agrees(isRight, 'winner', place)
  })
  agrees(right.length === proof.winners.length, 'winner-count', right.length)
}
