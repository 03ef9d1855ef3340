import { expect, test } from 'vitest'
import { Lanes, breadth } from './lanes'
import { isDark, safeColor } from './palette'

test('only a colour is ever drawn', () => {
  expect(safeColor('#FFD302')).toBe('#ffd302')
  for (const bad of ['red', '#fff', 'url(x)', '#ffffff;background:red', '']) expect(safeColor(bad)).toBe('#ffffff')
  expect(isDark('#222222')).toBe(true)
  expect(isDark('#ffd302')).toBe(false)
})

test('a full edge takes no more until lines have come in', () => {
  const lanes = new Lanes()
  expect(lanes.take('rtl', 40, 1, 100, 0)).toBe(true)
  expect(lanes.take('rtl', 40, 2, 100, 0)).toBe(true)
  expect(lanes.take('rtl', 40, 1, 100, 0.5)).toBe(false)
  expect(lanes.take('top', 40, 1, 100, 0.5)).toBe(true)
  expect(lanes.take('rtl', 40, 1, 100, 1.5)).toBe(true)
})

test('a longer line waits longer, it would run into the one before', () => {
  const lanes = new Lanes()
  lanes.take('rtl', 60, 1, 100, 0)
  expect(lanes.take('rtl', 60, 3, 100, 2)).toBe(false)
  expect(lanes.take('rtl', 60, 3, 100, 3)).toBe(true)
})

test('a line that is higher than a tiny stage still flies when it is alone', () => {
  expect(new Lanes().take('rtl', 60, 1, 40, 0)).toBe(true)
})

test('Chinese is wider than Latin', () => {
  expect(breadth('好好好')).toBeGreaterThan(breadth('abc'))
})
