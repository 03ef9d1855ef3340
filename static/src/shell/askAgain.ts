/** Asks again what has no answer yet: later each time, not all visitors at once, and not while nobody looks. */
import { onScopeDispose } from 'vue'

export interface Waits {
  firstMs: number
  longestMs: number
  /** Each wait is so many times the one before. */
  growth: number
}

/** Ends with the scope that it is of. */
export function useAskAgain(ask: () => void, { firstMs, longestMs, growth }: Waits) {
  let waitMs = firstMs
  let timer = 0

  // The tab was put away: the next question comes when it is looked at.
  function onShown(): void {
    if (document.hidden) return
    stop()
    ask()
  }
  function stop(): void {
    window.clearTimeout(timer)
    document.removeEventListener('visibilitychange', onShown)
  }
  function after(ms: number): void {
    stop()
    timer = window.setTimeout(() => {
      if (document.hidden) document.addEventListener('visibilitychange', onShown)
      else ask()
    }, ms)
  }
  onScopeDispose(stop)

  return {
    stop,
    /** Asks once, after so long. */
    after,
    later(): void {
      after(waitMs * (0.75 + Math.random() / 2))
      waitMs = Math.min(longestMs, waitMs * growth)
    },
    /** The next wait is the first again. */
    reset(): void {
      waitMs = firstMs
    },
  }
}
