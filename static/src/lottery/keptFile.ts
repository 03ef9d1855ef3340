/** One JSON file of what a browser keeps: written whole, read strictly. */
import { type Cancelled, type Closed, type Opened, type Receipt, cancelledReader, closedReader, openedReader, readSpec, receiptReader } from '../draw/documents'
import { type Reader, Unreadable, arrayOf, id, integer, oneOf, readDocument, record, text } from '../draw/json'
import { cancelledMessage, closedMessage, holds, openedMessage, receiptMessage, specHashOf } from '../draw/signature'
import { type Kept, type KeptKind, type Seen, allKept, keep, keptOf } from './keepsakes'

const FORMAT = 'goligoli-kept/1'
export const MOST_FILE_BYTES = 4 << 20

type KeptLottery = Pick<Kept, 'lottery_id' | 'title' | KeptKind>

const seen = <T>(document: Reader<T>) => arrayOf(record<Seen<T>>({ document, seen_at_ms: integer(0, Number.MAX_SAFE_INTEGER) }))
const fileReader = record<{ format: string; lotteries: KeptLottery[] }>({
  format: oneOf(FORMAT),
  lotteries: arrayOf(record<KeptLottery>({
    lottery_id: id, title: text, opened: seen(openedReader), closed: seen(closedReader), cancelled: seen(cancelledReader), receipts: seen(receiptReader),
  })),
})

export function exported(all: Kept[]): string {
  const lotteries = all.map(({ lottery_id, title, opened, closed, cancelled, receipts }) => ({ lottery_id, title, opened, closed, cancelled, receipts }))
  return `${JSON.stringify({ format: FORMAT, lotteries }, null, 1)}\n`
}

/** How many documents were new; `null` if it is no such file, or something in it was never signed. What contradicts what is here is kept beside it. */
export function imported(bytes: Uint8Array): number | null {
  try {
    const before = documentsIn(allKept())
    const { lotteries } = readDocument(bytes, fileReader)
    // All of it, or nothing.
    lotteries.forEach(check)
    lotteries.forEach(take)
    return documentsIn(allKept()) - before
  } catch (error) {
    if (error instanceof Unreadable) return null
    throw error
  }
}

const KINDS = ['opened', 'closed', 'cancelled', 'receipts'] as const

function take({ lottery_id, title, ...kinds }: KeptLottery): void {
  for (const kind of KINDS) for (const { document, seen_at_ms } of kinds[kind]) keep(lottery_id, title, kind, document, { now: seen_at_ms })
}

function check({ lottery_id, ...kinds }: KeptLottery): void {
  const specs = [...kinds.opened, ...(keptOf(lottery_id)?.opened ?? [])].map(({ document }) => document.spec)
  for (const kind of KINDS) {
    for (const { document } of kinds[kind]) {
      const about = 'spec' in document ? readSpec(document.spec).lottery_id : document.lottery_id
      if (about !== lottery_id) throw new Unreadable('a document is of another lottery')
      if (!isSigned(document, specs)) throw new Unreadable('a signature does not hold')
    }
  }
}

/**
 * What is kept may be shown as proof of a fraud, so nobody may slip in what was never signed.
 * Without any `opened` of the lottery its key is not known, and a contradiction proves nothing.
 */
function isSigned(document: Opened | Closed | Cancelled | Receipt, specs: string[]): boolean {
  if ('spec' in document) return signs(document.spec, document, (hash) => openedMessage(hash, document))
  return specs.length === 0 || specs.some((spec) => signs(spec, document, (hash) => {
    if ('n' in document) return receiptMessage(document)
    return 'root' in document ? closedMessage(hash, document) : cancelledMessage(hash, document)
  }))
}

function signs(spec: string, { signature }: { signature: string }, messageOf: (specHash: Uint8Array) => Uint8Array): boolean {
  return holds(readSpec(spec).receipt_key, messageOf(specHashOf(spec)), signature)
}

function documentsIn(all: Kept[]): number {
  return all.reduce((sum, { opened, closed, cancelled, receipts }) => sum + opened.length + closed.length + cancelled.length + receipts.length, 0)
}
