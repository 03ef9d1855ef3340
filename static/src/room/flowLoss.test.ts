import { expect, test } from 'vitest'
import { FlowLoss } from './flowLoss'

const totals = (suppressed: number) => ({ accepted: suppressed + 10, shown: 10, folded: 0, suppressed })

test('counts what was left out within the last minute, no longer', () => {
  const loss = new FlowLoss()
  loss.take(totals(500), 0)
  expect(loss.lastMinute(0)).toBe(0)
  loss.take(totals(530), 10_000)
  loss.take(totals(600), 50_000)
  expect(loss.lastMinute(50_000)).toBe(100)
  expect(loss.lastMinute(75_000)).toBe(70)
  expect(loss.lastMinute(111_000)).toBe(0)
})

test('a new epoch starts from zero and is never counted backwards', () => {
  const loss = new FlowLoss()
  loss.take(totals(500), 0)
  loss.take(totals(3), 1_000)
  expect(loss.lastMinute(1_000)).toBe(0)
  loss.take(totals(5), 2_000)
  expect(loss.lastMinute(2_000)).toBe(2)
})
