/**
 * Where on the stage a line goes. A line takes a lane that is free of all others; if there
 * is none, one that only lines of other ways cross; if there is none either, it is left to
 * the chat list, unless it must fly. Lanes are pixels, because lines have several sizes.
 */
export type Way = 'rtl' | 'ltr' | 'top' | 'bottom'

export interface Stage {
  width: number
  height: number
  /** Seconds in which a line crosses it. */
  crossing: number
}

export interface NewLine {
  way: Way
  width: number
  height: number
  /** The visitor's own line, or the staff's. */
  must: boolean
}

/** A line that has its place: from this top and this second on. */
export interface Claim extends NewLine {
  top: number
  at: number
}

/** A claim that would touch a new line for so long. */
interface Hindrance extends Claim {
  touchingS: number
}

/** A line that stands still does so for this many seconds. */
export const STANDING_S = 4.5
/** The part of the stage that lines may fill which cross the way of most others. */
const OTHER_WAYS = 0.4
/** Lines on the stage at once. Full: a line is left to the chat list, whoever's it is. */
const MOST_CLAIMS = 200
/** To cover a line that must be seen is so much worse than to cover another. */
const MUST_WEIGHT = 10
const ROUNDING = 1e-6

export class Lanes {
  private claims: Claim[] = []

  /** How far from the top of the stage the line flies, or null if it would cover others. */
  take(line: NewLine, stage: Stage, now: number): number | null {
    this.claims = this.claims.filter((claim) => now - claim.at < lifeOf(claim, stage))
    const top = this.claims.length < MOST_CLAIMS ? this.find(line, stage, now) : null
    if (top !== null) this.claims.push({ ...line, top, at: now })
    return top
  }

  clear(): void {
    this.claims = []
  }

  private find(line: NewLine, stage: Stage, now: number): number | null {
    const [from, to] = shareOf(line.way, stage.height)
    const newest = { ...line, top: 0, at: now }
    const inTheWay = this.claims
      .map((claim) => ({ ...claim, touchingS: touchingS(claim, newest, stage, now) }))
      .filter((claim) => claim.touchingS > 0)
    const sameWay = inTheWay.filter((claim) => claim.way === line.way || claim.must)
    const free = freeLane(line, inTheWay, from, to) ?? (line.must ? freeLane(line, inTheWay, 0, stage.height) : null)
    return free ?? freeLane(line, sameWay, from, to) ?? (line.must ? leastCovered(line, inTheWay, from, to) : null)
  }
}

/** Lines that go against most others come in from below, where those are last. */
function fromBelow(way: Way): boolean {
  return way === 'ltr' || way === 'bottom'
}

function shareOf(way: Way, height: number): [from: number, to: number] {
  if (way === 'rtl') return [0, height]
  return way === 'top' ? [0, height * OTHER_WAYS] : [height * (1 - OTHER_WAYS), height]
}

/** For how many seconds a line is on the stage. */
export function lifeOf({ way }: Pick<NewLine, 'way'>, stage: Stage): number {
  return way === 'top' || way === 'bottom' ? STANDING_S : stage.crossing
}

/** Where a line is, in pixels from the left of the stage. */
export function leftEdge(claim: Claim, { width, crossing }: Stage, now: number): number {
  const flown = ((width + claim.width) * (now - claim.at)) / crossing
  switch (claim.way) {
    case 'rtl': return width - flown
    case 'ltr': return flown - claim.width
    default: return (width - claim.width) / 2
  }
}

/** For how many seconds from now on the two would cover each other if they had the same lane. */
function touchingS(one: Claim, other: Claim, stage: Stage, now: number): number {
  const window = Math.min(one.at + lifeOf(one, stage), other.at + lifeOf(other, stage)) - now
  if (window <= 0) return 0
  const gaps = [now, now + window].map((at) => {
    const [a, b] = [leftEdge(one, stage, at), leftEdge(other, stage, at)]
    return [b - a - one.width, a - b - other.width] as const
  })
  // Lines fly evenly, so gaps change evenly: where both are below zero, they touch.
  const [onesLeft, othersLeft] = [0, 1].map((side) => belowZero(gaps[0]![side]!, gaps[1]![side]!))
  const part = Math.min(onesLeft![1], othersLeft![1]) - Math.max(onesLeft![0], othersLeft![0])
  return part > ROUNDING ? part * window : 0
}

/** In which part of the way from `first` to `last`, 0 to 1, a number is below zero. */
function belowZero(first: number, last: number): [from: number, to: number] {
  if (first >= 0 && last >= 0) return [1, 0]
  if (first < 0 && last < 0) return [0, 1]
  const zero = first / (first - last)
  return first < 0 ? [0, zero] : [zero, 1]
}

/** The first lane between `from` and `to` that none of the claims reaches into. */
function freeLane(line: NewLine, claims: Claim[], from: number, to: number): number | null {
  const fits = (top: number) => top >= from && top + line.height <= to && claims.every((claim) => covered(top, line, claim) <= 0)
  // A stage lower than the line has one lane.
  if (claims.length === 0 && line.height > to - from) return fromBelow(line.way) ? Math.max(0, to - line.height) : from
  const tops = lanesBeside(line, claims, from, to).filter(fits)
  return tops.length === 0 ? null : fromBelow(line.way) ? Math.max(...tops) : Math.min(...tops)
}

function leastCovered(line: NewLine, claims: Hindrance[], from: number, to: number): number {
  const cost = (top: number) =>
    claims.reduce((sum, claim) => sum + Math.max(0, covered(top, line, claim)) * claim.touchingS * (claim.must ? MUST_WEIGHT : 1), 0)
  const lowest = Math.max(from, to - line.height)
  const tops = lanesBeside(line, claims, from, to).map((top) => Math.min(lowest, Math.max(from, top)))
  return tops.reduce((best, top) => (cost(top) < cost(best) ? top : best))
}

/** Lanes that begin or end where a claim or the stage does; no other can be the first free one. */
function lanesBeside(line: NewLine, claims: Claim[], from: number, to: number): number[] {
  const edges = claims.flatMap((claim) => [claim.top + claim.height, claim.top - line.height])
  return fromBelow(line.way) ? [to - line.height, from, ...edges] : [from, to - line.height, ...edges]
}

/** How many pixels of the claim's height a line at `top` would cover. */
function covered(top: number, line: NewLine, claim: Claim): number {
  return Math.min(top + line.height, claim.top + claim.height) - Math.max(top, claim.top)
}
