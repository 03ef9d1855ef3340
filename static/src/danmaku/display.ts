/** How this visitor wants flying lines drawn. */
import { reactive, watch } from 'vue'
import type { DanmakuBody } from '../api/contract'
import { WHITE, safeColor } from './palette'

export interface Display {
  shown: boolean
  /** Per cent of the stage's height. */
  area: 25 | 50 | 75 | 100
  opacity: number
  speed: number
  size: number
  hideScroll: boolean
  hideTop: boolean
  hideBottom: boolean
  hideColoured: boolean
  keepBottom: boolean
  /** How many ordinary danmaku a second the visitor asks for at most; `null` for all that the room shows. */
  mostPerS: number | null
}

/** Of what the room shows, all or so many a second. */
export const RATES = [null, 50, 20, 10, 5] as const
/** What a stream can be asked for. */
const MOST_RATE = 1000

const KEY = 'goligoli.display'

export const defaultDisplay: Readonly<Display> = {
  // Who asks for less motion reads the chat instead, until they switch this on.
  shown: !window.matchMedia('(prefers-reduced-motion: reduce)').matches,
  area: 75,
  opacity: 0.95,
  speed: 1,
  size: 1,
  hideScroll: false,
  hideTop: false,
  hideBottom: false,
  hideColoured: false,
  keepBottom: true,
  mostPerS: null,
}

let kept: Display | null = null

/** The settings of this browser; every caller shares them. */
export function keptDisplay(): Display {
  if (kept) return kept
  const display = reactive(sound(stored()))
  watch(display, (now) => localStorage.setItem(KEY, JSON.stringify(now)))
  kept = display
  return display
}

/** The settings in the overlay's address: `?area=100&opacity=1&speed=1.2&size=1.5&rate=20`. */
export function displayOf(query: URLSearchParams): Display {
  const numbers: Partial<Display> = {}
  for (const name of ['area', 'opacity', 'speed', 'size'] as const) {
    if (query.has(name)) Object.assign(numbers, { [name]: Number(query.get(name)) })
  }
  const mostPerS = query.has('rate') ? Number(query.get('rate')) : null
  return sound({ ...defaultDisplay, shown: true, area: 100, opacity: 1, keepBottom: false, ...numbers, mostPerS })
}

/** How much of the stage's height lines may fill, from the top. */
export function sharePercent({ area, keepBottom }: Display): number {
  return Math.min(area, keepBottom ? 85 : 100)
}

export function isHidden(danmaku: DanmakuBody, display: Display): boolean {
  if (display.hideColoured && safeColor(danmaku.color) !== WHITE) return true
  switch (danmaku.mode) {
    case 'top': return display.hideTop
    case 'bottom': return display.hideBottom
    default: return display.hideScroll
  }
}

function stored(): Partial<Display> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Display>
  } catch {
    return {}
  }
}

/** Whatever was stored or typed becomes something that can be drawn. */
function sound(said: Partial<Display>): Display {
  const display = { ...defaultDisplay }
  for (const name of Object.keys(defaultDisplay) as (keyof Display)[]) {
    if (typeof said[name] === typeof defaultDisplay[name]) Object.assign(display, { [name]: said[name] })
  }
  display.area = ([25, 50, 75, 100] as const).find((area) => area === display.area) ?? defaultDisplay.area
  display.opacity = within(display.opacity, 0.1, 1)
  display.speed = within(display.speed, 0.4, 1.6)
  display.size = within(display.size, 0.4, 1.6)
  display.mostPerS = isRate(said.mostPerS) ? said.mostPerS : null
  return display
}

function isRate(said: unknown): said is number {
  return Number.isInteger(said) && (said as number) >= 0 && (said as number) <= MOST_RATE
}

function within(n: number, least: number, most: number): number {
  return Number.isFinite(n) ? Math.min(most, Math.max(least, n)) : 1
}
