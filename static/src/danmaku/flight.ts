/** Flying lines over a picture: the `danmaku` engine, kept small for a room that never ends. */
import Danmaku from 'danmaku/dist/esm/danmaku.dom.js'
import type { DanmakuEvent, Mode, Size } from '../api/contract'
import { times } from '../words'
import { type Display, isHidden } from './display'
import { emphasis } from './emphasis'
import { Lanes, STANDING_S, type Stage, type Way } from './lanes'
import { isDark, safeColor } from './palette'

/** The engine keeps every line it was ever given, so it is replaced after so many… */
const LINES_PER_ENGINE = 3000
/** …or so long. */
const ENGINE_LIFE_MS = 3_600_000
/** A line crosses a wide stage in this time at normal speed; a narrow one is crossed sooner. */
const CROSSING_S = 9
const NARROW_CROSSING_S = 6
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
/** Lines that wait for the next frame. Full: the first that need not fly goes; the chat list has it. */
const MOST_WAITING = 64
/** A frame comes at once, or the tab was hidden meanwhile: then what waited is old. */
const WAITS_MS = 1_000
/** When so many found no lane, the stage is full, and the rest of a frame's lines need not be tried. */
const MOST_REFUSALS = 8
const MODES: Record<Mode, Way> = { scroll: 'rtl', reverse: 'ltr', top: 'top', bottom: 'bottom' }

/** Two layers, because an engine has one pace: its standing lines would stand as long as others fly. */
interface Engine {
  flying: Danmaku
  standing: Danmaku
  lines: number
  startedAt: number
}

interface Waiting {
  danmaku: DanmakuEvent
  own: boolean
  /** The visitor's own line, or the staff's. */
  must: boolean
  since: number
}

export class Flight {
  private engine: Engine | null = null
  private retired: Engine[] = []
  private waiting: Waiting[] = []
  private frame = 0
  private readonly lanes = new Lanes()
  private readonly ruler = document.createElement('canvas').getContext('2d')!
  private readonly resized: ResizeObserver

  constructor(
    private readonly layer: HTMLElement,
    private display: Display,
  ) {
    this.apply(display)
    this.resized = new ResizeObserver(() => this.apply(this.display))
    this.resized.observe(layer)
  }

  /** Settings or size changed. */
  apply(display: Display): void {
    this.display = display
    if (!display.shown) return this.stop()
    this.layer.style.setProperty('--letters', `${this.letters}px`)
    for (const engine of this.engines) {
      engine.flying.resize()
      engine.standing.resize()
      engine.flying.speed = this.speed
      engine.standing.speed = this.standingSpeed
    }
  }

  /** Lets a line fly, from the next frame on: however many come, the page is laid out once. */
  fly(danmaku: DanmakuEvent, own: boolean): void {
    // A hidden tab draws no frame: its lines would all start at once later.
    if (!this.display.shown || document.hidden || (!own && isHidden(danmaku, this.display))) return
    const must = own || danmaku.sender.role !== 'viewer'
    this.waiting.push({ danmaku, own, must, since: performance.now() })
    if (this.waiting.length > MOST_WAITING) this.waiting.splice(Math.max(0, this.waiting.findIndex((line) => !line.must)), 1)
    this.frame ||= requestAnimationFrame(() => this.takeOff())
  }

