import { expect, test } from 'vitest'
import { PageClock } from './clock'

function clockOf(durationMs: number) {
  let now = 5_000
  const clock = new PageClock(() => durationMs, () => now)
  return { clock, pass: (ms: number) => (now += ms) }
}

test('it goes on while it plays, as fast as it is told', () => {
  const { clock, pass } = clockOf(60_000)
  pass(1_000)
  expect([clock.timeMs(), clock.playing.value]).toEqual([0, false])
  clock.play()
  pass(2_000)
  expect(clock.timeMs()).toBe(2_000)
  clock.setRate(0.5)
  pass(2_000)
  expect(clock.timeMs()).toBe(3_000)
  clock.setRate(2)
  pass(1_000)
  clock.pause()
  pass(9_000)
  expect(clock.timeMs()).toBe(5_000)
  clock.play()
  pass(1_000)
  expect(clock.timeMs()).toBe(7_000)
})

test('it seeks within the replay, playing or not', () => {
  const { clock, pass } = clockOf(60_000)
  clock.seek(-1)
  expect(clock.timeMs()).toBe(0)
  clock.seek(99_000)
  expect(clock.timeMs()).toBe(60_000)
  clock.seek(30_000)
  clock.play()
  pass(500)
  clock.seek(10_000)
  pass(500)
  expect(clock.timeMs()).toBe(10_500)
})

test('it stops at the end, and begins again from there', () => {
  const { clock, pass } = clockOf(60_000)
  clock.seek(59_000)
  clock.play()
  pass(2_000)
  expect([clock.timeMs(), clock.playing.value]).toEqual([60_000, false])
  clock.play()
  pass(100)
  expect(clock.timeMs()).toBe(100)
})
