/** Prizes that wait for the visitor, also of lotteries that were drawn while nobody looked. */
import { computed, ref, watch } from 'vue'
import { account } from '../account/account'
import { call } from '../api/call'
import type { Page } from '../api/contract'
import type { MyEntry } from '../api/lottery'
import { serverClock } from '../shell/clock'
import { keep } from './keepsakes'
import { isClaimable } from './lottery'

const PAGE = 50
/** Nothing waits for this; what the visitor came for comes first. */
const PATIENCE_MS = 2_000

export const myEntries = ref<MyEntry[]>([])
export const nextCursor = ref<string | null>(null)
/** How many prizes can be claimed. */
export const waiting = computed(() => myEntries.value.filter((mine) => isClaimable({ mine }, serverClock.value)).length)

export async function readMyEntries(more = false): Promise<void> {
  const user = account.value?.id
  const read = await call<Page<MyEntry>>('GET', '/me/lotteries', { query: { cursor: more ? nextCursor.value : null, limit: PAGE } })
  if (account.value?.id !== user) return
  myEntries.value = more ? [...myEntries.value, ...read.items] : read.items
  nextCursor.value = read.next_cursor
  for (const { lottery_id, title, receipt } of read.items) keep(lottery_id, title, 'receipts', receipt)
}

/** An entry changed elsewhere on the page. */
export function heardOf(mine: MyEntry): void {
  const isKnown = myEntries.value.some(({ lottery_id }) => lottery_id === mine.lottery_id)
  if (isKnown) myEntries.value = myEntries.value.map((one) => (one.lottery_id === mine.lottery_id ? mine : one))
  else if (account.value?.id === mine.receipt.user_id) myEntries.value = [mine, ...myEntries.value]
}

/** The winner takes the prize or gives it up. */
export async function answerPrize(lottery: string, what: 'claim' | 'decline'): Promise<MyEntry> {
  const mine = await call<MyEntry>('POST', `/lotteries/${lottery}/entries/me/${what}`)
  heardOf(mine)
  return mine
}

let asking = 0
watch(() => account.value?.id, (user) => {
  myEntries.value = []
  nextCursor.value = null
  window.clearTimeout(asking)
  if (user) asking = window.setTimeout(() => readMyEntries().catch(() => {}), PATIENCE_MS * (0.5 + Math.random()))
}, { immediate: true })
