/**
 * What somebody reads in a scrolled list stays where it is, whatever comes and goes above.
 * (Safari does not do this by itself, and where others do, what they hold on to is their choice.)
 */
export class Anchor {
  /** The first line in view and the one before it, which is there when the first is replaced by others. */
  private readonly held: { line: Element; top: number }[]

  /** Holds on, before a change. */
  constructor(
    private readonly list: HTMLElement,
    lines: HTMLCollection,
  ) {
    const edge = list.getBoundingClientRect().top
    const first = firstWhere(lines, (line) => line.getBoundingClientRect().bottom > edge)
    const around = [lines[first - 1], lines[first]].filter((line) => line !== undefined)
    this.held = around.map((line) => ({ line, top: line.getBoundingClientRect().top }))
  }

  /** Puts the list back, after the change. */
  restore(): void {
    const kept = this.held.find(({ line }) => line.isConnected)
    if (kept) this.list.scrollTop += kept.line.getBoundingClientRect().top - kept.top
  }
}

/** The first for which something holds that holds for all after it, too. */
function firstWhere(lines: HTMLCollection, holds: (line: Element) => boolean): number {
  let [from, to] = [0, lines.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (holds(lines[middle]!)) to = middle
    else from = middle + 1
  }
  return from
}
