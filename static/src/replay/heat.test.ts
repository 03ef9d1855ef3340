import { expect, test } from 'vitest'
import { areaPath, countAt, heatOf, smoothed } from './heat'

const total = (numbers: number[]) => numbers.reduce((sum, n) => sum + n, 0)

test('smoothing keeps an even curve even, and spreads a single peak to both sides', () => {
  expect(smoothed([3, 3, 3, 3, 3, 3])).toEqual([3, 3, 3, 3, 3, 3])
  const peak = smoothed([0, 0, 0, 0, 12, 0, 0, 0, 0])
  expect(peak).toEqual([0, 0, 1, 3, 4, 3, 1, 0, 0])
  expect(smoothed([])).toEqual([])
  expect(smoothed([5])).toEqual([5])
})

test('seconds become buckets that people count in, and none is lost', () => {
  const counts = Array.from({ length: 780 }, (_, n) => n % 3)
  const heat = heatOf({ step_ms: 1000, counts }, 779_840)
  expect(heat.bucketMs).toBe(5_000)
  expect(heat.counts.length).toBe(156)
  expect(total(heat.counts)).toBe(total(counts))
  expect(Math.max(...heat.heights)).toBe(1)
})

test('whatever the length, there are not more points than a bar can show', () => {
  for (const [hours, step_ms] of [[0.001, 1000], [1, 1000], [24, 1000], [200, 30_000], [8760, 86_400]] as const) {
    const durationMs = hours * 3_600_000
    const counts = Array.from({ length: Math.ceil(durationMs / step_ms) }, () => 1)
    const heat = heatOf({ step_ms, counts }, durationMs)
    expect(heat.counts.length).toBeLessThanOrEqual(240)
    expect(heat.counts.length).toBeGreaterThan(0)
    expect(total(heat.counts)).toBe(counts.length)
  }
})

test('a replay in which nothing was said has a flat curve', () => {
  for (const [counts, durationMs] of [[[], 0], [[0, 0, 0], 3000]] as const) {
    const heat = heatOf({ step_ms: 1000, counts: [...counts] }, durationMs)
    expect(heat.heights.every((height) => height === 0)).toBe(true)
    expect(areaPath(heat, durationMs, 100, 10)).not.toContain('NaN')
  }
})

test('the count around a moment is that of its bucket, at the ends as well', () => {
  const heat = { bucketMs: 2000, counts: [4, 0, 7], heights: [1, 0, 1] }
  expect([-1, 0, 1999, 2000, 5999, 60_000].map((ms) => countAt(heat, ms).count)).toEqual([4, 4, 4, 0, 7, 7])
  expect(countAt(heat, 0).withinMs).toBe(2000)
})

test('the path stays in its box and is closed', () => {
  const heat = heatOf({ step_ms: 1000, counts: [1, 9, 2, 0, 0, 30, 4] }, 6500)
  const path = areaPath(heat, 6500, 1000, 100)
  const numbers = path.match(/-?[\d.]+/g)!.map(Number)
  for (let n = 0; n < numbers.length; n += 2) {
    expect(numbers[n]).toBeGreaterThanOrEqual(0)
    expect(numbers[n]).toBeLessThanOrEqual(1000)
    expect(numbers[n + 1]).toBeGreaterThanOrEqual(0)
    expect(numbers[n + 1]).toBeLessThanOrEqual(100)
  }
  expect(path).toMatch(/^M0 100L.*L1000 100Z$/)
})
