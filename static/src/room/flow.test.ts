import { expect, test } from 'vitest'
import { FlowAccount } from './flow'

const totals = (suppressed: number, shown = 10, folded = 0) => ({ accepted: shown + folded + suppressed, shown, folded, suppressed })
const receive = (flow: FlowAccount, n: number) => Array.from({ length: n }, () => flow.receive())
const nothing = { said: 0, shown: 0, folded: 0, leftOut: 0, declined: 0 }

test('counts what was left out within the last minute, no longer', () => {
  const flow = new FlowAccount()
  flow.take(totals(500), 0)
  expect(flow.lastMinute(0)).toEqual(nothing)
  flow.take(totals(530), 10_000)
  flow.take(totals(600), 50_000)
  expect(flow.lastMinute(50_000).leftOut).toBe(100)
  expect(flow.lastMinute(75_000).leftOut).toBe(70)
  expect(flow.lastMinute(111_000)).toEqual(nothing)
})

test('what was folded into another line was said, and is not lost', () => {
  const flow = new FlowAccount()
  flow.begin(totals(0, 0, 0), 0)
  receive(flow, 20)
  flow.take(totals(3, 20, 36), 1_000)
  expect(flow.lastMinute(1_000)).toEqual({ said: 59, shown: 20, folded: 36, leftOut: 3, declined: 0 })
})

test('a new epoch starts from zero and is never counted backwards', () => {
  const flow = new FlowAccount()
  flow.take(totals(500), 0)
  flow.take(totals(3), 1_000)
  expect(flow.lastMinute(1_000)).toEqual(nothing)
  flow.take(totals(5), 2_000)
  expect(flow.lastMinute(2_000).leftOut).toBe(2)
})

test('what was shown and did not come was declined by the viewer', () => {
  const flow = new FlowAccount()
  flow.begin(totals(0, 100), 0)
  receive(flow, 5)
  flow.take(totals(0, 140), 1_000)
  expect(flow.lastMinute(1_000)).toMatchObject({ shown: 40, declined: 35 })
  // All that was shown came.
  receive(flow, 20)
  flow.take(totals(0, 160), 2_000)
  expect(flow.lastMinute(2_000).declined).toBe(35)
  expect(flow.lastMinute(62_500).declined).toBe(0)
})

test('what a gap swallowed was not declined', () => {
  const flow = new FlowAccount()
  flow.begin(totals(0, 100), 0)
  flow.begin(totals(0, 5_000), 10_000)
  flow.take(totals(0, 5_000), 11_000)
  expect(flow.lastMinute(11_000).declined).toBe(0)
})

test('what may have been in another lane, or deleted meanwhile, does not pass for declined', () => {
  const flow = new FlowAccount()
  flow.begin(totals(0, 100), 0)
  // Five ordinary lines, ten of the staff: they look alike.
  receive(flow, 15)
  flow.take(totals(0, 105), 1_000)
  expect(flow.lastMinute(1_000)).toMatchObject({ shown: 5, declined: 0 })
  // Back after a break: of 20 lines that were shown, 8 were deleted.
  receive(flow, 12)
  flow.take(totals(0, 125), 2_000)
  flow.deleted(8)
  flow.take(totals(0, 125), 3_000)
  expect(flow.lastMinute(3_000).declined).toBe(0)
  flow.take(totals(0, 135), 4_000)
  expect(flow.lastMinute(4_000).declined).toBe(10)
})

test('a page that nobody asks keeps a minute, not the day', () => {
  const flow = new FlowAccount()
  for (let s = 0; s < 86_400; s++) flow.take(totals(s), s * 1000)
  expect((flow as unknown as { samples: unknown[] }).samples.length).toBeLessThanOrEqual(62)
  expect(flow.lastMinute(86_399_000).leftOut).toBe(60)
})
