import type { SuppressedEvent } from '../api/contract'

const MINUTE_MS = 60_000

/**
 * How many lines were said but not shown in the last minute, from the running totals
 * that the stream carries. Totals that go back belong to a new epoch: counting starts again.
 */
export class FlowLoss {
  private samples: { at: number; suppressed: number }[] = []

  take(totals: SuppressedEvent, at: number): void {
    const last = this.samples.at(-1)
    if (last && totals.suppressed < last.suppressed) this.samples = []
    this.samples.push({ at, suppressed: totals.suppressed })
  }

  lastMinute(at: number): number {
    // The newest sample from before the minute is where it starts.
    while (this.samples.length > 1 && this.samples[1]!.at <= at - MINUTE_MS) this.samples.shift()
    if (this.samples.length < 2) return 0
    return this.samples.at(-1)!.suppressed - this.samples[0]!.suppressed
  }
}
