/** The lines of the chat list: danmaku in order, each once, with what happened in between. */
import { shallowRef } from 'vue'
import type { DanmakuEvent, Delivery, GapEvent, RoomRules } from '../api/contract'

export type Notice =
  | { what: 'opened' | 'closed' }
  | { what: 'rules'; rules: RoomRules }
  | { what: 'muted' | 'unmuted'; name: string }
  | LotteryNotice

export interface LotteryNotice {
  what: 'lottery-opened' | 'lottery-drawn' | 'lottery-redrawn' | 'lottery-cancelled'
  lottery: string
  title: string
  /** A rehearsal. */
  test: boolean
  /** Some of those who won, */
  names: string[]
  /** of so many. */
  total: number
  /** Why it was called off. */
  reason: string
}

export interface DanmakuLine { kind: 'danmaku'; key: string; danmaku: DanmakuEvent }
export interface NoticeLine { kind: 'notice'; key: string; notice: Notice }
export interface GapLine {
  kind: 'gap'
  key: string
  /** How many events of the stream did not come, lines and others; `null` if only that there are some is known. */
  left: number | null
  /** History cursors around them. */
  from: string | null
  to: string | null
  /** The last line that the stream brought before them. */
  last: DanmakuEvent | null
  readableAt: number
}
export type Line = DanmakuLine | NoticeLine | GapLine

/** Lines kept while the visitor reads the newest ones. Full: the oldest goes; the history has it. */
const KEPT = 400
/** Lines kept while they read older ones: what they read must not go from under their eyes. */
const KEPT_READING = 2000
/** So many of the newest wait beyond those. Full: the oldest of them goes. */
const KEPT_WAITING = KEPT
/** Trimming takes place in portions of so many at least. */
const PORTION = 200
/** Lines read at once when the visitor scrolls up. */
export const OLDER_PAGE = 100
/** Ids remembered, so that no line comes twice or comes back after its deletion. */
const REMEMBERED = 5000
/** The list on the page follows in steps: fifty lines a second must not be fifty renderings. */
const STEP_MS = 100

export class ChatLog {
  /** What the page shows. */
  readonly lines = shallowRef<readonly Line[]>([])
  /** How many lines have come since the visitor left the newest ones. */
  readonly unread = shallowRef(0)
  /** Where older lines go on; `null` at the beginning, `undefined` before the first look. */
  olderCursor: string | null | undefined = undefined

  private all: Line[] = []
  /** Lines from here on wait unseen, while the visitor reads those before. */
  private waitingFrom: number | null = null
  /** Some of those that waited are not kept. */
  private hasHole = false
  private isReading = false
  private arrived = 0
  private readonly seen = new Set<string>()
  private readonly gone = new Set<string>()
  private keys = 0
  private step = 0

  /** The visitor reads older lines: they stay where they are, and the newest ones wait. */
  get reading(): boolean {
    return this.isReading
  }

  set reading(now: boolean) {
    if (now === this.isReading) return
    this.isReading = now
    this.arrived = 0
    this.publish()
  }

  /** No room for older lines; whoever wants those reads the replay. */
  get full(): boolean {
    return this.all.length > KEPT_READING - OLDER_PAGE
  }

  /** True if the line is new. */
  add(danmaku: DanmakuEvent): boolean {
    if (!this.take(danmaku.id)) return false
    this.push(lineOf(danmaku))
    return true
  }

  /**
   * Lines from before the first one. How many were new. A page of history also holds lines
   * that the live stream left out; those beside lines that are here already stay out.
   */
  addOlder(danmaku: DanmakuEvent[]): number {
    const before = this.oldest?.sent_at_ms ?? Infinity
    const fresh = danmaku.filter((one) => one.sent_at_ms <= before && this.take(one.id)).map(lineOf)
    this.all = [...fresh, ...this.all]
    this.publish()
    return fresh.length
  }

  get oldest(): DanmakuEvent | null {
    const line = this.all.find((line) => line.kind === 'danmaku')
    return line?.kind === 'danmaku' ? line.danmaku : null
  }

  note(notice: Notice): void {
    this.push({ kind: 'notice', key: `n${++this.keys}`, notice })
  }

  gap({ n, from, to, retry_after_ms }: GapEvent, now: number, last: DanmakuEvent | null = null): void {
    this.push({ kind: 'gap', key: `g${++this.keys}`, left: n, from, to, last, readableAt: now + retry_after_ms })
  }

  /** The line with which the list goes on after a gap. */
  nextAfter(key: string): DanmakuEvent | null {
    const gap = this.all.findIndex((line) => line.key === key)
    const next = gap < 0 ? undefined : this.all.find((line, at) => at > gap && line.kind === 'danmaku')
    return next?.kind === 'danmaku' ? next.danmaku : null
  }

  /** The latest lines, from a `hello`. Some of them fill the gap that came before it. */
  addLatest(danmaku: DanmakuEvent[]): void {
    const fresh = danmaku.filter((one) => this.add(one)).length
    const gap = this.all.at(-1 - fresh)
    if (gap?.kind !== 'gap' || gap.left === null) return
    gap.left -= fresh
    if (gap.left <= 0) this.fillGap(gap.key, [])
  }

