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

interface Claim extends NewLine {
  top: number
  at: number
}

/** A line that stands still does so for this many seconds. */
export const STANDING_S = 4.5
/** The part of the stage that lines may fill which cross the way of most others. */
const OTHER_WAYS = 0.4
/** To cover a line that must be seen is so much worse than to cover another. */
const MUST_WEIGHT = 10

export class Lanes {
  private claims: Claim[] = []

  /** How far from the top of the stage the line flies, or null if it would cover others. */
  take(line: NewLine, stage: Stage, now: number): number | null {
    this.claims = this.claims.filter((claim) => now - claim.at < lifeOf(claim, stage))
    const top = this.find(line, stage, now)
    if (top !== null) this.claims.push({ ...line, top, at: now })
    return top
  }

  clear(): void {
    this.claims = []
  }

  private find(line: NewLine, stage: Stage, now: number): number | null {
    const [from, to] = shareOf(line.way, stage.height)
    const inTheWay = this.claims.filter((claim) => hinders(claim, line, stage, now))
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

function lifeOf({ way }: NewLine, stage: Stage): number {
  return way === 'top' || way === 'bottom' ? STANDING_S : stage.crossing
}

/** Whether the two would touch if they had the same lane. */
function hinders(before: Claim, line: NewLine, stage: Stage, now: number): boolean {
  if (before.way !== line.way) return true
  if (line.way === 'top' || line.way === 'bottom') return true
  // The one before must have come in. A longer line is faster and would run into it, so
  // it waits for as long as it needs itself.
  const longer = Math.max(before.width, line.width)
  return now - before.at < stage.crossing * (longer / (stage.width + longer))
}

/** The first lane between `from` and `to` that none of the claims reaches into. */
function freeLane(line: NewLine, claims: Claim[], from: number, to: number): number | null {
  const fits = (top: number) => top >= from && top + line.height <= to && claims.every((claim) => covered(top, line, claim) <= 0)
  // A stage lower than the line has one lane.
  if (claims.length === 0 && line.height > to - from) return fromBelow(line.way) ? Math.max(0, to - line.height) : from
  const tops = lanesBeside(line, claims, from, to).filter(fits)
  return tops.length === 0 ? null : fromBelow(line.way) ? Math.max(...tops) : Math.min(...tops)
}

function leastCovered(line: NewLine, claims: Claim[], from: number, to: number): number {
  const cost = (top: number) =>
    claims.reduce((sum, claim) => sum + Math.max(0, covered(top, line, claim)) * (claim.must ? MUST_WEIGHT : 1), 0)
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
