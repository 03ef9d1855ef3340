/** What a streamer fills in, and what is sent of it. */
import type { LotteryBody } from '../../api/lottery'

export const MOST_TIERS = 10
export const MOST_PRIZES = 1000
export const MOST_TITLE = 60
export const MOST_KEYWORD = 20
/** Presets, in minutes. */
export const DURATIONS = [1, 3, 5, 10] as const
export const MOST_MINUTES = 10_080
/** In seconds; 0: nothing has to be claimed. */
export const CLAIMS = [0, 3600, 86_400, 604_800] as const

export interface Plan {
  title: string
  prizes: { name: string; count: number | '' }[]
  minutes: number | 'own'
  ownMinutes: number | ''
  keyword: string
  posted: boolean
  claimS: number
  test: boolean
}

export const freshPlan = (): Plan => ({
  title: '', prizes: [{ name: '', count: 1 }], minutes: 3, ownMinutes: '', keyword: '', posted: false, claimS: 86_400, test: false,
})

export const minutesOf = ({ minutes, ownMinutes }: Plan): number => (minutes === 'own' ? Number(ownMinutes) : minutes)

export function bodyOf(plan: Plan): LotteryBody {
  const keyword = plan.test ? '' : plan.keyword.trim()
  return {
    title: plan.title.trim(),
    prizes: plan.prizes.map(({ name, count }) => ({ name: name.trim(), count: Number(count) })),
    keyword: keyword || null,
    posted: !plan.test && plan.posted,
    claim_s: plan.claimS,
    duration_s: Math.round(minutesOf(plan) * 60),
    test: plan.test,
  }
}

/** It can be sent; whether it may be, the server says. */
export function isComplete({ title, prizes, duration_s }: LotteryBody): boolean {
  return title !== '' && prizes.every(({ name, count }) => name !== '' && Number.isInteger(count) && count >= 1) && duration_s >= 1
}
