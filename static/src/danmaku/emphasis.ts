/** Each doubling of those who say the same makes their line a little larger… */
const STEP = 0.07
/** …up to this: from about a hundred on, the number tells more than the size. */
const MOST = 1.45

/** How much larger a line is that so many said at the same moment. */
export function emphasis(count = 1): number {
  return Math.min(MOST, 1 + STEP * Math.log2(Math.max(1, count)))
}
