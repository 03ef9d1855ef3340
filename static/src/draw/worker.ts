/** Verifies away from the page: recomputing fifty thousand entries takes about a second. */
import { type GivenLight, verifyLight } from './light'
import { type Given, type Verdict, verify } from './verify'

export type Job = { full: Given } | { light: GivenLight }
export type JobAnswer = { verdict: Verdict } | { failed: string }

onmessage = ({ data }: MessageEvent<Job>) => {
  let answer: JobAnswer
  try {
    answer = { verdict: 'full' in data ? verify(data.full) : verifyLight(data.light) }
  } catch (error) {
    answer = { failed: String(error) }
  }
  postMessage(answer)
}
