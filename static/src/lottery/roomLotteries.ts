/** The lotteries of a room, as its stream tells of them, and the visitor's part in them. */
import { computed, ref, shallowRef } from 'vue'
import { Problem, call } from '../api/call'
import type { LotteryEvent, LotteryState, MyEntry, RoomLottery } from '../api/lottery'
import type { Page } from '../api/contract'
import type { Receipt } from '../draw/documents'
import { serverClock, serverNow } from '../shell/clock'
import { keep, receiptOf } from './keepsakes'
import { type Lottery, isDecided, isWinner, ofRest, ofState } from './lottery'
import { heardOf } from './myPrizes'

/** What was decided stays in view for so long. */
const IN_VIEW_MS = 180_000
/** An announcement that is older than this when it is heard proves nothing: the seed may have been known. */
const IN_TIME_MS = 60_000
/** A whole audience must not ask in the same instant. */
const SPREAD_MS = 3_000
/** What was decided or folded away is forgotten beyond so many; the history has it. */
const MOST = 30

export class RoomLotteries {
  /** The one that the visitor looks at. */
  readonly opened = ref<string | null>(null)
  private readonly all = shallowRef<readonly Lottery[]>([])
  private user: string | undefined
  private left = false

  /** Those on the page: the next draw first, then what was decided lately. */
  readonly inView = computed(() => {
    const shown = this.all.value.filter((lottery) => !isDecided(lottery) || serverClock.value - (lottery.decided_at_ms ?? 0) < IN_VIEW_MS)
    const [open, decided] = [shown.filter((one) => !isDecided(one)), shown.filter(isDecided)]
    return [...open.sort((a, b) => a.draw_at_ms - b.draw_at_ms), ...decided.sort((a, b) => b.decided_at_ms! - a.decided_at_ms!)]
  })

  constructor(private readonly tell: (event: LotteryEvent, lottery: Lottery) => void) {}

  find(id: string): Lottery | null {
    return this.all.value.find((lottery) => lottery.id === id) ?? null
  }

  /** Somebody signed in or out. */
  visitor(user: string | undefined): void {
    this.user = user
    for (const { id } of this.all.value) this.change(id, { receipt: receiptOf(id, user), mine: null, barred: null })
    this.readMineSoon()
  }

  /** All that are on, and those that were decided lately. */
  hello(states: LotteryState[]): void {
    const missed = this.all.value.filter((lottery) => !isDecided(lottery) && !states.some(({ id }) => id === lottery.id))
    for (const state of states) this.take(state)
    // They were decided while nobody was listening.
    for (const { id } of missed) this.readSoon(id)
    for (const { id, phase } of states) if (phase === 'drawn' && this.find(id)?.winners.length === 0) this.readSoon(id)
    this.readMineSoon()
  }

  event(event: LotteryEvent): void {
    const { change, lottery: state, lottery_id: id, entrants, winners, winners_total } = event
    const known = this.find(id)
    if (state) this.take(state)
    // Several servers tell how many are in; nobody leaves, so a smaller number is an older one.
    else if (known) this.change(id, { entrants: Math.max(known.entrants, entrants) })
    if (winners) this.change(id, { winners, winners_total: winners_total ?? winners.length })
    const lottery = this.find(id)
    if (!lottery || change === 'entered' || change === 'unknown') return
    this.tell(event, lottery)
    if (change === 'drawn' || change === 'redrawn' || change === 'cancelled') this.readResult(lottery)
  }

  /** The visitor is in. */
  entered(receipt: Receipt): boolean {
    const lottery = this.find(receipt.lottery_id)
    const isKept = keep(receipt.lottery_id, lottery?.title ?? '', 'receipts', receipt)
    this.change(receipt.lottery_id, { receipt, barred: null })
    return isKept
  }

  /** The lottery is not for this visitor, as far as is known now. */
  bar(id: string, barred: Lottery['barred']): void {
    this.change(id, { barred })
  }

