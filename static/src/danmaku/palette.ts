/** The colours a sender may pick from: white and Bilibili's web palette, without its near-black. */
export const WHITE = '#ffffff'

export const palette = [
  WHITE, '#fe0302', '#ff7204', '#ffaa02', '#ffd302', '#ffff00', '#a0ee00',
  '#00cd00', '#019899', '#4266be', '#89d5ff', '#cc0273', '#9b9b9b',
] as const

/** What is drawn: a colour, or white for anything else a server might ever send. */
export function safeColor(color: string): string {
  return /^#[0-9a-f]{6}$/i.test(color) ? color.toLowerCase() : WHITE
}

/** Dark letters need a light edge over a dark picture. */
export function isDark(color: string): boolean {
  const rgb = Number.parseInt(safeColor(color).slice(1), 16)
  return 0.3 * (rgb >> 16) + 0.59 * ((rgb >> 8) & 0xff) + 0.11 * (rgb & 0xff) < 64
}
