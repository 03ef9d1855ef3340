import { expect, test, vi } from 'vitest'
import { replayEn } from './replayEn'
import { replayZh } from './replayZh'

vi.stubGlobal('navigator', { language: 'en' })
vi.stubGlobal('document', { documentElement: {}, createElement: () => ({}) })
const { duration, language } = await import('.')
const { because, spoken } = await import('./replay')

test('a moment is written with hours only when there are any', () => {
  expect([0, 999, 59_999, 61_000, 3_599_999, 3_600_000, 45_296_000].map(duration)).toEqual(['0:00', '0:00', '0:59', '1:01', '59:59', '1:00:00', '12:34:56'])
})

test('a moment is said in words, without what is zero', () => {
  language.value = 'en'
  expect([0, 1_000, 61_000, 3_600_000, 3_723_900].map(spoken)).toEqual(['0 seconds', '1 second', '1 minute 1 second', '1 hour', '1 hour 2 minutes 3 seconds'])
  language.value = 'zh'
  expect(spoken(3_723_000)).toBe('1小时 2分钟 3秒钟')
})

test('what the server leaves out or changes has words in both languages; what is new is shown as it is', () => {
  expect(Object.keys(replayZh.skipped)).toEqual(Object.keys(replayEn.skipped))
  expect(Object.keys(replayZh.changed)).toEqual(Object.keys(replayEn.changed))
  expect(because('empty-text', replayEn.skipped)).toBe('no text')
  expect(because('made of glass', replayEn.skipped)).toBe('made of glass')
})
