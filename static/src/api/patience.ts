/** A server that is busy says when to ask again, and is asked again then. */
import { Problem } from './call'

export interface Patience {
  /** So many times in a row. */
  mostWaits: number
  /** And not longer than this each time. */
  longestWaitMs: number
  /** Ends the waiting, too. */
  signal?: AbortSignal
}

/** The answer, or the refusal that is left when there is nothing to wait for any more. */
export async function patiently<T>(ask: () => Promise<T>, { mostWaits, longestWaitMs, signal }: Patience): Promise<T> {
  for (let waits = 0; ; waits++) {
    try {
      return await ask()
    } catch (problem) {
      const ms = problem instanceof Problem ? problem.retryAfterMs : null
      if (ms === null || waits >= mostWaits || signal?.aborted) throw problem
      await pause(Math.min(longestWaitMs, ms), signal)
      signal?.throwIfAborted()
    }
  }
}

/** Waits, but not for what has ended. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((go) => {
    const end = () => {
      window.clearTimeout(timer)
      go()
    }
    const timer = window.setTimeout(end, ms)
    signal?.addEventListener('abort', end, { once: true })
  })
}
