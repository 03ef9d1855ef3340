/**
 * How full the stage's edge is. The engine lets lines overlap when it runs out of lanes;
 * asked first, the page leaves such a line to the chat list.
 */
interface Claim {
  until: number
  height: number
}

export class Lanes<Way extends string> {
  private readonly claims = new Map<Way, Claim[]>()

  /** Whether a line of this height still fits where lines of its way stand or come in. */
  fits(way: Way, height: number, stageHeight: number, now: number): boolean {
    const held = (this.claims.get(way) ?? []).filter((claim) => claim.until > now)
    this.claims.set(way, held)
    return held.reduce((sum, claim) => sum + claim.height, height) <= stageHeight
  }

  take(way: Way, height: number, until: number): void {
    const held = this.claims.get(way)
    if (held) held.push({ until, height })
    else this.claims.set(way, [{ until, height }])
  }
}

/** About how wide a text is, in its font's size. */
export function breadth(text: string): number {
  let ems = 0.6
  // Everything from the CJK radicals on is as wide as it is high, and so are emoji.
  for (const c of text) ems += c.codePointAt(0)! >= 0x2e80 ? 1 : 0.58
  return ems
}
