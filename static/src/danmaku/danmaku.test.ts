import { expect, test } from 'vitest'
import { Lanes, breadth } from './lanes'
import { isDark, safeColor } from './palette'

test('only a colour is ever drawn', () => {
  expect(safeColor('#FFD302')).toBe('#ffd302')
  for (const bad of ['red', '#fff', 'url(x)', '#ffffff;background:red', '']) expect(safeColor(bad)).toBe('#ffffff')
  expect(isDark('#222222')).toBe(true)
  expect(isDark('#ffd302')).toBe(false)
})

test('a full edge takes no more until a line has gone in', () => {
  const lanes = new Lanes()
  lanes.take('rtl', 40, 2)
  lanes.take('rtl', 40, 3)
  expect(lanes.fits('rtl', 40, 100, 1)).toBe(false)
  expect(lanes.fits('top', 40, 100, 1)).toBe(true)
  expect(lanes.fits('rtl', 40, 100, 2.5)).toBe(true)
})

test('Chinese is wider than Latin', () => {
  expect(breadth('好好好')).toBeGreaterThan(breadth('abc'))
})
