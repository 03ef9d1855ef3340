/** The shapes of replays in REST, as `idl` defines them. */
import type { DanmakuBody } from './contract'

export type ReplayState = 'importing' | 'indexing' | 'ready' | 'unknown'
export type Visibility = 'public' | 'hidden' | 'unknown'

export interface Replay {
  id: string
  room_id: string
  /** Left out if it was brought in a file. */
  session_id?: string
  title: string
  origin: 'broadcast' | 'file'
  state: ReplayState
  visibility: Visibility
  started_at: string
  duration_ms: number
  danmaku_count: number
  /** Counts the indexes; 0 before the first. What belongs to a version never changes. */
  version: number
}

export interface ReplayDanmaku extends DanmakuBody {
  id: string
  /** From the replay's beginning. */
  at_ms: number
  sent_at: string
  sender_hash: string
  user_name?: string
}

/** A part of a replay's danmaku, which is loaded at once. */
export interface ReplayPart {
  /** Which, from 1. */
  part: number
  segment: number
  from_ms: number
  /** When its last danmaku appears; the next part may begin in the same millisecond. */
  to_ms: number
  danmaku_count: number
}

export interface HeatCurve {
  step_ms: number
  counts: number[]
}

export interface ReplayMark {
  kind: 'lottery_opened' | 'lottery_drawn' | 'lottery_cancelled' | 'unknown'
  at_ms: number
  lottery_id: string
  title: string
}

export interface ReplayManifest {
  replay: Pick<Replay, 'id' | 'room_id' | 'title' | 'origin' | 'started_at' | 'duration_ms' | 'danmaku_count'>
  version: number
  parts: ReplayPart[]
  heat: HeatCurve
  marks: ReplayMark[]
}

export interface ImportReport {
  accepted: number
  /** By reason. */
  skipped: Record<string, number>
  /** By what was changed. */
  changed: Record<string, number>
}

export interface ImportedReplay {
  replay: Replay
  /** Left out if it was asked a second time for what had been imported. */
  report?: ImportReport
}