  async enter(id: string): Promise<boolean> {
    const { receipt } = await call<{ receipt: Receipt }>('PUT', `/lotteries/${id}/entries/me`)
    return this.entered(receipt)
  }

  takeMine(mine: MyEntry): void {
    this.entered(mine.receipt)
    this.change(mine.lottery_id, { mine })
    heardOf(mine)
  }

  /** The lottery with its winners, as REST has it. */
  async read(id: string): Promise<Lottery> {
    return this.takeRest(await call<RoomLottery>('GET', `/lotteries/${id}`))
  }

  takeRest(rest: RoomLottery): Lottery {
    const lottery = ofRest(rest)
    const known = this.find(rest.id)
    if (known) {
      const { receipt, mine, version, barred } = known
      this.change(rest.id, { ...lottery, version, receipt, mine, barred })
    }
    return this.find(rest.id) ?? { ...lottery, receipt: receiptOf(rest.id, this.user) }
  }

  /** The visitor's entry; `null` if there is none. */
  async readEntry(id: string): Promise<MyEntry | null> {
    return call<MyEntry>('GET', `/lotteries/${id}/entries/me`).catch((problem) => {
      if (problem instanceof Problem && problem.code === 'no-such-entry') return null
      throw problem
    })
  }

  leave(): void {
    this.left = true
  }

  private take(state: LotteryState): void {
    this.keep(state)
    const known = this.find(state.id)
    if (!known) {
      this.all.value = [...this.all.value, { ...ofState(state), receipt: receiptOf(state.id, this.user) }].slice(-MOST)
    } else if (state.version >= known.version) {
      this.change(state.id, state)
    }
  }

  private keep({ id, title, phase, opened, closed, cancelled, draw_at_ms }: LotteryState): void {
    const now = serverNow()
    keep(id, title, 'opened', opened, { inTime: phase === 'open' && now < draw_at_ms })
    if (closed) keep(id, title, 'closed', closed, { inTime: phase === 'closed' && now < closed.closed_at_ms + IN_TIME_MS })
    if (cancelled) keep(id, title, 'cancelled', cancelled)
  }

  private change(id: string, to: Partial<Lottery>): void {
    this.all.value = this.all.value.map((lottery) => (lottery.id === id ? { ...lottery, ...to } : lottery))
  }

  /** The first hundred winners are in the event; only who may be among the others has to ask. */
  private readResult(lottery: Lottery): void {
    if (!this.user || !lottery.receipt) return
    const isKnown = lottery.phase === 'cancelled' || lottery.winners_total <= lottery.winners.length
    if (isWinner({ ...lottery, mine: null }, this.user)) void this.readMine(lottery.id)
    else if (isKnown && !lottery.mine) return
    else this.soon(() => this.readMine(lottery.id))
  }

  private async readMine(id: string): Promise<void> {
    const mine = await this.readEntry(id).catch(() => null)
    if (mine) this.takeMine(mine)
  }

  private readSoon(id: string): void {
    this.soon(() => this.read(id).catch(() => {}))
  }

  /** Entries that another device made, or an earlier visit of which nothing was kept. */
  private readMineSoon(): void {
    const unknown = () => this.all.value.filter(({ receipt, mine, phase }) => !receipt || (phase === 'drawn' && !mine))
    const user = this.user
    if (!user || unknown().length === 0) return
    this.soon(async () => {
      const ids = unknown().map(({ id }) => id)
      if (this.user !== user || ids.length === 0) return
      const read = await call<Page<MyEntry>>('GET', '/me/lotteries', { query: { limit: 50 } }).catch(() => null)
      for (const mine of read?.items ?? []) if (this.user === user && ids.includes(mine.lottery_id)) this.takeMine(mine)
    })
  }

  private soon(work: () => unknown): void {
    window.setTimeout(() => this.left || work(), Math.random() * SPREAD_MS)
  }
}
