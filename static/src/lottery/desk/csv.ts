/** Winners as a spreadsheet reads them. */
import type { LotteryWinner } from '../../api/lottery'
import { type Lottery, prizeName } from '../lottery'

interface CsvWords {
  place: string
  prize: string
  name: string
  account: string
  entry: string
  claimed: string
  yes: string
  no: string
}

/** RFC 4180, with the mark by which Excel knows UTF-8. */
export function csvOf(lottery: Pick<Lottery, 'prizes'>, winners: LotteryWinner[], words: CsvWords): string {
  const rows = winners.map((winner, place) => [
    place + 1, prizeName(lottery, winner.prize), winner.name, winner.user_id, winner.n + 1, winner.claimed ? words.yes : words.no,
  ])
  const lines = [[words.place, words.prize, words.name, words.account, words.entry, words.claimed], ...rows]
  return `\uFEFF${lines.map((line) => `${line.map(field).join(',')}\r\n`).join('')}`
}

/** Names are other people's: what begins like a formula must not become one. */
function field(value: string | number): string {
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
