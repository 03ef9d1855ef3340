/** The shapes of lotteries in REST and in the stream, as `idl` defines them. */
import type { Cancelled, Closed, Opened, Prize, Receipt, Replaced } from '../draw/documents'
import type { Page } from './contract'

export type LotteryPhase = 'open' | 'closed' | 'drawn' | 'cancelled' | 'unknown'

/** A lottery as the stream carries it. */
export interface LotteryState {
  id: string
  /** Counts the changes but those of `entrants`. */
  version: number
  phase: LotteryPhase
  /** A rehearsal. */
  test: boolean
  title: string
  prizes: Prize[]
  keyword: string | null
  /** Only who has posted in this broadcast may enter. */
  posted_in: string | null
  claim_ms: number
  opens_at_ms: number
  draw_at_ms: number
  entrants: number
  opened: Opened
  closed: Closed | null
  cancelled: Cancelled | null
  decided_at_ms: number | null
}

export interface LotteryWinner {
  n: number
  user_id: string
  name: string
  prize: number
  claimed: boolean
  /** Until then only this winner can have it; missing if it need not be claimed. */
  claim_by_ms?: number
}

export interface LotteryEvent {
  change: 'opened' | 'entered' | 'closed' | 'drawn' | 'redrawn' | 'cancelled' | 'unknown'
  lottery_id: string
  entrants: number
  /** Left out when only the number of entries changed. */
  lottery?: LotteryState
  /** The first 100, of `drawn` and `redrawn`. */
  winners?: LotteryWinner[]
  winners_total?: number
}

/** A lottery as REST answers it. */
export interface RoomLottery {
  id: string
  room_id: string
  phase: LotteryPhase
  test: boolean
  title: string
  prizes: Prize[]
  keyword: string | null
  posted_in: string | null
  claim_s: number
  opens_at: string
  draw_at: string
  entrants: number
  opened: Opened
  closed: Closed | null
  drawn_at: string | null
  /** The first 100. */
  winners: LotteryWinner[]
  winners_total: number
  replaced: Replaced[]
  cancelled: Cancelled | null
}

export interface LotteryBody {
  title: string
  prizes: Prize[]
  keyword: string | null
  posted: boolean
  claim_s: number
  duration_s: number
  test: boolean
}

export interface WonPrize {
  prize: number
  name: string
  claim_by: string | null
  claimed_at: string | null
}

export interface MyEntry {
  lottery_id: string
  room_id: string
  title: string
  draw_at: string
  receipt: Receipt
  result: 'pending' | 'won' | 'lost' | 'replaced' | 'cancelled' | 'unknown'
  prize: WonPrize | null
}

export type Winners = Page<LotteryWinner>

export interface SigningKey {
  key: string
  since: string
  until: string | null
}
