/** The shapes of the REST objects and stream events, as `idl` defines them. */
import type { Receipt } from '../draw/documents'
import type { LotteryState } from './lottery'

export type Mode = 'scroll' | 'top' | 'bottom' | 'reverse'
export type Size = 'small' | 'standard' | 'large'
export type RoomRole = 'owner' | 'admin' | 'viewer'

export interface Account {
  id: string
  name: string
  role: 'site_admin' | 'member'
  bio: string
  created_at: string
}

export type Profile = Omit<Account, 'role'>

export interface LoggedIn {
  account: Account
  device_id: string
  access_expires_at: string
  refresh_expires_at: string
}

export interface Device {
  id: string
  name: string
  current: boolean
  created_at: string
  used_at: string
}

export interface Person {
  id: string
  name: string
}

export interface Sender extends Person {
  role: RoomRole
}

export interface LiveSession {
  id: string
  opened_at_ms: number
}

export interface RoomRules {
  slow_mode_s: number
  mute_all: boolean
  guests: boolean
  /** How many ordinary danmaku a second are shown live at most; `null` is the site's default. */
  danmaku_per_s: number | null
}

/** What the stream says of a room. */
export interface RoomState {
  id: string
  version: number
  title: string
  owner: Person
  cover_url: string | null
  session: LiveSession | null
  rules: RoomRules
}

export interface Room extends Omit<RoomState, 'version'> {
  description: string
  category: string
  viewers: number
  created_at: string
}

export interface Session {
  id: string
  room_id: string
  title: string
  opened_at: string
  closed_at: string | null
  peak_viewers: number
}

export interface MutedUser {
  user: Person
  until: string | null
  session_only: boolean
  created_at: string
}

export type MuteSpan = 'session' | 'forever' | { hours: number }

/**
 * What became of a danmaku on the stream: it was shown, the room's flow limiter left it out,
 * or nothing is known but that it is in the history.
 */
export type Delivery = 'stored' | 'live' | 'sampled' | 'unknown'

export interface DanmakuBody {
  text: string
  mode: Mode
  color: string
  size: Size
}

/** A danmaku as the stream carries it; the page keeps all of them in this form. */
export interface DanmakuEvent extends DanmakuBody {
  id: string
  session_id: string
  sender: Sender
  sent_at_ms: number
  /** So many people said the same at the same moment, the sender with them; left out when it is 1. */
  count?: number
  delivery?: Delivery
  /** Known to this page alone: it was shown as part of another line, which counts so many. */
  counted_in?: number
}

/** A danmaku as REST answers it. */
export interface Danmaku extends DanmakuBody {
  id: string
  room_id: string
  session_id: string
  sender: Sender
  sent_at: string
  offset_ms: number
  /** Servers that don't tell leave it out. */
  delivery?: Delivery
  /** The text is the keyword of this open lottery, */
  lottery_id?: string | null
  /** and the sender is in now, or why not. */
  entry?: { receipt: Receipt } | { refused: { code: string; detail?: string; until?: string } } | null
}

export interface History {
  items: Danmaku[]
  before_cursor: string | null
  after_cursor: string | null
}

export interface Page<T> {
  items: T[]
  next_cursor: string | null
}

export interface RoomEvent {
  change: 'created' | 'opened' | 'closed' | 'edited' | 'rules' | 'unknown'
  room: RoomState
}

export interface ModerationEvent {
  deleted: string[]
  muted: { user_id: string; muted: boolean; until_ms: number | null } | null
}

/** Running totals of the room's ordinary danmaku: `accepted` is the sum of the others. */
export interface SuppressedEvent {
  accepted: number
  shown: number
  folded: number
  suppressed: number
}

export interface WelcomeEvent {
  server_time_ms: number
  resumed: boolean
  lease_ms: number
  user_id: string | null
}

export interface HelloEvent {
  room: RoomState
  viewers: number
  totals: SuppressedEvent
  /** Those that are on or were decided lately; servers before lotteries leave it out. */
  lotteries?: LotteryState[]
  danmaku: DanmakuEvent[]
}

export interface ViewersEvent {
  connections: number
}

export interface GapEvent {
  n: number | null
  from: string | null
  to: string | null
  retry_after_ms: number
}

export interface ByeEvent {
  reason: 'draining' | 'lease' | 'revoked' | 'guests_out' | 'complete'
  reconnect_in_ms: number | null
}

/** Where in the history a danmaku stands. */
export const cursorAt = ({ sent_at_ms, id }: DanmakuEvent): string => `${sent_at_ms}.${id}`

/** In the order of the history. */
export function isBefore(one: DanmakuEvent, other: DanmakuEvent): boolean {
  return one.sent_at_ms < other.sent_at_ms || (one.sent_at_ms === other.sent_at_ms && Number(one.id) < Number(other.id))
}

export function asEvent({ sent_at, id, session_id, sender, text, mode, color, size, delivery }: Danmaku): DanmakuEvent {
  return { id, session_id, sender, text, mode, color, size, sent_at_ms: Date.parse(sent_at), ...(delivery && { delivery }) }
}
