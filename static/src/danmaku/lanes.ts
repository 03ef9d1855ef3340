/**
 * How full the stage is where lines come in. The engine lets lines overlap when it runs
 * out of lanes; asked first, the page leaves such a line to the chat list.
 */
interface Claim {
  at: number
  busy: number
  height: number
}

/** Lines of several sizes leave slivers between them that no line fits into. */
const USABLE = 0.85

export class Lanes<Way extends string> {
  private readonly claims = new Map<Way, Claim[]>()

  /**
   * Takes a lane for a line of this height, if one is free. `busy` is how long the line
   * needs to come in, in seconds. Its lane must have been free for as long, too: a longer
   * line is faster and would run into the one before it.
   */
  take(way: Way, height: number, busy: number, stageHeight: number, now: number): boolean {
    const held = (this.claims.get(way) ?? []).filter((claim) => now - claim.at < Math.max(claim.busy, busy, 5))
    const blocked = held.filter((claim) => now - claim.at < Math.max(claim.busy, busy))
    const fits = blocked.reduce((sum, claim) => sum + claim.height, height) <= stageHeight * USABLE || blocked.length === 0
    if (fits) held.push({ at: now, busy, height })
    this.claims.set(way, held)
    return fits
  }
}

/** About how wide a text is, in its font's size. */
export function breadth(text: string): number {
  let ems = 0.6
  // Everything from the CJK radicals on is as wide as it is high, and so are emoji.
  for (const c of text) ems += c.codePointAt(0)! >= 0x2e80 ? 1 : 0.6
  return ems
}
