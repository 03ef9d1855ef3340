/**
 * What becomes of the visitor's own lines. The stream brings back those that were shown; of
 * the others only the server knows whether they were left out, folded or never announced.
 */
import type { Danmaku, DanmakuEvent } from '../api/contract'
import type { ChatLog } from './chatLog'

/** By then the server knows what became of a line, and if it did not, it is asked once more. */
const ASK_AFTER_MS = [2_000, 6_000] as const
/** Lines that many said, of the last moments: one's own may be counted in one of them. */
const REMEMBERED = 50

export class OwnLines {
  private readonly timers = new Set<number>()
  private readonly folded = new Map<string, number>()
  private left = false

  constructor(
    private readonly log: ChatLog,
    private readonly read: (id: string) => Promise<Danmaku>,
  ) {}

  /** A line that the stream brought. */
  heard({ text, count }: DanmakuEvent): void {
    if (!count || count < 2) return
    this.folded.delete(text)
    this.folded.set(text, count)
    if (this.folded.size > REMEMBERED) this.folded.delete(this.folded.keys().next().value!)
  }

  /** A line that was just sent. */
  follow({ id }: { id: string }, asked = 0): void {
    if (this.left) return
    const wait = ASK_AFTER_MS[asked]! - (ASK_AFTER_MS[asked - 1] ?? 0)
    const timer = window.setTimeout(() => {
      this.timers.delete(timer)
      void this.ask(id, asked)
    }, wait)
    this.timers.add(timer)
  }

  /** Asks for nothing any more. */
  leave(): void {
    this.left = true
    for (const timer of this.timers) window.clearTimeout(timer)
    this.timers.clear()
  }

  private async ask(id: string, asked: number): Promise<void> {
    if (this.log.deliveryOf(id) === 'live') return
    // Nice to know, no more: what can't be read isn't told.
    const danmaku = await this.read(id).catch(() => null)
    if (!danmaku?.delivery || this.log.deliveryOf(id) === 'live') return
    if (danmaku.delivery === 'stored' && asked + 1 < ASK_AFTER_MS.length) return this.follow(danmaku, asked + 1)
    this.log.mark(id, danmaku.delivery, danmaku.delivery === 'live' ? this.folded.get(danmaku.text) : undefined)
  }
}
