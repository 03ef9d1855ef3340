/** One JSON file of what a browser keeps: written whole, read strictly. */
import { cancelledReader, closedReader, openedReader, readSpec, receiptReader } from '../draw/documents'
import { type Reader, Unreadable, arrayOf, id, integer, oneOf, readDocument, record, text } from '../draw/json'
import { type Kept, type KeptKind, type Seen, allKept, keep } from './keepsakes'

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

/** How many documents were new; `null` if it is no such file. What contradicts what is here is kept beside it. */
export function imported(bytes: Uint8Array): number | null {
  try {
    const before = documentsIn(allKept())
    for (const lottery of readDocument(bytes, fileReader).lotteries) take(lottery)
    return documentsIn(allKept()) - before
  } catch (error) {
    if (error instanceof Unreadable) return null
    throw error
  }
}

function take({ lottery_id, title, ...kinds }: KeptLottery): void {
  for (const kind of ['opened', 'closed', 'cancelled', 'receipts'] as const) {
    for (const { document, seen_at_ms } of kinds[kind]) {
      const about = 'spec' in document ? readSpec(document.spec).lottery_id : document.lottery_id
      if (about !== lottery_id) throw new Unreadable('a document is of another lottery')
      keep(lottery_id, title, kind, document, { now: seen_at_ms })
    }
  }
}

function documentsIn(all: Kept[]): number {
  return all.reduce((sum, { opened, closed, cancelled, receipts }) => sum + opened.length + closed.length + cancelled.length + receipts.length, 0)
}
