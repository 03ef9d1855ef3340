/**
 * Which danmaku of a replay are on the stage at a moment, and where. Everything follows from
 * the replay's time: lines stop with it, go back with it and are as fast as it is.
 */
import type { ReplayDanmaku } from '../api/replay'
import { type Claim, Lanes, type NewLine, STANDING_S, type Stage, leftEdge, lifeOf } from '../danmaku/lanes'

/** A step of time that is longer was none: somebody sought, or the tab was hidden. */
const LONGEST_STEP_MS = 1_000
/** When so many found no lane, the stage is full, and the rest of a moment's lines need not be tried. */
const MOST_REFUSALS = 8
const MOMENT_MS = 200

export interface Placed {
  danmaku: ReplayDanmaku
  claim: Claim
}

export interface Change {
  entered: Placed[]
  left: Placed[]
}

export interface Source {
  between(fromMs: number, beforeMs: number): ReplayDanmaku[]
}

export interface Staged {
  stage: Stage
  measure: (danmaku: ReplayDanmaku) => Omit<NewLine, 'must'>
  isHidden: (danmaku: ReplayDanmaku) => boolean
  /** So many in each second at most, as the visitor chose; `null` for all. */
  mostPerS: number | null
}

/** For how long a line can be on this stage. */
export function longestLifeMs(stage: Stage): number {
  return Math.max(stage.crossing, STANDING_S) * 1000
}

export class Staging {
  private lanes = new Lanes()
  private placed: Placed[] = []
  /** The moment that was staged last; `null` if the next one begins anew. */
  private at: number | null = null
  private moment = { at: -1, refusals: 0 }
  private second = { at: -1, taken: 0 }

  /** The stage, the settings or what is known of this time has changed: everything is placed anew. */
  reset(): void {
    this.at = null
  }

  /** Goes on to a moment, in steps or by a leap; what is on the stage then may be in mid-flight. */
  moveTo(nowMs: number, source: Source, staged: Staged): Change {
    const step = this.at === null ? Infinity : nowMs - this.at
    const isLeap = step < 0 || step > LONGEST_STEP_MS
    const before = this.placed
    if (isLeap) this.clear()
    const fromMs = isLeap ? nowMs - longestLifeMs(staged.stage) : this.at! + 1
    this.at = Math.floor(nowMs)
    const isOn = ({ claim }: Placed) => nowMs / 1000 - claim.at < lifeOf(claim, staged.stage)
    const entered = source.between(fromMs, this.at + 1).flatMap((danmaku) => this.place(danmaku, staged) ?? []).filter(isOn)
    this.placed = isLeap ? entered : [...before.filter(isOn), ...entered]
    return { entered, left: isLeap ? before : before.filter((line) => !isOn(line)) }
  }

  /** All that is on the stage. */
  get onStage(): readonly Placed[] {
    return this.placed
  }

  /** Finds a place for a line; `null` if it is not wanted or there is none. */
  private place(danmaku: ReplayDanmaku, { stage, measure, isHidden, mostPerS }: Staged): Placed | null {
    if (isHidden(danmaku)) return null
    const moment = Math.floor(danmaku.at_ms / MOMENT_MS)
    if (moment !== this.moment.at) this.moment = { at: moment, refusals: 0 }
    const second = Math.floor(danmaku.at_ms / 1000)
    if (second !== this.second.at) this.second = { at: second, taken: 0 }
    if (this.moment.refusals >= MOST_REFUSALS || (mostPerS !== null && this.second.taken >= mostPerS)) return null
    const line = { ...measure(danmaku), must: false }
    const at = danmaku.at_ms / 1000
    const top = this.lanes.take(line, stage, at)
    if (top === null) this.moment.refusals += 1
    else this.second.taken += 1
    return top === null ? null : { danmaku, claim: { ...line, top, at } }
  }

  private clear(): void {
    this.lanes = new Lanes()
    this.placed = []
    this.moment = { at: -1, refusals: 0 }
    this.second = { at: -1, taken: 0 }
  }
}

/** Where a line is at a moment, in pixels from the left. */
export function leftAt({ claim }: Placed, stage: Stage, nowMs: number): number {
  return leftEdge(claim, stage, nowMs / 1000)
}
