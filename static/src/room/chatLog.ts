/** The lines of the chat list: danmaku in order, each once, with what happened in between. */
import { shallowRef } from 'vue'
import type { DanmakuEvent, Delivery, GapEvent, RoomRules } from '../api/contract'

export type Notice =
  | { what: 'opened' | 'closed' }
  | { what: 'rules'; rules: RoomRules }
  | { what: 'muted' | 'unmuted'; name: string }

export interface DanmakuLine { kind: 'danmaku'; key: string; danmaku: DanmakuEvent }
export interface NoticeLine { kind: 'notice'; key: string; notice: Notice }
export interface GapLine { kind: 'gap'; key: string; gap: GapEvent; left: number | null; readableAt: number }
export type Line = DanmakuLine | NoticeLine | GapLine

/** Lines kept while the visitor reads the newest ones. */
const KEPT = 400
/** Lines kept while they read older ones. */
const KEPT_READING = 2000
/** Lines read at once when the visitor scrolls up. */
export const OLDER_PAGE = 100
/** Ids remembered, so that no line comes twice or comes back after its deletion. */
const REMEMBERED = 5000
/** The list on the page follows in steps: fifty lines a second must not be fifty renderings. */
const STEP_MS = 100

export class ChatLog {
  /** What the page shows. */
  readonly lines = shallowRef<readonly Line[]>([])
  /** The visitor reads older lines: keep more of them. */
  reading = false
  /** Where older lines go on; `null` at the beginning, `undefined` before the first look. */
  olderCursor: string | null | undefined = undefined

  /** No room for older lines; whoever wants those reads the replay. */
  get full(): boolean {
    return this.all.length > KEPT_READING - OLDER_PAGE
  }

  private all: Line[] = []
  private readonly seen = new Set<string>()
  private readonly gone = new Set<string>()
  private keys = 0
  private step = 0

  /** True if the line is new. */
  add(danmaku: DanmakuEvent): boolean {
    if (!this.take(danmaku.id)) return false
    this.all.push(lineOf(danmaku))
    this.publishSoon()
    return true
  }

  /**
   * Lines from before the first one. How many were new. A page of history also holds lines
   * that the live stream left out; those beside lines that are here already stay out.
   */
  addOlder(danmaku: DanmakuEvent[]): number {
    const oldest = this.all.find((line) => line.kind === 'danmaku')
    const before = oldest?.kind === 'danmaku' ? oldest.danmaku.sent_at_ms : Infinity
    const fresh = danmaku.filter((one) => one.sent_at_ms <= before && this.take(one.id)).map(lineOf)
    this.all = [...fresh, ...this.all]
    this.publish()
    return fresh.length
  }

  note(notice: Notice): void {
    this.all.push({ kind: 'notice', key: `n${++this.keys}`, notice })
    this.publishSoon()
  }

  gap(gap: GapEvent, now: number): void {
    this.all.push({ kind: 'gap', key: `g${++this.keys}`, gap, left: gap.n, readableAt: now + gap.retry_after_ms })
    this.publishSoon()
  }

  /** The latest lines, from a `hello`. Some of them fill the gap that came before it. */
  addLatest(danmaku: DanmakuEvent[]): void {
    const fresh = danmaku.filter((one) => this.add(one)).length
    const gap = this.all.at(-1 - fresh)
    if (gap?.kind !== 'gap' || gap.left === null) return
    gap.left -= fresh
    if (gap.left <= 0) this.fillGap(gap.key, [])
  }

  /** Puts what was missed in the place of the gap. */
  fillGap(key: string, danmaku: DanmakuEvent[]): void {
    const at = this.all.findIndex((line) => line.key === key)
    if (at < 0) return
    const fresh = danmaku.filter((one) => this.take(one.id)).map(lineOf)
    this.all.splice(at, 1, ...fresh)
    this.publish()
  }

  knows(id: string): boolean {
    return this.seen.has(id) || this.gone.has(id)
  }

  /** What became of a line is known only after it was said. */
  mark(id: string, delivery: Delivery): void {
    const at = this.all.findIndex((line) => line.kind === 'danmaku' && line.danmaku.id === id)
    const line = this.all[at]
    if (line?.kind !== 'danmaku' || line.danmaku.delivery === delivery) return
    this.all[at] = lineOf({ ...line.danmaku, delivery })
    this.publishSoon()
  }

  remove(ids: string[]): void {
    const deleted = new Set(ids)
    for (const id of ids) remember(this.gone, id)
    this.all = this.all.filter((line) => line.kind !== 'danmaku' || !deleted.has(line.danmaku.id))
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
    this.trim()
    this.lines.value = [...this.all]
  }

  private publishSoon(): void {
    this.step ||= window.setTimeout(() => this.publish(), STEP_MS)
  }

  private trim(): void {
    const excess = this.all.length - (this.reading ? KEPT_READING : KEPT)
    if (excess <= 0) return
    for (const line of this.all.splice(0, excess)) {
      // Forgotten, so that it can be loaded again.
      if (line.kind === 'danmaku') this.seen.delete(line.danmaku.id)
    }
    this.olderCursor = undefined
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
