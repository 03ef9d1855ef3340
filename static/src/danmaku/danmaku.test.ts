import { expect, test } from 'vitest'
import { emphasis } from './emphasis'
import { Lanes, type NewLine, STANDING_S, type Stage } from './lanes'
import { isDark, safeColor } from './palette'

test('only a colour is ever drawn', () => {
  expect(safeColor('#FFD302')).toBe('#ffd302')
  for (const bad of ['red', '#fff', 'url(x)', '#ffffff;background:red', '']) expect(safeColor(bad)).toBe('#ffffff')
  expect(isDark('#222222')).toBe(true)
  expect(isDark('#ffd302')).toBe(false)
})

const stage: Stage = { width: 1000, height: 200, crossing: 10 }
const line = (more: Partial<NewLine> = {}): NewLine => ({ way: 'rtl', width: 250, height: 50, must: false, ...more })

test('lines fill the stage from the top; a full one takes no more until one has come in', () => {
  const lanes = new Lanes()
  expect([0, 1, 2, 3].map(() => lanes.take(line(), stage, 0))).toEqual([0, 50, 100, 150])
  expect(lanes.take(line(), stage, 1.9)).toBeNull()
  expect(lanes.take(line(), stage, 2)).toBe(0)
})

test('a longer line waits longer, it would run into the one before', () => {
  const lanes = new Lanes()
  for (let n = 0; n < 4; n++) lanes.take(line(), stage, 0)
  expect(lanes.take(line({ width: 1000 }), stage, 4.9)).toBeNull()
  expect(lanes.take(line({ width: 1000 }), stage, 5)).toBe(0)
})

test('reverse lines come in from below, and cross others only when no lane is free', () => {
  const lanes = new Lanes()
  const reverse = line({ way: 'ltr' })
  expect(lanes.take(line(), stage, 0)).toBe(0)
  expect(lanes.take(reverse, stage, 0)).toBe(150)
  expect([0, 1, 2].map(() => lanes.take(line(), stage, 0))).toEqual([50, 100, 150])
  expect(lanes.take(reverse, stage, 1)).toBeNull()
  expect(lanes.take(reverse, stage, 2)).toBe(150)
})

test('standing lines stack from their edge and go', () => {
  const lanes = new Lanes()
  const low = { ...stage, height: 500 }
  expect([0, 1].map(() => lanes.take(line({ way: 'top' }), low, 0))).toEqual([0, 50])
  expect([0, 1].map(() => lanes.take(line({ way: 'bottom' }), low, 0))).toEqual([450, 400])
  expect(lanes.take(line(), low, 1)).toBe(100)
  expect(lanes.take(line({ way: 'top' }), low, STANDING_S)).toBe(0)
})

test('lines of several heights never touch while a lane is free', () => {
  const lanes = new Lanes()
  const high = { ...stage, height: 600 }
  const taken: { top: number; bottom: number }[] = []
  for (const height of [72, 36, 50, 72, 36, 36, 50, 72]) {
    const top = lanes.take(line({ height, must: height === 36 }), high, 0)!
    for (const other of taken) expect(top >= other.bottom || top + height <= other.top).toBe(true)
    taken.push({ top, bottom: top + height })
  }
  // The first large line has come in; what is smaller takes its place, and only that.
  expect(lanes.take(line({ height: 30 }), high, 3)).toBe(0)
})

test('what must fly takes a free lane first, then one where it covers no other that must', () => {
  const lanes = new Lanes()
  expect(lanes.take(line({ must: true }), stage, 0)).toBe(0)
  for (let n = 0; n < 3; n++) lanes.take(line(), stage, 0)
  expect(lanes.take(line({ must: true }), stage, 0.5)).toBeGreaterThanOrEqual(50)
  expect(lanes.take(line({ must: true, way: 'top', height: 40 }), stage, 0.5)).not.toBeNull()
  // No other line crosses one that must be seen.
  const calm = new Lanes()
  expect(calm.take(line({ must: true, height: 200 }), stage, 0)).toBe(0)
  expect(calm.take(line({ way: 'ltr' }), stage, 5)).toBeNull()
})

test('what must cover others covers those that it leaves soonest', () => {
  const lanes = new Lanes()
  for (let n = 0; n < 4; n++) lanes.take(line(), stage, n === 2 ? 0 : 0.5)
  // All four lanes were taken; the third line has come in the furthest.
  expect(lanes.take(line({ must: true }), stage, 1.5)).toBe(100)
})

test('flying lines pass where a standing one is only if they come when it has gone', () => {
  const lanes = new Lanes()
  expect(lanes.take(line(), stage, 0)).toBe(0)
  // It has passed the middle.
  expect(lanes.take(line({ way: 'top' }), stage, 8)).toBe(0)
  expect(lanes.take(line(), stage, 8.1)).toBe(50)
  // It reaches the middle when the other is gone.
  expect(lanes.take(line(), stage, 10)).toBe(0)
})

test('a line that is higher than a tiny stage still flies when it is alone', () => {
  const tiny = { ...stage, height: 40 }
  for (const way of ['rtl', 'ltr', 'top', 'bottom'] as const) expect(new Lanes().take(line({ way }), tiny, 0)).toBe(0)
})

test('a full stage takes no more, not even what must fly', () => {
  const lanes = new Lanes()
  const taken = Array.from({ length: 1000 }, () => lanes.take(line({ must: true }), stage, 0))
  expect(taken.filter((top) => top !== null).length).toBe(200)
  expect(lanes.take(line({ must: true }), stage, 11)).toBe(0)
})

test('what many said is a little larger, up to a bound', () => {
  expect(emphasis()).toBe(1)
  expect(emphasis(1)).toBe(1)
  expect(emphasis(37)).toBeGreaterThan(emphasis(2))
  expect(emphasis(1_000_000)).toBe(emphasis(200))
  expect(emphasis(1_000_000)).toBeLessThan(1.5)
})
