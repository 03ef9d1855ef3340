import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { LotteryState } from '../api/lottery'
import { DRAW_MS, MadeDraw } from '../draw/madeDraw'
import { serverClock, setServerTime } from '../shell/clock'
import { testStorage } from '../testStorage'
import { keptOf } from './keepsakes'
import { RoomLotteries } from './roomLotteries'

const draw = new MadeDraw()
const answers = new Map<string, unknown>()
const asked: string[] = []

beforeEach(() => {
  vi.useFakeTimers()
  vi.setSystemTime(DRAW_MS - 500)
  setServerTime(DRAW_MS - 500)
  answers.clear()
  asked.length = 0
  vi.stubGlobal('localStorage', testStorage())
  vi.stubGlobal('fetch', async (path: string, { method }: RequestInit) => {
    asked.push(`${method} ${path}`)
    const answer = answers.get(path)
    return new Response(JSON.stringify(answer ?? { code: 'no-such-entry' }), { status: answer ? 200 : 404 })
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const state = (to: Partial<LotteryState> = {}): LotteryState => ({
  id: '77', version: 1, phase: 'open', test: false, title: 'Tea', prizes: [{ name: 'tea', count: 1 }], keyword: null, posted_in: null, claim_ms: 0, opens_at_ms: 1000,
  draw_at_ms: DRAW_MS, entrants: 0, opened: draw.opened, closed: null, cancelled: null, decided_at_ms: null, ...to,
})
const closed = () => state({ version: 2, phase: 'closed', closed: draw.closed })
const decided = () => state({ version: 3, phase: 'drawn', closed: draw.closed, decided_at_ms: DRAW_MS + 100 })
const winner = (user_id: string) => ({ n: 0, user_id, name: 'Mei', prize: 0, claimed: false })

function room() {
  const told: string[] = []
  const lotteries = new RoomLotteries(({ change }) => told.push(change))
  return { lotteries, told, only: () => lotteries.find('77') }
}

test('a lottery goes its way, and what was signed is kept', () => {
  const { lotteries, told, only } = room()
  lotteries.event({ change: 'opened', lottery_id: '77', entrants: 0, lottery: state() })
  lotteries.event({ change: 'entered', lottery_id: '77', entrants: 12 })
  lotteries.event({ change: 'entered', lottery_id: '77', entrants: 11 })
  expect(only()!.entrants).toBe(12)
  setServerTime(DRAW_MS + 10)
  lotteries.event({ change: 'closed', lottery_id: '77', entrants: 12, lottery: closed() })
  lotteries.event({ change: 'drawn', lottery_id: '77', entrants: 12, lottery: decided(), winners: [winner('9')], winners_total: 1 })
  // A late copy of an older state changes nothing.
  lotteries.event({ change: 'unknown', lottery_id: '77', entrants: 12, lottery: state() })
  expect([only()!.phase, only()!.winners.length]).toEqual(['drawn', 1])
  expect(told).toEqual(['opened', 'closed', 'drawn'])
  expect([keptOf('77')!.opened.length, keptOf('77')!.closed.length]).toEqual([1, 1])
  expect(asked).toEqual([])
})

test('who comes after the draw keeps no announcement, and reads the winners', async () => {
  const { lotteries, only } = room()
  setServerTime(DRAW_MS + 500)
  answers.set('/api/v1/lotteries/77', { ...state(), claim_s: 0, opens_at: new Date(1000).toISOString(), draw_at: new Date(DRAW_MS).toISOString(), phase: 'drawn', drawn_at: new Date(DRAW_MS + 100).toISOString(), winners: [winner('9')], winners_total: 1, replaced: [] })
  lotteries.hello([decided()])
  expect(keptOf('77')).toBe(null)
  await vi.advanceTimersByTimeAsync(4000)
  expect(only()!.winners).toEqual([winner('9')])
  lotteries.leave()
})

test('it folds away three minutes after it was decided', () => {
  const { lotteries } = room()
  const decide = (agoMs: number, version: number) => lotteries.hello([{ ...decided(), version, decided_at_ms: serverClock.value - agoMs }])
  decide(179_000, 3)
  expect(lotteries.inView.value.length).toBe(1)
  decide(181_000, 4)
  expect(lotteries.inView.value.length).toBe(0)
  expect(lotteries.find('77')).not.toBe(null)
  lotteries.leave()
})

test('only a winner, or who may be one, asks what became of the entry', async () => {
  const receipt = draw.receipt(0)
  const mine = { lottery_id: '77', room_id: '5', title: 'Tea', draw_at: '', receipt, result: 'won', prize: { prize: 0, name: 'tea', claim_by: null, claimed_at: null } }
  answers.set('/api/v1/lotteries/77/entries/me', mine)
  const drawn = (winners: string[], winners_total: number) => {
    const { lotteries, only } = room()
    lotteries.visitor(receipt.user_id)
    lotteries.event({ change: 'opened', lottery_id: '77', entrants: 0, lottery: state() })
    lotteries.entered(receipt)
    asked.length = 0
    lotteries.event({ change: 'drawn', lottery_id: '77', entrants: 12, lottery: decided(), winners: winners.map(winner), winners_total })
    return { lotteries, only }
  }
  drawn(['9'], 1).lotteries.leave()
  await vi.advanceTimersByTimeAsync(4000)
  expect(asked).toEqual([])
  const won = drawn(['9', receipt.user_id], 2)
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toEqual(['GET /api/v1/lotteries/77/entries/me'])
  expect(won.only()!.mine!.result).toBe('won')
  drawn(['9'], 300)
  expect(asked).toEqual([])
  await vi.advanceTimersByTimeAsync(4000)
  expect(asked).toEqual(['GET /api/v1/lotteries/77/entries/me'])
})

test('an entry of another device is found when the room is entered', async () => {
  const { lotteries, only } = room()
  const receipt = draw.receipt(0)
  answers.set('/api/v1/me/lotteries?limit=50', { items: [{ lottery_id: '77', room_id: '5', title: 'Tea', draw_at: '', receipt, result: 'pending', prize: null }], next_cursor: null })
  lotteries.visitor(receipt.user_id)
  lotteries.hello([state()])
  await vi.advanceTimersByTimeAsync(4000)
  expect(only()!.receipt).toEqual(receipt)
  lotteries.visitor(undefined)
  expect(only()!.receipt).toBe(null)
})
