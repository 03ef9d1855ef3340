/** A line as it is drawn over a picture, live or in a replay. */
import type { DanmakuBody, Mode, Size } from '../api/contract'
import { times } from '../words'
import type { Display } from './display'
import { emphasis } from './emphasis'
import type { Way } from './lanes'
import { isDark, safeColor } from './palette'

/** A line crosses a wide stage in this time at normal speed; a narrow one is crossed sooner. */
const CROSSING_S = 9
const NARROW_CROSSING_S = 6
const NARROW_PX = 600
/** Bilibili's sizes, relative to the middle one. */
const SIZES: Record<Size, number> = { small: 18 / 25, standard: 1, large: 36 / 25 }
/** A line's height with its padding. */
const LINE_HEIGHT = 1.41
/** Padding and some air to the line behind, in letters. */
const LINE_MARGIN = 1
/** What a count has around it, in letters. */
const TIMES_MARGIN = 0.9
/** Texts are measured in this size, and their width grows with it. */
const RULER_PX = 40
const WAYS: Record<Mode, Way> = { scroll: 'rtl', reverse: 'ltr', top: 'top', bottom: 'bottom' }

export interface Line extends DanmakuBody {
  id: string
  /** So many said it at the same moment. */
  count?: number
}

export interface Measured {
  way: Way
  width: number
  height: number
}

/** How large a line of the middle size is written, in pixels. */
export function lettersOf(layer: HTMLElement, display: Display): number {
  const stage = layer.parentElement?.clientHeight ?? 500
  return Math.min(42, Math.max(15, stage * 0.045)) * display.size
}

/** In how many seconds a line crosses a stage of this width. */
export function crossingS(width: number, display: Display): number {
  return (width < NARROW_PX ? NARROW_CROSSING_S : CROSSING_S) / display.speed
}

/** Measures lines without laying out the page. */
export class Ruler {
  private readonly pen = document.createElement('canvas').getContext('2d')!

  constructor(private readonly layer: HTMLElement) {
    this.lookUpFont()
  }

  /** Before measuring: fonts may have been loaded, and the language changed. */
  lookUpFont(): void {
    this.pen.font = `650 ${RULER_PX}px ${getComputedStyle(this.layer).fontFamily}`
  }

  measure({ text, mode, size, count }: Line, middleSize: number): Measured {
    const letters = middleSize * (SIZES[size] ?? 1) * emphasis(count)
    const said = this.pen.measureText(text).width
    const counted = count ? this.pen.measureText(times(count)).width + TIMES_MARGIN * RULER_PX : 0
    return { way: WAYS[mode] ?? 'rtl', width: ((said + counted) * letters) / RULER_PX + LINE_MARGIN * letters, height: letters * LINE_HEIGHT }
  }
}

export function lineElement(danmaku: Line, own: boolean): HTMLElement {
  const line = document.createElement('span')
  line.className = 'flying'
  line.classList.toggle('own', own)
  line.classList.toggle('dark', isDark(danmaku.color))
  line.dataset.id = danmaku.id
  line.style.color = safeColor(danmaku.color)
  line.style.fontSize = `${(SIZES[danmaku.size] ?? 1) * emphasis(danmaku.count)}em`
  if (danmaku.count) line.append(spanOf('said', danmaku.text), spanOf('times', times(danmaku.count)))
  else line.textContent = danmaku.text
  return line
}

function spanOf(name: string, text: string): HTMLElement {
  const span = document.createElement('span')
  span.className = name
  span.textContent = text
  return span
}
