/** What the chat says of a lottery: that it began and how it ended, never who enters. */
import type { LotteryEvent } from '../api/lottery'
import type { Lottery } from '../lottery/lottery'
import type { LotteryNotice } from './chatLog'

/** So many winners are named; the card has the others. */
const NAMED = 5

export function noticeOf({ change, winners = [], winners_total }: LotteryEvent, { id, title, test, cancelled }: Lottery): LotteryNotice | null {
  if (change !== 'opened' && change !== 'drawn' && change !== 'redrawn' && change !== 'cancelled') return null
  const names = winners.slice(0, NAMED).map(({ name }) => name)
  return { what: `lottery-${change}`, lottery: id, title, test, names, total: winners_total ?? names.length, reason: cancelled?.reason ?? '' }
}

interface NoticeWords {
  lotteryOpened: (title: string) => string
  lotteryDrawn: (title: string, names: string) => string
  lotteryNobody: (title: string) => string
  lotteryRedrawn: (title: string) => string
  lotteryCancelled: (title: string, reason: string) => string
  lotteryMore: (names: string, total: string) => string
  lotteryTest: (text: string) => string
  between: string
}

export function noticeText({ what, title, test, names, total, reason }: LotteryNotice, words: NoticeWords, count: (n: number) => string): string {
  const listed = names.join(words.between)
  const all = total > names.length ? words.lotteryMore(listed, count(total)) : listed
  const said = {
    'lottery-opened': () => words.lotteryOpened(title),
    'lottery-drawn': () => (total === 0 ? words.lotteryNobody(title) : words.lotteryDrawn(title, all)),
    'lottery-redrawn': () => words.lotteryRedrawn(title),
    'lottery-cancelled': () => words.lotteryCancelled(title, reason),
  }[what]()
  return test ? words.lotteryTest(said) : said
}
