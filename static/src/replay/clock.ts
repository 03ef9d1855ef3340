/** What a replay runs by. */
import { type Ref, readonly, ref } from 'vue'

export const RATES = [0.5, 0.75, 1, 1.25, 1.5, 2] as const

/**
 * The clock of a replay. A page without a picture has its own; where there is a video, one
 * over its element takes this place (`currentTime`, `paused`, `playbackRate`).
 */
export interface ReplayClock {
  /** Milliseconds from the beginning, 0 to the duration. */
  timeMs(): number
  /** Stops by itself at the end. */
  readonly playing: Readonly<Ref<boolean>>
  readonly rate: Readonly<Ref<number>>
  /** From the beginning again if it is at the end. */
  play(): void
  pause(): void
  seek(ms: number): void
  setRate(rate: number): void
}

/** A clock without a picture. `now` counts milliseconds of this machine. */
export class PageClock implements ReplayClock {
  private readonly running = ref(false)
  private readonly speed = ref(1)
  /** Where it was… */
  private baseMs = 0
  /** …at this moment. */
  private since = 0

  readonly playing = readonly(this.running)
  readonly rate = readonly(this.speed)

  constructor(
    private readonly durationMs: () => number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  timeMs(): number {
    const passed = this.running.value ? (this.now() - this.since) * this.speed.value : 0
    const time = Math.min(this.baseMs + passed, this.durationMs())
    if (this.running.value && time >= this.durationMs()) {
      this.baseMs = time
      this.running.value = false
    }
    return time
  }

  play(): void {
    if (this.running.value) return
    if (this.timeMs() >= this.durationMs()) this.baseMs = 0
    this.since = this.now()
    this.running.value = true
  }

  pause(): void {
    this.hold(this.timeMs())
    this.running.value = false
  }

  seek(ms: number): void {
    this.hold(Math.min(Math.max(0, ms), this.durationMs()))
  }

  setRate(rate: number): void {
    this.hold(this.timeMs())
    this.speed.value = rate
  }

  private hold(ms: number): void {
    this.baseMs = ms
    this.since = this.now()
  }
}
