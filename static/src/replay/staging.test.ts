import { expect, test } from 'vitest'
import type { ReplayDanmaku } from '../api/replay'
import { type Source, type Staged, Staging, leftAt } from './staging'

const WIDTH = 1000
const line = (at_ms: number, more: Partial<ReplayDanmaku> = {}): ReplayDanmaku => ({
  id: `${at_ms}`, at_ms, sent_at: '2026-11-20T20:00:00Z', mode: 'scroll', color: '#ffffff', size: 'standard', text: `at ${at_ms}`, sender_hash: '0000a16f', ...more,
})
const of = (...danmaku: ReplayDanmaku[]): Source => ({ between: (from, before) => danmaku.filter(({ at_ms }) => at_ms >= from && at_ms < before) })
const WAYS = { scroll: 'rtl', reverse: 'ltr', top: 'top', bottom: 'bottom' } as const
const staged = (more: Partial<Staged> = {}): Staged => ({
  stage: { width: WIDTH, height: 200, crossing: 10 },
  measure: ({ mode }) => ({ way: WAYS[mode], width: 250, height: 50 }),
  isHidden: () => false,
  mostPerS: null,
  ...more,
})
const texts = (staging: Staging) => staging.onStage.map(({ danmaku }) => danmaku.text)

test('a leap shows what is on the stage at that moment, in mid-flight', () => {
  const source = of(line(49_000), line(51_000), line(55_000), line(60_000), line(61_000))
  const staging = new Staging()
  const { entered, left } = staging.moveTo(60_000, source, staged())
  expect(texts(staging)).toEqual(['at 51000', 'at 55000', 'at 60000'])
  expect([entered.length, left.length]).toEqual([3, 0])
  // The one in the middle of its way is in the middle: 1,250 px in 10 s.
  expect(leftAt(entered[1]!, staged().stage, 60_000)).toBeCloseTo(WIDTH - 625)
  expect(leftAt(entered[2]!, staged().stage, 60_000)).toBe(WIDTH)
})

test('standing lines are on it for their own time', () => {
  const source = of(line(54_000, { mode: 'top' }), line(56_000, { mode: 'bottom' }))
  const staging = new Staging()
  staging.moveTo(60_000, source, staged())
  expect(texts(staging)).toEqual(['at 56000'])
  expect(leftAt(staging.onStage[0]!, staged().stage, 60_000)).toBe(375)
})

test('step by step lines enter once and leave at their end', () => {
  const source = of(line(1000), line(1016), line(1500))
  const staging = new Staging()
  const entered: string[] = []
  const left: string[] = []
  for (let now = 0; now <= 12_000; now += 16.7) {
    const change = staging.moveTo(now, source, staged())
    entered.push(...change.entered.map(({ danmaku }) => danmaku.text))
    left.push(...change.left.map(({ danmaku }) => danmaku.text))
  }
  expect(entered).toEqual(['at 1000', 'at 1016', 'at 1500'])
  expect(left).toEqual(entered)
  expect(texts(staging)).toEqual([])
})

test('a pause changes nothing; back, everything is placed anew', () => {
  const source = of(line(1000), line(4000))
  const staging = new Staging()
  staging.moveTo(5000, source, staged())
  expect(staging.moveTo(5000, source, staged())).toEqual({ entered: [], left: [] })
  const { left } = staging.moveTo(2000, source, staged())
  expect(left.map(({ danmaku }) => danmaku.text)).toEqual(['at 1000', 'at 4000'])
  expect(texts(staging)).toEqual(['at 1000'])
})

test('what comes to be known later is placed after a reset', () => {
  const known = [line(1000)]
  const source: Source = { between: (from, before) => known.filter(({ at_ms }) => at_ms >= from && at_ms < before) }
  const staging = new Staging()
  staging.moveTo(2000, source, staged())
  known.push(line(1500))
  staging.moveTo(2010, source, staged())
  expect(texts(staging)).toEqual(['at 1000'])
  staging.reset()
  const { entered, left } = staging.moveTo(2020, source, staged())
  expect([entered.length, left.length]).toEqual([2, 1])
})

test('a line keeps its lane; a full stage takes no more', () => {
  const source = of(...Array.from({ length: 9 }, (_, n) => line(1000 + n, { id: `${n}` })))
  const staging = new Staging()
  staging.moveTo(1500, source, staged())
  expect(staging.onStage.map(({ claim }) => claim.top)).toEqual([0, 50, 100, 150])
})

test('a moment of a thousand lines is tried only until the stage is full', () => {
  let measured = 0
  const source = of(...Array.from({ length: 1000 }, (_, n) => line(1000, { id: `${n}` })))
  const staging = new Staging()
  staging.moveTo(1500, source, staged({ measure: () => ({ way: 'rtl', width: (measured++, 250), height: 50 }) }))
  expect(staging.onStage.length).toBe(4)
  expect(measured).toBeLessThan(20)
})

test('what the visitor hides is not there, and of the rest so many a second', () => {
  const source = of(line(1000), line(1100), line(1200, { mode: 'top' }), line(2100))
  const staging = new Staging()
  staging.moveTo(3000, source, staged({ isHidden: ({ mode }) => mode === 'top', mostPerS: 1 }))
  expect(texts(staging)).toEqual(['at 1000', 'at 2100'])
})
