import { expect, test } from 'vitest'
import type { ReplayMark } from '../api/replay'
import { markNear } from './marks'

const mark = (at_ms: number, title: string): ReplayMark => ({ kind: 'lottery_drawn', at_ms, lottery_id: '1', title })

test('of the marks within reach the nearest counts, and none beyond it', () => {
  const marks = [mark(1000, 'a'), mark(1400, 'b'), mark(1400, 'c'), mark(9000, 'd')]
  const near = (ms: number) => markNear(marks, ms, 300)?.title ?? null
  expect([0, 699, 700, 1190, 1210, 1400, 1701, 9300].map(near)).toEqual([null, null, 'a', 'a', 'b', 'b', null, 'd'])
  expect(markNear([], 0, 300)).toBe(null)
})
