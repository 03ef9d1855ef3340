/**
 * The event stream of a room. The browser's EventSource comes back by itself after a
 * break and says where it stood. This adds what it cannot do: leases that end with `bye`,
 * refusals that make it give up, and connections that died unseen while the machine slept.
 */
import { type Ref, ref } from 'vue'
import type { LotteryEvent } from '../api/lottery'
import type { ByeEvent, DanmakuEvent, GapEvent, HelloEvent, ModerationEvent, RoomEvent, SuppressedEvent, ViewersEvent, WelcomeEvent } from '../api/contract'

export interface StreamEvents {
  welcome: WelcomeEvent
  hello: HelloEvent
  danmaku: DanmakuEvent
  room: RoomEvent
  viewers: ViewersEvent
  moderation: ModerationEvent
  lottery: LotteryEvent
  suppressed: SuppressedEvent
  gap: GapEvent
  bye: ByeEvent
}

export type StreamHandlers = { [E in keyof StreamEvents]: (event: StreamEvents[E]) => void } & {
  /** The server refused the connection; what can be mended (a log-in) is mended here first. */
  refused: () => Promise<void>
}

export type StreamState = 'connecting' | 'online' | 'reconnecting' | 'away'

const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 30_000
/** A hidden tab's connection is renewed when somebody looks again after so long. */
const HIDDEN_LONG_MS = 300_000
/** A timer that is late by so much has slept through it. */
const SLEPT_MS = 180_000
const TICK_MS = 10_000

export class RoomStream {
  readonly state: Ref<StreamState> = ref('connecting')
  private source: EventSource | null = null
  private lastEventId = ''
  private refusals = 0
  private timer = 0
  private readonly wakeTimer: number
  private tickedAt = Date.now()
  private hiddenAt = 0

  constructor(
    private readonly room: string,
    private readonly handlers: StreamHandlers,
    /** How many ordinary danmaku a second the viewer asks for at most; `null` for all that are shown. */
    private readonly mostPerS: () => number | null = () => null,
  ) {
    this.wakeTimer = window.setInterval(() => this.tick(), TICK_MS)
    document.addEventListener('visibilitychange', this.onVisibility)
    window.addEventListener('online', this.onOnline)
  }

  /** Connects, or connects anew: what was missed meanwhile still comes. */
  connect(): void {
    if (this.state.value !== 'connecting') this.state.value = 'reconnecting'
    this.open()
  }

  /** The viewer asks for more or fewer from now on: the same stream goes on where it stands. */
  askAnew(): void {
    // Who is not connected asks when they are.
    if (this.source) this.open()
  }

  private open(): void {
    this.disconnect()
    const source = new EventSource(`/api/v1/rooms/${this.room}/events${this.query()}`)
    this.source = source
    source.onerror = () => this.onError(source)
    const names: (keyof StreamEvents)[] = ['welcome', 'hello', 'danmaku', 'room', 'viewers', 'moderation', 'lottery', 'suppressed', 'gap', 'bye']
    for (const name of names) {
      source.addEventListener(name, (message: MessageEvent<string>) => {
        if (this.source === source) this.receive(name, message)
      })
    }
  }

  /** Stays away until `connect`. */
  leave(): void {
    this.disconnect()
    this.state.value = 'away'
  }

  destroy(): void {
    this.disconnect()
    window.clearInterval(this.wakeTimer)
    document.removeEventListener('visibilitychange', this.onVisibility)
    window.removeEventListener('online', this.onOnline)
  }

  private query(): string {
    const query = new URLSearchParams()
    if (this.lastEventId) query.set('last_event_id', this.lastEventId)
    const rate = this.mostPerS()
    if (rate !== null) query.set('rate', String(rate))
    const text = query.toString()
    return text && `?${text}`
  }

  private receive<E extends keyof StreamEvents>(name: E, message: MessageEvent<string>): void {
    // Also of events without an id of their own: heartbeats have moved it on unseen.
    if (message.lastEventId) this.lastEventId = message.lastEventId
    const event = JSON.parse(message.data) as StreamEvents[E]
    if (name === 'welcome') {
      this.refusals = 0
      this.state.value = 'online'
    }
    if (name === 'bye') this.onBye(event as ByeEvent)
    ;(this.handlers[name] as (event: StreamEvents[E]) => void)(event)
  }

  private onBye(bye: ByeEvent): void {
    this.disconnect()
    if (bye.reconnect_in_ms === null) this.state.value = 'away'
    else this.later(bye.reconnect_in_ms)
  }

  private onError(source: EventSource): void {
    if (this.source !== source) return
    if (this.state.value !== 'connecting') this.state.value = 'reconnecting'
    // Still trying, after the time that the server asked for.
    if (source.readyState !== EventSource.CLOSED) return
    this.disconnect()
    this.refusals += 1
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.refusals - 1))
    // Spread, so that a whole audience does not come back in the same instant.
    this.later(wait * (0.5 + Math.random()), true)
  }

  private later(ms: number, refused = false): void {
    this.timer = window.setTimeout(async () => {
      if (refused) await this.handlers.refused()
      if (this.timer) this.connect()
    }, ms)
  }

  private disconnect(): void {
    window.clearTimeout(this.timer)
    this.timer = 0
    this.source?.close()
    this.source = null
  }

  private tick(): void {
    const late = Date.now() - this.tickedAt - TICK_MS
    this.tickedAt = Date.now()
    if (late > SLEPT_MS && this.source) this.connect()
  }

  private readonly onVisibility = (): void => {
    if (document.hidden) this.hiddenAt = Date.now()
    else if (this.source && this.hiddenAt && Date.now() - this.hiddenAt > HIDDEN_LONG_MS) this.connect()
  }

  private readonly onOnline = (): void => {
    if (this.state.value !== 'away') this.connect()
  }
}
