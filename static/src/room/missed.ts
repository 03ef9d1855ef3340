/** Which lines of the history belong into a gap of the stream. */
import { type DanmakuEvent, isBefore } from '../api/contract'

/** The stream's order and the history's differ by moments, never by more. */
const LATE_MS = 1_000

/** The lines between which something was missed, as far as they are known. */
export interface Edges {
  last: DanmakuEvent | null
  next: DanmakuEvent | null
  /** With which the list begins; what came before is not in it any more. */
  oldest: DanmakuEvent | null
}

/** Where in the history the gap begins. */
export function beginning(last: DanmakuEvent | null): string | null {
  return last && `${last.sent_at_ms - LATE_MS}.0`
}

/** Past this line, nothing was missed any more. */
export function isPast(one: DanmakuEvent, { next }: Edges): boolean {
  return next !== null && one.sent_at_ms > next.sent_at_ms + LATE_MS
}

/** Beside the edges are lines that the stream brought, and lines that it left out; what was missed is neither. */
export function wasMissed(one: DanmakuEvent, { last, next, oldest }: Edges): boolean {
  const early = last !== null && !isBefore(last, one)
  const late = next !== null && !isBefore(one, next)
  if (early && oldest && isBefore(one, oldest)) return false
  return (!early && !late) || one.delivery !== 'sampled'
}
