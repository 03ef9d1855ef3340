/** What became of what was said in a room: how much of it flew, and why not all of it. */
import type { SuppressedEvent } from '../api/contract'

const MINUTE_MS = 60_000

/** What became of the room's ordinary danmaku within a minute. */
export interface Flow {
  said: number
  /** Lines that flew. */
  shown: number
  /** Lines that flew as part of another one's count: these are not lost. */
  folded: number
  /** Left out for everybody. */
  leftOut: number
  /** Shown to others at least: this viewer asked for fewer. */
  declined: number
}

interface Sample extends SuppressedEvent {
  at: number
  declined: number
}

/**
 * Keeps the running totals that the stream carries for a minute. Totals that go back belong
 * to a new epoch: counting starts again.
 *
 * What the viewer declined can't be known exactly: no line says whether it is in the totals
 * (most of the staff's are not), and a line that was deleted while the viewer was away is in
 * them and does not come. Where that is open, it counts as not declined.
 */
export class FlowAccount {
  private samples: Sample[] = []
  /** Danmaku that the stream brought since the last totals; `null` if some may have come unseen. */
  private received: number | null = null
  private declined = 0

  /** Totals that come with a `hello`: what was shown before is not what this viewer was sent. */
  begin(totals: SuppressedEvent, at: number): void {
    this.received = null
    this.take(totals, at)
  }

  receive(): void {
    if (this.received !== null) this.received += 1
  }

  /** So many lines were deleted; maybe they did not come for that reason. */
  deleted(n: number): void {
    this.declined -= n
  }

  take(totals: SuppressedEvent, at: number): void {
    const last = this.samples.at(-1)
    if (last && totals.accepted < last.accepted) {
      this.samples = []
      this.received = null
    } else if (last && this.received !== null) {
      this.declined += Math.max(0, totals.shown - last.shown - this.received)
    }
    this.received = 0
    this.samples.push({ ...totals, at, declined: this.declined })
    this.dropBefore(at - MINUTE_MS)
  }

  lastMinute(at: number): Flow {
    this.dropBefore(at - MINUTE_MS)
    const [first, last] = [this.samples[0], this.samples.at(-1)]
    const since = (total: keyof Sample) => (first && last ? last[total] - first[total] : 0)
    return { said: since('accepted'), shown: since('shown'), folded: since('folded'), leftOut: since('suppressed'), declined: Math.max(0, since('declined')) }
  }

  /** The newest sample from before the minute is where it starts. */
  private dropBefore(then: number): void {
    const inside = this.samples.findIndex(({ at }) => at > then)
    const before = inside < 0 ? this.samples.length : inside
    this.samples.splice(0, before - 1)
  }
}
