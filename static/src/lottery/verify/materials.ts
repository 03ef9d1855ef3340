/** What a verification needs: what the server published, and what this browser kept. */
import { bytesOf, call } from '../../api/call'
import type { SigningKey } from '../../api/lottery'
import { utf8 } from '../../draw/bytes'
import { type Receipt, type Spec, proofReader, readSpec } from '../../draw/documents'
import { Unreadable, readDocument } from '../../draw/json'
import type { Verdict } from '../../draw/verify'
import type { Job } from '../../draw/worker'
import { MOST_ENTRIES, verifyInWorker } from '../../draw/inWorker'
import { type Kept, keptOf, receiptOf } from '../keepsakes'

/** So many of the winners have their places checked in a draw that is too large to recompute. */
const CHECKED_WINNERS = 10

export interface Materials {
  proof: Uint8Array
  /** `null`: there are too many to recompute them here. */
  entries: Uint8Array | null
  /** As this browser kept them. */
  opened: Uint8Array | null
  closed: Uint8Array | null
  receipt: Uint8Array | null
  kept: Kept | null
  /** The first winners' places in the tree, and one's own, of a large draw. */
  inclusions: Uint8Array[]
  ownInclusion: Uint8Array | null
}

/** As a file has it. */
const fileOf = (document: unknown): Uint8Array => utf8(`${JSON.stringify(document)}\n`)

export async function gather(lottery: string, user: string | undefined, receipt: Receipt | null): Promise<Materials> {
  const proof = await bytesOf(`/lotteries/${lottery}/proof`)
  const kept = keptOf(lottery)
  const own = receipt ?? receiptOf(lottery, user)
  const materials: Materials = {
    proof, entries: null, kept,
    opened: kept?.opened[0] ? fileOf(kept.opened[0].document) : null,
    closed: kept?.closed[0] ? fileOf(kept.closed[0].document) : null,
    receipt: own && fileOf(own), inclusions: [], ownInclusion: null,
  }
  const size = sizeOf(proof)
  if (size.count <= MOST_ENTRIES) return { ...materials, entries: await bytesOf(`/lotteries/${lottery}/entries`) }
  const place = (n: number) => bytesOf(`/lotteries/${lottery}/entries/${n}/proof`)
  const inclusions: Uint8Array[] = []
  for (const n of size.winners.slice(0, CHECKED_WINNERS)) inclusions.push(await place(n))
  return { ...materials, inclusions, ownInclusion: own && (await place(own.n)) }
}

/** An unreadable proof is small: the verification says what is wrong with it. */
function sizeOf(proof: Uint8Array): { count: number; winners: number[] } {
  try {
    const { count, winners } = readDocument(proof, proofReader)
    return { count, winners: winners.map(({ n }) => n) }
  } catch (error) {
    if (error instanceof Unreadable) return { count: 0, winners: [] }
    throw error
  }
}

export function verifyAll({ proof, entries, opened, closed, receipt, inclusions, ownInclusion }: Materials): Promise<Verdict> {
  const saved = { opened: opened ?? undefined, closed: closed ?? undefined }
  const own = receipt && ownInclusion ? { receipt, inclusion: ownInclusion } : undefined
  const job: Job = entries
    ? { full: { proof, entries, ...saved, receipts: receipt ? [receipt] : [] } }
    : { light: { proof, ...saved, own, inclusions } }
  return verifyInWorker(job)
}

/** The proof's own numbers, for those who compare them by eye. */
export function factsOf(proof: Uint8Array): { spec: Spec; commitment: string; root: string; seed: string; count: number } | null {
  try {
    const { spec, commitment, root, seed, count } = readDocument(proof, proofReader)
    return { spec: readSpec(spec), commitment, root, seed, count }
  } catch (error) {
    if (error instanceof Unreadable) return null
    throw error
  }
}

/** True if the site lists the key; `null` if it did not say. */
export async function isListed(key: string): Promise<boolean | null> {
  const keys = await call<{ items: SigningKey[] }>('GET', '/lotteries/keys').catch(() => null)
  return keys && keys.items.some((one) => one.key === key)
}

export interface FileToKeep {
  kind: 'proof' | 'entries' | 'opened' | 'closed' | 'receipt'
  name: string
  bytes: Uint8Array
}

export function filesOf(lottery: string, { proof, entries, opened, closed, receipt }: Materials): FileToKeep[] {
  const all = [
    { kind: 'proof', name: `lottery-${lottery}-proof.json`, bytes: proof },
    { kind: 'entries', name: `lottery-${lottery}-entries.ndjson`, bytes: entries },
    { kind: 'opened', name: `lottery-${lottery}-opened.json`, bytes: opened },
    { kind: 'closed', name: `lottery-${lottery}-closed.json`, bytes: closed },
    { kind: 'receipt', name: `lottery-${lottery}-receipt.json`, bytes: receipt },
  ] as const
  return all.filter((file): file is FileToKeep & typeof file => file.bytes !== null)
}

/** The same verification on the command line. */
export function commandOf(lottery: string, files: FileToKeep[]): string {
  const options = files.filter(({ kind }) => kind === 'opened' || kind === 'closed' || kind === 'receipt').map(({ kind, name }) => `--${kind} ${name}`)
  return ['goligoli verify-draw', `lottery-${lottery}-proof.json`, `lottery-${lottery}-entries.ndjson`, ...options].join(' ')
}
