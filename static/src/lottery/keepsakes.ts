/**
 * What a visitor keeps of lotteries, in this browser: what was signed and announced while
 * they watched, and their receipts. With it nobody can change a lottery's result unnoticed.
 */
import type { Cancelled, Closed, Opened, Receipt } from '../draw/documents'

export interface Seen<T> {
  document: T
  /** By this machine's clock. */
  seen_at_ms: number
}

export interface Kept {
  lottery_id: string
  title: string
  opened: Seen<Opened>[]
  closed: Seen<Closed>[]
  cancelled: Seen<Cancelled>[]
  receipts: Seen<Receipt>[]
  /** Accounts that were told here that they have won. */
  told: string[]
  changed_at_ms: number
}

export type KeptKind = 'opened' | 'closed' | 'cancelled' | 'receipts'
type KeptDocument = Opened | Closed | Cancelled | Receipt

const PREFIX = 'goligoli.draw.'
/** Lotteries that are kept. Full: the oldest goes, those without a receipt first. */
const MOST_LOTTERIES = 300
/** Characters that are kept, of the five million that a site may store. Full: likewise. */
const MOST_CHARS = 1_500_000
/** Different documents of one kind that are kept; two already prove the fraud. */
const MOST_VERSIONS = 4
/** Receipts of one lottery: accounts that one browser is used with. Full: no more are kept. */
const MOST_RECEIPTS = 20

export function keptOf(lottery: string): Kept | null {
  const text = localStorage.getItem(PREFIX + lottery)
  if (text === null) return null
  try {
    return JSON.parse(text) as Kept
  } catch {
    return null
  }
}

export function allKept(): Kept[] {
  const ids = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length))
  return ids.map(keptOf).filter((kept) => kept !== null).sort((one, other) => other.changed_at_ms - one.changed_at_ms)
}

export function receiptOf(lottery: string, user: string | undefined): Receipt | null {
  return keptOf(lottery)?.receipts.find(({ document }) => document.user_id === user)?.document ?? null
}

/**
 * Keeps a document; of one that is kept already the first sight stays. What came too late to
 * prove anything is kept only beside another one that it contradicts. False: there is no room.
 */
export function keep(lottery: string, title: string, kind: KeptKind, document: KeptDocument, { inTime = true, now = Date.now() } = {}): boolean {
  const kept = keptOf(lottery) ?? { lottery_id: lottery, title, opened: [], closed: [], cancelled: [], receipts: [], told: [], changed_at_ms: now }
  const list = kept[kind] as Seen<KeptDocument>[]
  if (list.some((seen) => isSame(seen.document, document))) return true
  if (!inTime && list.length === 0) return true
  if (list.length >= (kind === 'receipts' ? MOST_RECEIPTS : MOST_VERSIONS)) return false
  list.push({ document, seen_at_ms: now })
  return store({ ...kept, changed_at_ms: now })
}

/** True if the account has not been told before; from now on it has. */
export function tellOnce(lottery: string, user: string): boolean {
  const kept = keptOf(lottery)
  if (!kept || kept.told.includes(user)) return false
  store({ ...kept, told: [...kept.told, user].slice(-MOST_RECEIPTS) })
  return true
}

/** Two announcements of one lottery that differ: whoever signed both is caught. */
export function contradictions({ opened, closed, cancelled }: Kept): ('opened' | 'closed' | 'cancelled')[] {
  return Object.entries({ opened, closed, cancelled }).filter(([, seen]) => seen.length > 1).map(([kind]) => kind as 'opened')
}

/** All documents are flat. */
export function isSame(one: KeptDocument, other: KeptDocument): boolean {
  const [a, b] = [one, other] as unknown as Record<string, unknown>[]
  const fields = new Set([...Object.keys(a!), ...Object.keys(b!)])
  return Array.from(fields).every((field) => a![field] === b![field])
}

function store(kept: Kept): boolean {
  const text = JSON.stringify(kept)
  for (let tries = 0; tries < 20; tries++) {
    makeRoom(kept.lottery_id, text.length, tries)
    try {
      localStorage.setItem(PREFIX + kept.lottery_id, text)
      return true
    } catch {
      // The storage is full of other things; give up more of ours.
    }
  }
  return false
}

function makeRoom(lottery: string, chars: number, more: number): void {
  const others = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX) && key !== PREFIX + lottery)
  const sizes = others.map((key) => localStorage.getItem(key)?.length ?? 0)
  let total = chars + sizes.reduce((sum, size) => sum + size, 0)
  let count = others.length + 1
  if (total <= MOST_CHARS && count <= MOST_LOTTERIES && more === 0) return
  const oldest = allKept().filter((kept) => kept.lottery_id !== lottery).reverse()
  const leaving = [...oldest.filter(({ receipts }) => receipts.length === 0), ...oldest.filter(({ receipts }) => receipts.length > 0)]
  for (const [at, { lottery_id }] of leaving.entries()) {
    if (total <= MOST_CHARS && count <= MOST_LOTTERIES && at >= more) return
    total -= localStorage.getItem(PREFIX + lottery_id)?.length ?? 0
    count -= 1
    localStorage.removeItem(PREFIX + lottery_id)
  }
}
