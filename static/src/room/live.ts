/** A room as it is lived: its stream, its chat, who the visitor is in it. One per open page. */
import { computed, onScopeDispose, reactive, ref, watch } from 'vue'
import { account, accountSettled, dropSignIn, renew } from '../account/account'
import { Problem, type Request, call } from '../api/call'
import {
  type Danmaku, type DanmakuBody, type DanmakuEvent, type History, type Person, type Room, type RoomState, type RoomRules, type Session, asEvent, cursorAt,
} from '../api/contract'
import { RoomLotteries } from '../lottery/roomLotteries'
import { serverNow, setServerTime } from '../shell/clock'
import { ChatLog, type GapLine, OLDER_PAGE } from './chatLog'
import { noticeOf } from './lotteryNotice'
import { FlowAccount } from './flow'
import { beginning, isPast, wasMissed } from './missed'
import { OwnLines } from './ownLines'
import { RoomStream, type StreamHandlers } from './stream'

/** Older lines are caught up in the list only; a thousand at once would be no danmaku but a wall. */
const FRESH_MS = 5_000
/** The most pages read at once to find what is older, or what was missed. */
const MOST_PAGES = 5
const GAP_PAGE = 200
/** Who tries several rates in a row gets one new stream. */
const RATE_SETTLES_MS = 300

export interface Flyer {
  fly(danmaku: DanmakuEvent, own: boolean): void
  hide(ids: string[]): void
}

export type LiveRoom = ReturnType<typeof useLiveRoom>

