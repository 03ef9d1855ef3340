/** The heat curve: how much was said when, as a line that can be read. */
import type { HeatCurve } from '../api/replay'

/** More points than this are not seen on a bar. */
const MOST_BUCKETS = 240
/** A bucket is so many seconds long: lengths that people count in. */
const BUCKETS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400]
/** Neighbours count as well, so that the curve has no teeth. */
const KERNEL = [1, 3, 4, 3, 1]

export interface Heat {
  bucketMs: number
  /** How many appeared in each bucket. */
  counts: number[]
  /** The same, smoothed, 0 to 1. */
  heights: number[]
}

export function heatOf({ step_ms, counts }: HeatCurve, durationMs: number): Heat {
  const stepMs = Math.max(1, step_ms)
  const perBucket = stepsPerBucket(durationMs, stepMs)
  const bucketMs = perBucket * stepMs
  const buckets = Array.from({ length: Math.max(1, Math.ceil(durationMs / bucketMs)) }, (_, n) => sum(counts.slice(n * perBucket, (n + 1) * perBucket)))
  const smooth = smoothed(buckets)
  const most = Math.max(...smooth)
  return { bucketMs, counts: buckets, heights: smooth.map((n) => (most > 0 ? n / most : 0)) }
}

function stepsPerBucket(durationMs: number, stepMs: number): number {
  const leastMs = durationMs / MOST_BUCKETS
  const fitting = BUCKETS_S.map((s) => s * 1000).find((ms) => ms >= leastMs && ms % stepMs === 0)
  return (fitting ?? Math.ceil(leastMs / stepMs) * stepMs) / stepMs
}

/** A mean with the neighbours; beyond an end there is nothing to count. */
export function smoothed(counts: readonly number[]): number[] {
  const reach = (KERNEL.length - 1) / 2
  return counts.map((_, at) => {
    let [total, weight] = [0, 0]
    for (const [k, share] of KERNEL.entries()) {
      const n = counts[at + k - reach]
      if (n === undefined) continue
      total += n * share
      weight += share
    }
    return total / weight
  })
}

/** How many appeared around a moment, and in how many milliseconds. */
export function countAt({ counts, bucketMs }: Heat, ms: number): { count: number; withinMs: number } {
  const at = Math.min(counts.length - 1, Math.max(0, Math.floor(ms / bucketMs)))
  return { count: counts[at] ?? 0, withinMs: bucketMs }
}

/**
 * The curve as an SVG path, `width` × `height`: through the middle of each bucket, closed
 * below. It bends so that it never rises above the points it connects.
 */
export function areaPath({ heights, bucketMs }: Heat, durationMs: number, width: number, height: number): string {
  const x = (ms: number) => ((Math.min(ms, durationMs) / Math.max(1, durationMs)) * width).toFixed(2)
  const y = (h: number) => ((1 - h) * height).toFixed(2)
  const first = heights[0] ?? 0
  let path = `M0 ${height}L0 ${y(first)}`
  let from = { ms: 0, h: first }
  for (const [n, h] of [...heights.entries(), [heights.length - 0.5, heights.at(-1) ?? 0] as const]) {
    const ms = (n + 0.5) * bucketMs
    const middle = (from.ms + ms) / 2
    path += `C${x(middle)} ${y(from.h)} ${x(middle)} ${y(h)} ${x(ms)} ${y(h)}`
    from = { ms, h }
  }
  return `${path}L${width} ${height}Z`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
