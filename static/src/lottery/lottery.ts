/** A lottery as the page shows it, wherever it heard of it. */
import type { LotteryState, LotteryWinner, MyEntry, RoomLottery } from '../api/lottery'
import type { Receipt, Replaced } from '../draw/documents'

export interface Lottery extends LotteryState {
  winners: LotteryWinner[]
  winners_total: number
  replaced: Replaced[]
  /** The visitor's own receipt, if they are in. */
  receipt: Receipt | null
  /** What became of the visitor's entry, once that is known. */
  mine: MyEntry | null
  /** The server said that the lottery is not for this account, because it has not posted or for another reason. */
  barred: 'posted' | 'other' | null
}

export function ofState(state: LotteryState): Lottery {
  return { ...state, winners: [], winners_total: 0, replaced: [], receipt: null, mine: null, barred: null }
}

/** What REST knows and the stream does not say; its version counts as the oldest. */
export function ofRest({ claim_s, opens_at, draw_at, drawn_at, room_id: _, ...rest }: RoomLottery): Lottery {
  return {
    ...rest, version: 0, claim_ms: claim_s * 1000, opens_at_ms: Date.parse(opens_at), draw_at_ms: Date.parse(draw_at),
    decided_at_ms: drawn_at ? Date.parse(drawn_at) : (rest.cancelled?.at_ms ?? null), receipt: null, mine: null, barred: null,
  }
}

export const isDecided = ({ phase }: Pick<LotteryState, 'phase'>): boolean => phase === 'drawn' || phase === 'cancelled'

/** Who wins is known, and whether the visitor is one of them. */
export function isWinner({ mine, winners }: Lottery, user: string | undefined): boolean {
  if (mine && mine.result !== 'pending') return mine.result === 'won'
  return user !== undefined && winners.some(({ user_id }) => user_id === user)
}

/** The prize waits for its winner to say something. */
export function isClaimable({ mine }: Pick<Lottery, 'mine'>, now: number): boolean {
  const prize = mine?.prize
  return !!prize?.claim_by && !prize.claimed_at && Date.parse(prize.claim_by) > now
}

/** `prize` of the winner, in a lottery's own words. */
export const prizeName = ({ prizes }: Pick<LotteryState, 'prizes'>, prize: number): string => prizes[prize]?.name ?? ''
