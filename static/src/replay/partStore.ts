/** The danmaku of a replay, of which only the parts around what is watched and read are kept. */
import { shallowRef } from 'vue'
import type { ReplayDanmaku, ReplayPart } from '../api/replay'

/** So many danmaku are kept, in parts of 1 to 6,000. Full: the part that was wanted the longest ago goes. */
const MOST_KEPT = 48_000
/** Who wants more danmaku than these at once gets the first parts of them. */
const MOST_WANTED = 24_000
/** Where little was said, what is in view are dozens of small parts. */
const MOST_REQUESTS = 4
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
  /** `timer` is 0 once its wait is over. */
  private readonly failures = new Map<number, { times: number; timer: number }>()
  private readonly wanted = { stage: [] as number[], list: [] as number[] }
  private readonly byNumber: Map<number, ReplayPart>
  private keptDanmaku = 0
  private destroyed = false

  /** `came` hears of each part that has been loaded; `deleted` are gone, although they may still be in a part. */
  constructor(
    readonly parts: readonly ReplayPart[],
    private readonly load: Load,
    private readonly came: (part: ReplayPart, danmaku: ReplayDanmaku[]) => void = () => {},
    private readonly deleted = new Set<string>(),
  ) {
    this.byNumber = new Map(parts.map((part) => [part.part, part]))
  }

  /** What the stage or the list needs now. What nobody needs any more is not loaded to the end. */
  want(who: 'stage' | 'list', parts: number[]): void {
    if (this.destroyed) return
    const wanted = this.firstOf(parts)
    const before = this.wanted[who]
    if (before.length === wanted.length && before.every((part, at) => part === wanted[at])) return
    this.wanted[who] = wanted
    for (const [part, request] of this.loading) if (!this.isWanted(part)) request.abort()
    for (const part of this.failures.keys()) if (!this.isWanted(part)) this.forget(part)
    for (const part of wanted) this.touch(part)
    this.getMore()
    this.settle()
  }

  /** Tries at once what could not be loaded. */
  retry(): void {
    for (const failure of this.failures.values()) {
      window.clearTimeout(failure.timer)
      failure.timer = 0
    }
    this.getMore()
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
    return this.wanted.stage.includes(part) || this.wanted.list.includes(part)
  }

  /** The first of them that are not too many danmaku together; one of them in any case. */
  private firstOf(parts: readonly number[]): number[] {
    let danmaku = 0
    return parts.filter((part, at) => (danmaku += this.byNumber.get(part)?.danmaku_count ?? 0) <= MOST_WANTED || at === 0)
  }

  /** Asks for what is wanted and not there, what the stage misses before what the list does. */
  private getMore(): void {
    for (const number of [...this.wanted.stage, ...this.wanted.list]) {
      if (this.destroyed || this.loading.size >= MOST_REQUESTS) return
      const part = this.byNumber.get(number)
      const isWaiting = (this.failures.get(number)?.timer ?? 0) !== 0
      if (part && !isWaiting && !this.kept.has(number) && !this.loading.has(number)) this.get(part)
    }
  }

  private get(part: ReplayPart): void {
    const number = part.part
    const request = new AbortController()
    this.loading.set(number, request)
    this.load(number, request.signal).then(
      (danmaku) => this.take(part, danmaku, request),
      () => this.fail(number, request),
    )
  }

  private take(part: ReplayPart, danmaku: ReplayDanmaku[], request: AbortController): void {
    this.loading.delete(part.part)
    if (this.destroyed) return
    // Given up, it may have come all the same, and may be wanted again.
    if (!request.signal.aborted || this.isWanted(part.part)) this.keep(part, danmaku)
    this.getMore()
    this.settle()
  }

  private keep(part: ReplayPart, danmaku: ReplayDanmaku[]): void {
    this.forget(part.part)
    this.kept.set(part.part, danmaku)
    this.keptDanmaku += danmaku.length
    this.dropOldest()
    this.changes.value++
    this.came(part, danmaku)
  }

  private dropOldest(): void {
    for (const [old, danmaku] of this.kept) {
      if (this.keptDanmaku <= MOST_KEPT) return
      if (this.isWanted(old)) continue
      this.kept.delete(old)
      this.keptDanmaku -= danmaku.length
    }
  }

  private fail(part: number, request: AbortController): void {
    this.loading.delete(part)
    if (this.destroyed) return
    // What was given up is asked for again if it is wanted again meanwhile.
    if (this.isWanted(part) && !request.signal.aborted) this.tryLater(part)
    this.getMore()
    this.settle()
  }

  private tryLater(part: number): void {
    const times = (this.failures.get(part)?.times ?? 0) + 1
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (times - 1))
    const failure = { times, timer: 0 }
    failure.timer = window.setTimeout(() => {
      failure.timer = 0
      this.getMore()
    }, wait * (0.75 + Math.random() / 2))
    this.failures.set(part, failure)
  }

  private forget(part: number): void {
    window.clearTimeout(this.failures.get(part)?.timer)
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