/** `mostPerS`: how many ordinary danmaku a second the viewer asks for at most. */
export function useLiveRoom(id: string, mostPerS: () => number | null = () => null) {
  const room = ref<Room | null>(null)
  const trouble = ref<'gone' | 'guests-out' | 'revoked' | null>(null)
  const viewers = ref<number | null>(null)
  const endedAfterMs = ref<number | null>(null)
  const admins = ref<Person[]>([])
  /** Until when the visitor is muted here; Infinity for good. */
  const mutedUntil = ref<number | null>(null)
  const log = new ChatLog()
  const flow = new FlowAccount()
  const own = new OwnLines(log, (danmaku) => call<Danmaku>('GET', `/rooms/${id}/danmaku/${danmaku}`))
  const lotteries = new RoomLotteries((event, lottery) => {
    const notice = noticeOf(event, lottery)
    if (notice) log.note(notice)
  })
  /** Broadcasts in which the visitor has said something, as far as this page knows. */
  const postedIn = reactive(new Set<string>())
  const flyers = new Set<Flyer>()
  /** The last line that the stream brought: what is missed comes after it. */
  let streamed: DanmakuEvent | null = null
  let version = 0
  let renewedAt = 0

  const role = computed(() => {
    const me = account.value
    if (!me || !room.value) return 'guest'
    if (me.id === room.value.owner.id) return 'owner'
    if (me.role === 'site_admin' || admins.value.some((admin) => admin.id === me.id)) return 'admin'
    return 'viewer'
  })
  const moderates = computed(() => role.value === 'owner' || role.value === 'admin')

  const isOwn = (danmaku: DanmakuEvent) => danmaku.sender.id === account.value?.id

  function receive(danmaku: DanmakuEvent, fresh: boolean): void {
    if (!log.add(danmaku)) return
    if (isOwn(danmaku)) postedIn.add(danmaku.session_id)
    if (fresh) for (const flyer of flyers) flyer.fly(danmaku, isOwn(danmaku))
  }

  function onDanmaku(danmaku: DanmakuEvent): void {
    flow.receive()
    streamed = danmaku
    own.heard(danmaku)
    if (log.knows(danmaku.id)) log.shown(danmaku)
    else receive(isOwn(danmaku) ? { ...danmaku, delivery: 'live' } : danmaku, serverNow() - danmaku.sent_at_ms < FRESH_MS)
  }

  /** The stream's state of the room; what it does not carry stays. */
  function adopt(state: RoomState): void {
    if (!room.value || state.version < version) return
    version = state.version
    const before = room.value.session
    if (before && !state.session) endedAfterMs.value = serverNow() - before.opened_at_ms
    const { version: _, ...known } = state
    room.value = { ...room.value, ...known }
  }

  const handlers: StreamHandlers = {
    welcome: ({ server_time_ms, user_id }) => {
      setServerTime(server_time_ms)
      // The log-in had expired when the stream was opened: renew it and come in by name.
      if (account.value && user_id === null && Date.now() - renewedAt > 60_000) {
        renewedAt = Date.now()
        void renew().then((renewed) => renewed && stream.connect(), () => {})
      }
    },
    hello: (hello) => {
      adopt(hello.room)
      viewers.value = hello.viewers
      flow.begin(hello.totals, Date.now())
      streamed = hello.danmaku.at(-1) ?? streamed
      log.addLatest(hello.danmaku)
      log.publish()
      for (const danmaku of hello.danmaku) if (isOwn(danmaku)) postedIn.add(danmaku.session_id)
      lotteries.hello(hello.lotteries ?? [])
    },
    danmaku: onDanmaku,
    room: ({ change, room: state }) => {
      adopt(state)
      if (change === 'opened' || change === 'closed') log.note({ what: change })
      if (change === 'opened') {
        endedAfterMs.value = null
        mutedUntil.value = null
      }
      if (change === 'rules') log.note({ what: 'rules', rules: state.rules })
      if (change === 'edited') void readRoom()
    },
    viewers: ({ connections }) => (viewers.value = connections),
    moderation: ({ deleted, muted }) => {
      flow.deleted(deleted.length)
      takeAway(deleted)
      if (!muted) return
      if (muted.user_id === account.value?.id) mutedUntil.value = muted.muted ? (muted.until_ms ?? Infinity) : null
      const name = log.nameOf(muted.user_id)
      if (name) log.note({ what: muted.muted ? 'muted' : 'unmuted', name })
    },
    lottery: (event) => lotteries.event(event),
    suppressed: (totals) => flow.take(totals, Date.now()),
    gap: (gap) => log.gap({ ...gap, from: beginning(streamed) ?? gap.from }, Date.now(), streamed),
    bye: ({ reason }) => {
      if (reason === 'revoked') {
        trouble.value = 'revoked'
        dropSignIn()
      }
      if (reason === 'guests_out') trouble.value = 'guests-out'
    },
    refused: async () => {
      if (account.value) await renew().catch(() => {})
      await readRoom().catch(() => {})
      if (trouble.value === 'gone') stream.leave()
      else shutOutGuests()
    },
  }
  const stream = new RoomStream(id, handlers, mostPerS)

  function takeAway(ids: string[]): void {
    if (ids.length === 0) return
    log.remove(ids)
    for (const flyer of flyers) flyer.hide(ids)
  }

  async function readRoom(): Promise<void> {
    try {
      room.value = await call<Room>('GET', `/rooms/${id}`)
      viewers.value ??= room.value.viewers
    } catch (problem) {
      if (problem instanceof Problem && problem.code === 'no-such-room') trouble.value = 'gone'
      else throw problem
    }
  }

  async function readAdmins(): Promise<void> {
    const read = account.value ? await call<{ items: Person[] }>('GET', `/rooms/${id}/admins`).catch(() => null) : null
    admins.value = read?.items ?? []
  }

  /** Comes in, again whenever somebody signs in or out: the stream is opened for an account. */
  async function enter(): Promise<void> {
    if (trouble.value !== 'gone') trouble.value = null
    mutedUntil.value = null
    postedIn.clear()
    lotteries.visitor(account.value?.id)
    await Promise.all([readUntilAnswered(), readAdmins()])
    if (trouble.value === 'gone' || left) return
    if (!shutOutGuests()) stream.connect()
  }

  /** True if the room is not for whoever is not signed in. */
  function shutOutGuests(): boolean {
    const out = !account.value && room.value !== null && !room.value.rules.guests
    if (out) {
      trouble.value = 'guests-out'
      stream.leave()
    }
    return out
  }

  async function readUntilAnswered(): Promise<void> {
    for (let wait = 1000; !left; wait = Math.min(wait * 2, 30_000)) {
      try {
        return await readRoom()
      } catch {
        stream.state.value = 'reconnecting'
        await new Promise((go) => setTimeout(go, wait * (0.5 + Math.random())))
      }
    }
  }

  /** The answer says, too, whether the line was the keyword of a lottery. */
  async function send(body: DanmakuBody, idempotencyKey: string): Promise<Danmaku> {
    const sent = await call<Danmaku>('POST', `/rooms/${id}/danmaku`, { body, idempotencyKey })
    // What becomes of it is not known yet.
    receive({ ...asEvent(sent), delivery: undefined }, true)
    log.publish()
    own.follow(sent)
    if (sent.entry && 'receipt' in sent.entry) lotteries.entered(sent.entry.receipt)
    return sent
  }

  async function remove(danmaku: DanmakuEvent): Promise<void> {
    await call('DELETE', `/rooms/${id}/danmaku/${danmaku.id}`)
    takeAway([danmaku.id])
  }

  /** A page of what was said, or null if the room has become one for members only. */
  async function readHistory(query: Request['query']): Promise<History | null> {
    try {
      return await call<History>('GET', `/rooms/${id}/danmaku`, { query })
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.code !== 'not-signed-in') throw problem
      // A log-in that has ended is no reason to leave a room that guests may watch.
      await readRoom()
      if (!shutOutGuests()) throw problem
      return null
    }
  }

  async function loadOlder(): Promise<void> {
    for (let page = 0; page < MOST_PAGES && log.olderCursor !== null; page++) {
      const { oldest } = log
      const before = log.olderCursor ?? (oldest && cursorAt(oldest))
      const history = await readHistory({ before, limit: OLDER_PAGE })
      if (!history) return
      log.olderCursor = history.before_cursor
      if (log.addOlder(history.items.map(asEvent)) > 0) return
    }
  }

  /** Loads what was missed, or the beginning of it: in a busy room that may be more than a list can hold. */
  async function loadGap({ key, from, to, last }: GapLine): Promise<void> {
    const edges = { last, next: log.nextAfter(key), oldest: log.oldest }
    const found: DanmakuEvent[] = []
    let after = from
    for (let page = 0; page < MOST_PAGES; page++) {
      const query = after === null ? { before: to, limit: GAP_PAGE } : { after, limit: GAP_PAGE }
      const history = await readHistory(query)
      if (!history) return
      const items = history.items.map(asEvent)
      const end = items.findIndex((one) => isPast(one, edges))
      found.push(...(end < 0 ? items : items.slice(0, end)).filter((one) => wasMissed(one, edges)))
      if (end >= 0 || after === null || items.length < GAP_PAGE || history.after_cursor === null) return log.fillGap(key, found)
      after = history.after_cursor
    }
    log.fillGap(key, found, after === null ? null : { from: after })
  }

  async function readSessions(): Promise<Session[]> {
    return (await call<{ items: Session[] }>('GET', `/rooms/${id}/sessions`, { query: { limit: 6 } })).items
  }

  let settling = 0
  watch(mostPerS, () => {
    window.clearTimeout(settling)
    settling = window.setTimeout(() => stream.askAnew(), RATE_SETTLES_MS)
  })

  let left = false
  watch([() => account.value?.id, accountSettled], () => accountSettled.value && void enter(), { immediate: true })
  onScopeDispose(() => {
    left = true
    window.clearTimeout(settling)
    own.leave()
    lotteries.leave()
    stream.destroy()
  })

  return {
    id, room, trouble, viewers, endedAfterMs, admins, mutedUntil, log, role, moderates, connection: stream.state,
    mostPerS, lotteries, postedIn,
    flowAt: (now: number) => flow.lastMinute(now),
    isOwn, send, remove, loadOlder, loadGap, readAdmins, readRoom, readSessions,
    reconnect: () => stream.connect(),
    /** Rules and text that the owner changed show before the stream tells everybody. */
    changed: (now: Room) => (room.value = now),
    /** Lets a layer show what flies; returns how to stop it. */
    addFlyer: (flyer: Flyer) => {
      flyers.add(flyer)
      return () => flyers.delete(flyer)
    },
  }
}

interface RulesWords {
  rulesFree: string
  rulesSlow: (s: number) => string
  rulesMuteAll: string
  rulesGuestsOut: string
  rulesRate: (n: number) => string
}

export function rulesText(rules: RoomRules, words: RulesWords): string {
  const said = [
    rules.mute_all ? words.rulesMuteAll : rules.slow_mode_s > 0 ? words.rulesSlow(rules.slow_mode_s) : words.rulesFree,
    rules.danmaku_per_s ? words.rulesRate(rules.danmaku_per_s) : '',
    rules.guests ? '' : words.rulesGuestsOut,
  ]
  return said.filter(Boolean).join(' · ')
}
