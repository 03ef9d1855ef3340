import { expect, test } from 'vitest'
import type { ReplayPart } from '../api/replay'
import { ROW_PX, RowIndex, rowsInView, spanAround } from './rows'

const PARTS: ReplayPart[] = [
  { part: 1, segment: 1, from_ms: 1000, to_ms: 5000, danmaku_count: 3 },
  { part: 2, segment: 1, from_ms: 5000, to_ms: 9000, danmaku_count: 4 },
  { part: 3, segment: 3, from_ms: 720_000, to_ms: 730_000, danmaku_count: 2 },
]
const index = new RowIndex(PARTS)

test('rows lie in the parts one after another', () => {
  expect(index.total).toBe(9)
  expect([0, 2, 3, 6, 7, 8].map((row) => index.place(row))).toEqual([
    { part: 1, within: 0 }, { part: 1, within: 2 }, { part: 2, within: 0 }, { part: 2, within: 3 }, { part: 3, within: 0 }, { part: 3, within: 1 },
  ])
  expect([index.place(-1), index.place(9)]).toEqual([null, null])
  expect([index.partsOf(-5, 2), index.partsOf(2, 3), index.partsOf(0, 99)]).toEqual([[1], [1, 2], [1, 2, 3]])
  expect(new RowIndex([]).partsOf(0, 10)).toEqual([])
})

test('the row that is played is the last that has appeared', () => {
  const appeared = (part: number) => (part === 2 ? 2 : null)
  expect(index.rowAt(0, appeared)).toBe(-1)
  expect(index.rowAt(1000, appeared)).toBe(0)
  expect(index.rowAt(6000, appeared)).toBe(4)
  // Where nothing is said, it stays.
  expect(index.rowAt(400_000, appeared)).toBe(6)
  expect(index.rowAt(720_500, appeared)).toBe(7)
  expect(index.rowAt(999_999, appeared)).toBe(8)
  expect(new RowIndex([]).rowAt(5, appeared)).toBe(-1)
})

test('a short list is scrolled over whole, of a long one what lies around', () => {
  expect(spanAround(4, 9)).toEqual({ first: 0, count: 9 })
  const { first, count } = spanAround(2_000_000, 3_000_000)
  expect(count * ROW_PX).toBeLessThan(17_000_000)
  expect([first <= 2_000_000 - 100_000, first + count >= 2_000_000 + 100_000]).toEqual([true, true])
  const end = spanAround(2_999_999, 3_000_000)
  expect(end.first + end.count).toBe(3_000_000)
})

test('only rows in view are drawn, with a few around', () => {
  const [first, last] = rowsInView(1000 * ROW_PX, 20 * ROW_PX, { first: 500, count: 400_000 })
  expect(first).toBeLessThanOrEqual(1500)
  expect(last).toBeGreaterThanOrEqual(1520)
  expect(last - first).toBeLessThan(60)
  expect(rowsInView(0, 600, { first: 0, count: 3 })).toEqual([0, 2])
  expect(rowsInView(0, 600, { first: 0, count: 0 })).toEqual([0, -1])
})
