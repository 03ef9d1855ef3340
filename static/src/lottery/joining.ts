/** What a visitor can do about a lottery now, and doing it. */
import { computed, ref } from 'vue'
import { account } from '../account/account'
import { openAuth } from '../account/authDialog'
import { Problem, freshKey } from '../api/call'
import { WHITE } from '../danmaku/palette'
import type { LiveRoom } from '../room/live'
import { clock, serverClock } from '../shell/clock'
import { reason, words } from '../words'
import { lotteryWords as t } from '../words/lottery'
import type { Lottery } from './lottery'

export type JoinState = 'guest' | 'join' | 'keyword' | 'joined' | 'barred' | 'drawing' | 'drawn' | 'cancelled'
/** `null`: nobody here knows; the server will say. */
export interface Requirement {
  text: string
  met: boolean | null
}

export function useJoining(live: LiveRoom, lottery: () => Lottery) {
  const busy = ref(false)
  const refused = ref('')
  let key = freshKey()

  const muted = computed(() => live.mutedUntil.value !== null && live.mutedUntil.value > clock.value)
  /** Why this account cannot enter, as far as the page knows. */
  const obstacle = computed(() => {
    const isStaff = live.role.value === 'owner' || live.admins.value.some(({ id }) => id === account.value?.id)
    if (isStaff && !lottery().test) return t.value.staffOut
    if (muted.value) return t.value.mutedOut
    const { barred, posted_in } = lottery()
    // Who has said something meanwhile may try again.
    if (barred === 'posted' && posted_in !== null && !live.postedIn.has(posted_in)) return t.value.notPosted
    return barred === 'other' ? words.value.problems['not-eligible']! : ''
  })
  const state = computed<JoinState>(() => {
    const { phase, receipt, draw_at_ms, keyword } = lottery()
    if (phase === 'cancelled' || phase === 'drawn') return phase
    if (phase === 'closed' || serverClock.value >= draw_at_ms) return 'drawing'
    if (receipt) return 'joined'
    if (!account.value) return 'guest'
    if (obstacle.value) return 'barred'
    return keyword === null ? 'join' : 'keyword'
  })
  const requirements = computed<Requirement[]>(() => {
    const { keyword, posted_in, receipt, barred } = lottery()
    const posted = posted_in !== null && (receipt !== null || live.postedIn.has(posted_in) || (barred === 'posted' ? false : null))
    return [
      ...(posted_in === null ? [] : [{ text: t.value.posted, met: posted }]),
      ...(keyword === null ? [] : [{ text: `${t.value.keyword}: ${keyword}`, met: receipt ? true : null }]),
      ...(obstacle.value && obstacle.value !== t.value.notPosted ? [{ text: obstacle.value, met: false }] : []),
    ]
  })

  async function join(): Promise<void> {
    if (state.value === 'guest') return openAuth()
    if (busy.value) return
    busy.value = true
    refused.value = ''
    try {
      if (state.value === 'join') await enter()
      else if (state.value === 'keyword') await post()
    } catch (problem) {
      refuse(problem)
    } finally {
      busy.value = false
    }
  }

  async function enter(): Promise<void> {
    if (!(await live.lotteries.enter(lottery().id))) refused.value = t.value.receiptNotKept
  }

  /** The danmaku is the entry; both are there, or the answer says why not. */
  async function post(): Promise<void> {
    const { entry } = await live.send({ text: lottery().keyword!, mode: 'scroll', color: WHITE, size: 'standard' }, key)
    key = freshKey()
    if (entry && 'refused' in entry) throw new Problem(entry.refused.code, entry.refused.detail ?? '', null, entry.refused.until ?? null)
  }

  function refuse(problem: unknown): void {
    refused.value = reason(problem)
    if (!(problem instanceof Problem)) return
    if (problem.code === 'not-eligible') {
      live.lotteries.bar(lottery().id, lottery().posted_in === null ? 'other' : 'posted')
      refused.value = ''
    }
    if (problem.code === 'muted') live.mutedUntil.value = problem.until ? Date.parse(problem.until) : Infinity
    if (problem.code === 'room-closed') void live.readRoom()
    if (['lottery-closed', 'lottery-cancelled'].includes(problem.code)) void live.lotteries.read(lottery().id).catch(() => {})
  }

  return { state, requirements, obstacle, refused, busy, join }
}