  /** A crowded stage takes no more, except what must fly. What many said comes before what one said. */
  private takeOff(): void {
    this.frame = 0
    const now = performance.now()
    const ready = this.waiting.filter((line) => now - line.since < WAITS_MS)
    this.waiting = []
    const stage = { width: this.width, height: this.layer.clientHeight, crossing: this.width / this.speed }
    if (stage.width === 0 || stage.height === 0) return
    const rank = (line: Waiting) => (line.must ? Infinity : (line.danmaku.count ?? 1))
    ready.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)))
    this.ruler.font = `650 ${RULER_PX}px ${getComputedStyle(this.layer).fontFamily}`
    let refusals = 0
    for (const line of ready) {
      if (!line.must && refusals >= MOST_REFUSALS) break
      if (!this.start(line, stage, now)) refusals += 1
    }
  }

  private start({ danmaku, own, must }: Waiting, stage: Stage, now: number): boolean {
    const way = MODES[danmaku.mode] ?? 'rtl'
    const letters = this.letters * (SIZES[danmaku.size] ?? 1) * emphasis(danmaku.count)
    const top = this.lanes.take({ way, must, width: this.widthOf(danmaku, letters), height: letters * LINE_HEIGHT }, stage, now / 1000)
    if (top === null) return false
    const engine = this.current()
    engine.lines += 1
    const stands = way === 'top' || way === 'bottom'
    const layer = stands ? engine.standing : engine.flying
    layer.emit({ mode: stands ? 'top' : way, render: () => atHeight(top, lineElement(danmaku, own)) })
    return true
  }

  /** Deleted lines vanish at once. (The engine must find its elements, so they stay, unseen.) */
  hide(ids: string[]): void {
    this.waiting = this.waiting.filter((line) => !ids.includes(line.danmaku.id))
    for (const line of this.layer.querySelectorAll<HTMLElement>('[data-id]')) {
      if (ids.includes(line.dataset.id!)) line.style.visibility = 'hidden'
    }
  }

  stop(): void {
    for (const engine of this.engines) retire(engine)
    this.engine = null
    this.retired = []
    this.waiting = []
    this.lanes.clear()
  }

  destroy(): void {
    this.resized.disconnect()
    this.stop()
  }

  private current(): Engine {
    const engine = this.engine
    if (engine && engine.lines < LINES_PER_ENGINE && Date.now() - engine.startedAt < ENGINE_LIFE_MS) return engine
    if (engine) this.replace(engine)
    const flying = new Danmaku({ container: this.box(), engine: 'dom', speed: this.speed })
    const standing = new Danmaku({ container: this.box(), engine: 'dom', speed: this.standingSpeed })
    return (this.engine = { flying, standing, lines: 0, startedAt: Date.now() })
  }

  private box(): HTMLElement {
    const box = document.createElement('div')
    box.className = 'flight'
    this.layer.append(box)
    return box
  }

  /** The old engine goes when its last line has left the stage. */
  private replace(engine: Engine): void {
    this.retired.push(engine)
    window.setTimeout(() => {
      if (!this.retired.includes(engine)) return
      this.retired = this.retired.filter((other) => other !== engine)
      retire(engine)
    }, 30_000)
  }

  private get engines(): Engine[] {
    return this.engine ? [...this.retired, this.engine] : this.retired
  }

  private get width(): number {
    return this.layer.clientWidth
  }

  private get letters(): number {
    const stage = this.layer.parentElement?.clientHeight ?? 500
    return Math.min(42, Math.max(15, stage * 0.045)) * this.display.size
  }

  /** Pixels a second. */
  private get speed(): number {
    const crossing = this.width < 600 ? NARROW_CROSSING_S : CROSSING_S
    return Math.max(1, (this.width / crossing) * this.display.speed)
  }

  /** The engine lets a line stand for as long as this speed needs for the stage's width. */
  private get standingSpeed(): number {
    return Math.max(1, this.width / STANDING_S)
  }

  private widthOf({ text, count }: DanmakuEvent, letters: number): number {
    const said = this.ruler.measureText(text).width
    const counted = count ? this.ruler.measureText(times(count)).width + TIMES_MARGIN * RULER_PX : 0
    return ((said + counted) * letters) / RULER_PX + LINE_MARGIN * letters
  }
}

function retire(engine: Engine): void {
  for (const danmaku of [engine.flying, engine.standing]) {
    const { container } = danmaku as unknown as { container: HTMLElement }
    danmaku.destroy()
    container.remove()
  }
}

/**
 * The engine gives lanes by height, and prints over others what does not fit. To it, our
 * lines have no height, so they all go to its top; from there on, the lane is ours.
 */
function atHeight(top: number, line: HTMLElement): HTMLElement {
  const lane = document.createElement('div')
  lane.style.height = '0'
  line.style.top = `${top}px`
  lane.append(line)
  return lane
}

function lineElement(danmaku: DanmakuEvent, own: boolean): HTMLElement {
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
