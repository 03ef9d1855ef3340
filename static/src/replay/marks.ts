/** What is marked on a replay's timeline. */
import type { ReplayMark } from '../api/replay'

/** The mark nearest to a moment, if one is within reach of it. */
export function markNear(marks: readonly ReplayMark[], ms: number, reachMs: number): ReplayMark | null {
  let [nearest, least] = [null as ReplayMark | null, reachMs]
  for (const mark of marks) {
    const away = Math.abs(mark.at_ms - ms)
    if (away > least || (away === least && nearest)) continue
    ;[nearest, least] = [mark, away]
  }
  return nearest
}
