import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope } from 'vue'
import { useAskAgain } from './askAgain'

const listeners = new Set<() => void>()
const tab = {
  hidden: false,
  addEventListener: (_: string, listener: () => void) => listeners.add(listener),
  removeEventListener: (_: string, listener: () => void) => listeners.delete(listener),
}
const show = (shown: boolean) => {
  tab.hidden = !shown
  for (const listener of [...listeners]) listener()
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('document', tab)
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  tab.hidden = false
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

function asking() {
  const ask = vi.fn(() => again.later())
  const scope = effectScope()
  const again = scope.run(() => useAskAgain(ask, { firstMs: 1000, longestMs: 4000, growth: 2 }))!
  return { ask, again, scope }
}

test('each wait is longer, up to the longest, until it begins anew', () => {
  const { ask, again, scope } = asking()
  again.later()
  for (const [waitMs, times] of [[999, 0], [1, 1], [2000, 2], [4000, 3], [4000, 4]] as const) {
    vi.advanceTimersByTime(waitMs)
    expect(ask).toHaveBeenCalledTimes(times)
  }
  again.reset()
  again.later()
  vi.advanceTimersByTime(1000)
  expect(ask).toHaveBeenCalledTimes(5)
  scope.stop()
})

test('a hidden tab asks when it is shown, once', () => {
  const { ask, again, scope } = asking()
  show(false)
  again.after(100)
  vi.advanceTimersByTime(60_000)
  expect(ask).not.toHaveBeenCalled()
  show(true)
  show(true)
  expect(ask).toHaveBeenCalledTimes(1)
  scope.stop()
})

test('with its scope everything ends, also what waits for the tab', () => {
  const { ask, again, scope } = asking()
  show(false)
  again.after(100)
  vi.advanceTimersByTime(200)
  expect(listeners.size).toBe(1)
  scope.stop()
  show(true)
  vi.advanceTimersByTime(60_000)
  expect([ask.mock.calls.length, listeners.size]).toEqual([0, 0])
})