  /** Puts what was missed in the place of the gap; what is missed still comes after it. */
  fillGap(key: string, danmaku: DanmakuEvent[], rest: { from: string } | null = null): void {
    const at = this.all.findIndex((line) => line.key === key)
    const gap = this.all[at]
    if (gap?.kind !== 'gap') return
    const fresh: Line[] = danmaku.filter((one) => this.take(one.id)).map(lineOf)
    // How many of those that were read had been shown live is not known, so neither is how many are left.
    if (rest) fresh.push({ ...gap, from: rest.from, left: null })
    this.all.splice(at, 1, ...fresh)
    if (this.waitingFrom !== null) {
      this.waitingFrom += fresh.length - 1
      // Who fills gaps reads on, so the oldest may go.
      this.dropOldest(this.waitingFrom - KEPT_READING)
    }
    this.publish()
  }

  knows(id: string): boolean {
    return this.seen.has(id) || this.gone.has(id)
  }

  /** The stream brought a line that is here already: the sender's own. Now it is known who said the same. */
  shown({ id, count }: DanmakuEvent): void {
    this.change(id, { delivery: 'live', ...(count && { count }) })
  }

  /** What became of a line is known only after it was said. */
  mark(id: string, delivery: Delivery, counted_in?: number): void {
    this.change(id, { delivery, ...(counted_in && { counted_in }) })
  }

  deliveryOf(id: string): Delivery | undefined {
    const line = this.all[this.indexOf(id)]
    return line?.kind === 'danmaku' ? line.danmaku.delivery : undefined
  }

  remove(ids: string[]): void {
    const deleted = new Set(ids)
    for (const id of ids) remember(this.gone, id)
    const stays = (line: Line) => line.kind !== 'danmaku' || !deleted.has(line.danmaku.id)
    if (this.waitingFrom !== null) this.waitingFrom = this.all.slice(0, this.waitingFrom).filter(stays).length
    this.all = this.all.filter(stays)
    this.publish()
  }

  nameOf(userId: string): string | null {
    for (let at = this.all.length - 1; at >= 0; at--) {
      const line = this.all[at]!
      if (line.kind === 'danmaku' && line.danmaku.sender.id === userId) return line.danmaku.sender.name
    }
    return null
  }

  /** Shows what was added, now. */
  publish(): void {
    window.clearTimeout(this.step)
    this.step = 0
    this.trim(0)
    this.lines.value = this.all.slice(0, this.waitingFrom ?? undefined)
    this.unread.value = this.isReading ? this.arrived : 0
  }

  private push(line: Line): void {
    this.all.push(line)
    this.arrived += 1
    // A hidden tab shows nothing for hours; what it holds must be bounded all the same.
    this.trim(PORTION)
    this.publishSoon()
  }

  /** In the next frame after the step; a hidden tab has none. */
  private publishSoon(): void {
    this.step ||= window.setTimeout(() => window.requestAnimationFrame(() => this.step && this.publish()), STEP_MS)
  }

  private trim(slack: number): void {
    if (this.isReading) return this.trimWaiting(slack)
    if (this.hasHole) this.dropOldest(this.waitingFrom ?? 0)
    this.hasHole = false
    this.waitingFrom = null
    const excess = this.all.length - KEPT
    if (excess > slack) this.dropOldest(excess)
  }

  private trimWaiting(slack: number): void {
    if (this.all.length > KEPT_READING) this.waitingFrom ??= KEPT_READING
    if (this.waitingFrom === null) return
    const excess = this.all.length - this.waitingFrom - KEPT_WAITING
    if (excess <= slack) return
    this.forget(this.all.splice(this.waitingFrom, excess))
    this.hasHole = true
  }

  private dropOldest(n: number): void {
    if (n <= 0) return
    this.forget(this.all.splice(0, n))
    if (this.waitingFrom !== null) this.waitingFrom -= n
    this.olderCursor = undefined
  }

  /** What is not kept can be loaded again. */
  private forget(lines: Line[]): void {
    for (const line of lines) if (line.kind === 'danmaku') this.seen.delete(line.danmaku.id)
  }

  private change(id: string, to: Partial<DanmakuEvent>): void {
    const at = this.indexOf(id)
    const line = this.all[at]
    if (line?.kind !== 'danmaku') return
    this.all[at] = lineOf({ ...line.danmaku, ...to })
    this.publishSoon()
  }

  private indexOf(id: string): number {
    // Mostly it is one of the last.
    for (let at = this.all.length - 1; at >= 0; at--) {
      const line = this.all[at]!
      if (line.kind === 'danmaku' && line.danmaku.id === id) return at
    }
    return -1
  }

  private take(id: string): boolean {
    if (this.knows(id)) return false
    remember(this.seen, id)
    return true
  }
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id)
  if (ids.size > REMEMBERED) ids.delete(ids.values().next().value!)
}

function lineOf(danmaku: DanmakuEvent): DanmakuLine {
  return { kind: 'danmaku', key: danmaku.id, danmaku }
}
