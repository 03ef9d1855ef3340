/** Which rows of a replay's whole list are in the page: only those in view are, of a million. */
import type { ReplayPart } from '../api/replay'
import { lowerBound } from './partStore'

export const ROW_PX = 32
/** Browsers don't scroll over much more than 17 million pixels; this is less. The list moves on at its edges. */
const MOST_ROWS = 400_000
/** Rows above and below those in view. */
const SPARE_ROWS = 8

/** A row's part, and which of the part's danmaku it is. */
export interface Place {
  part: number
  within: number
}

/** Where the parts' rows begin, in a list of all danmaku. */
export class RowIndex {
  readonly total: number
  private readonly starts: number[]

  constructor(private readonly parts: readonly ReplayPart[]) {
    let total = 0
    this.starts = parts.map(({ danmaku_count }) => (total += danmaku_count) - danmaku_count)
    this.total = total
  }

  place(row: number): Place | null {
    if (row < 0 || row >= this.total) return null
    const at = lowerBound(this.starts.length, (n) => this.starts[n]! > row) - 1
    return { part: this.parts[at]!.part, within: row - this.starts[at]! }
  }

  /** The parts of the rows from one to another, both included. */
  partsOf(from: number, to: number): number[] {
    const [first, last] = [this.place(Math.max(0, from)), this.place(Math.min(to, this.total - 1))]
    return first && last ? this.parts.filter(({ part }) => part >= first.part && part <= last.part).map(({ part }) => part) : []
  }

  /**
   * The row of the last danmaku that has appeared by a moment, -1 before the first. `appeared`
   * says how many of a part have, or `null` if it is not there: then its beginning counts.
   */
  rowAt(ms: number, appeared: (part: number) => number | null): number {
    // The last part that has begun; of several that begin in the same millisecond, the last.
    const at = lowerBound(this.parts.length, (n) => this.parts[n]!.from_ms > ms) - 1
    if (at < 0) return -1
    const { part, to_ms, danmaku_count } = this.parts[at]!
    return this.starts[at]! + (ms >= to_ms ? danmaku_count : (appeared(part) ?? 1)) - 1
  }
}

/** The rows that can be scrolled over, around a row that must be among them. */
export function spanAround(row: number, total: number): { first: number; count: number } {
  const first = Math.min(Math.max(0, row - MOST_ROWS / 2), Math.max(0, total - MOST_ROWS))
  return { first, count: Math.min(total, MOST_ROWS) }
}

/** The rows to draw, first and last, of a list scrolled to `top`. */
export function rowsInView(top: number, height: number, span: { first: number; count: number }): [first: number, last: number] {
  const from = Math.max(0, Math.floor(top / ROW_PX) - SPARE_ROWS)
  const to = Math.min(span.count - 1, Math.ceil((top + height) / ROW_PX) + SPARE_ROWS)
  return [span.first + from, span.first + to]
}
