/** The way from the page to the verification. */
import type { Verdict } from './verify'
import type { Job, JobAnswer } from './worker'

/** So many are recomputed; of a larger draw one's own place is checked. */
export const MOST_ENTRIES = 50_000
/** Weights may make a draw of few entries long; whoever waits is told before they give up. */
const DEADLINE_MS = 120_000

export function verifyInWorker(job: Job): Promise<Verdict> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
  return new Promise<Verdict>((done, fail) => {
    const deadline = setTimeout(() => fail(new Error('the verification took too long')), DEADLINE_MS)
    worker.onmessage = ({ data }: MessageEvent<JobAnswer>) => {
      clearTimeout(deadline)
      if ('verdict' in data) done(data.verdict)
      else fail(new Error(data.failed))
    }
    worker.onerror = ({ message }) => {
      clearTimeout(deadline)
      fail(new Error(message))
    }
    worker.postMessage(job)
  }).finally(() => worker.terminate())
}
