/** The danmaku of a replay, of which only the parts around what is watched and read are kept. */
import { shallowRef } from 'vue'
import type { ReplayDanmaku, ReplayPart } from '../api/replay'

/** Full: the one that was wanted the longest ago goes. (A part has at most 6,000 danmaku.) */
const MOST_KEPT = 8
/** Who wants more at once gets the first of them. */
const MOST_WANTED = 4
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 30_000

export type Load = (part: number, signal: AbortSignal) => Promise<ReplayDanmaku[]>

/**
 * The parts that a moment needs: those with danmaku from `backMs` before it on, which may
 * still be on the stage, and the next one, which is loaded ahead.
 */
export function partsAround(parts: readonly ReplayPart[], nowMs: number, backMs: number): number[] {
  const [from, to] = [firstEndingAfter(parts, nowMs - backMs), firstEndingAfter(parts, nowMs)]
  // The one under the playhead comes first, it is missed the most.
  const wanted = [to, ...Array.from({ length: Math.max(0, to - from) }, (_, n) => to - 1 - n), to + 1]
  return wanted.filter((at) => at < parts.length).map((at) => parts[at]!.part)
}

/** The first part that has a danmaku at `ms` or later; `parts.length` if none has. */
function firstEndingAfter(parts: readonly ReplayPart[], ms: number): number {
  return lowerBound(parts.length, (at) => parts[at]!.to_ms >= ms)
}

/** The first number below `length` for which something holds that holds for all after it, too. */
export function lowerBound(length: number, holds: (at: number) => boolean): number {
  let [from, to] = [0, length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (holds(middle)) to = middle
    else from = middle + 1
  }
  return from
}

export class PartStore {
  /** Changes with what is there. */
  readonly changes = shallowRef(0)
  /** Something that is wanted could not be loaded; it is tried again. */
  readonly trouble = shallowRef(false)
  private readonly kept = new Map<number, ReplayDanmaku[]>()
  private readonly loading = new Map<number, AbortController>()
  private readonly failures = new Map<number, { times: number; timer: number }>()
  private readonly wanted = new Map<string, number[]>()
  private destroyed = false

  /** `came` hears of each part that has been loaded; `deleted` are gone, although they may still be in a part. */
  constructor(
    readonly parts: readonly ReplayPart[],
    private readonly load: Load,
    private readonly came: (part: ReplayPart, danmaku: ReplayDanmaku[]) => void = () => {},
    private readonly deleted = new Set<string>(),
  ) {}

  /** What the stage or the list needs now. What nobody needs any more is not loaded to the end. */
  want(who: 'stage' | 'list', parts: number[]): void {
    if (this.destroyed) return
    const wanted = parts.slice(0, MOST_WANTED)
    const before = this.wanted.get(who)
    if (before?.length === wanted.length && before.every((part, at) => part === wanted[at])) return
    this.wanted.set(who, wanted)
    for (const [part, request] of this.loading) if (!this.isWanted(part)) request.abort()
    for (const [part, { timer }] of this.failures) if (!this.isWanted(part)) this.forget(part, timer)
    for (const part of wanted) {
      this.touch(part)
      this.get(part)
    }
    this.settle()
  }

  /** Tries at once what could not be loaded. */
  retry(): void {
    for (const [part, failure] of this.failures) {
      window.clearTimeout(failure.timer)
      this.get(part)
    }
  }

  /** A part's danmaku by time, or `undefined` while they are not there. */
  of(part: number): readonly ReplayDanmaku[] | undefined {
    return this.kept.get(part)
  }

  /** What appears from one moment on and before another, as far as it is there. */
  between(fromMs: number, beforeMs: number): ReplayDanmaku[] {
    const found: ReplayDanmaku[] = []
    for (let at = firstEndingAfter(this.parts, fromMs); at < this.parts.length && this.parts[at]!.from_ms < beforeMs; at++) {
      const danmaku = this.kept.get(this.parts[at]!.part) ?? []
      for (let n = lowerBound(danmaku.length, (n) => danmaku[n]!.at_ms >= fromMs); n < danmaku.length && danmaku[n]!.at_ms < beforeMs; n++) {
        if (!this.deleted.has(danmaku[n]!.id)) found.push(danmaku[n]!)
      }
    }
    return found
  }

  isDeleted = (id: string): boolean => this.deleted.has(id)

  delete(id: string): void {
    this.deleted.add(id)
    this.changes.value++
  }

  destroy(): void {
    this.destroyed = true
    for (const request of this.loading.values()) request.abort()
    for (const { timer } of this.failures.values()) window.clearTimeout(timer)
  }

  private isWanted(part: number): boolean {
    return [...this.wanted.values()].some((parts) => parts.includes(part))
  }

  private get(number: number): void {
    const part = this.parts.find((one) => one.part === number)
    if (!part || this.kept.has(number) || this.loading.has(number)) return
    const request = new AbortController()
    this.loading.set(number, request)
    this.load(number, request.signal).then(
      (danmaku) => this.take(part, danmaku, request),
      () => this.fail(number, request),
    )
  }

  private take(part: ReplayPart, danmaku: ReplayDanmaku[], request: AbortController): void {
    this.loading.delete(part.part)
    // It came although it was not waited for: no reason to throw it away.
    if (this.destroyed || (request.signal.aborted && !this.isWanted(part.part))) return
    this.forget(part.part, this.failures.get(part.part)?.timer)
    this.kept.set(part.part, danmaku)
    for (const old of this.kept.keys()) {
      if (this.kept.size > MOST_KEPT && !this.isWanted(old)) this.kept.delete(old)
    }
    this.changes.value++
    this.came(part, danmaku)
    this.settle()
  }

  private fail(part: number, request: AbortController): void {
    this.loading.delete(part)
    if (this.destroyed || !this.isWanted(part)) return
    // It was given up and is wanted again meanwhile.
    if (request.signal.aborted) return this.get(part)
    const times = (this.failures.get(part)?.times ?? 0) + 1
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (times - 1))
    const timer = window.setTimeout(() => this.get(part), wait * (0.75 + Math.random() / 2))
    this.failures.set(part, { times, timer })
    this.settle()
  }

  private forget(part: number, timer: number | undefined): void {
    window.clearTimeout(timer)
    this.failures.delete(part)
  }

  /** The last one in the map was wanted last. */
  private touch(part: number): void {
    const danmaku = this.kept.get(part)
    if (!danmaku) return
    this.kept.delete(part)
    this.kept.set(part, danmaku)
  }

  private settle(): void {
    this.trouble.value = this.failures.size > 0
  }
}
