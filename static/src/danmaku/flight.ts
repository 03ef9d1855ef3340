/** Flying lines over a picture: the `danmaku` engine, kept small for a room that never ends. */
import Danmaku from 'danmaku/dist/esm/danmaku.dom.js'
import type { DanmakuEvent, Mode, Size } from '../api/contract'
import { type Display, isHidden } from './display'
import { Lanes, STANDING_S, type Way } from './lanes'
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
const MODES: Record<Mode, Way> = { scroll: 'rtl', reverse: 'ltr', top: 'top', bottom: 'bottom' }

/** Two layers, because an engine has one pace: its standing lines would stand as long as others fly. */
interface Engine {
  flying: Danmaku
  standing: Danmaku
  lines: number
  startedAt: number
}

export class Flight {
  private engine: Engine | null = null
  private retired: Engine[] = []
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

  /** Lets a line fly. A crowded stage takes no more, except the visitor's own and the room's staff. */
  fly(danmaku: DanmakuEvent, own: boolean): void {
    // A hidden tab draws no frame: its lines would all start at once later.
    if (!this.display.shown || document.hidden || this.width === 0 || this.layer.clientHeight === 0) return
    if (!own && isHidden(danmaku, this.display)) return
    const way = MODES[danmaku.mode] ?? 'rtl'
    const must = own || danmaku.sender.role !== 'viewer'
    const top = this.takeLane(way, danmaku, must)
    if (top === null) return
    const engine = this.current()
    engine.lines += 1
    const stands = way === 'top' || way === 'bottom'
    const layer = stands ? engine.standing : engine.flying
    layer.emit({ mode: stands ? 'top' : way, render: () => atHeight(top, lineElement(danmaku, own)) })
  }

  /** Deleted lines vanish at once. (The engine must find its elements, so they stay, unseen.) */
  hide(ids: string[]): void {
    for (const line of this.layer.querySelectorAll<HTMLElement>('[data-id]')) {
      if (ids.includes(line.dataset.id!)) line.style.visibility = 'hidden'
    }
  }

  stop(): void {
    for (const engine of this.engines) retire(engine)
    this.engine = null
    this.retired = []
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

  private takeLane(way: Way, danmaku: DanmakuEvent, must: boolean): number | null {
    const letters = this.letters * (SIZES[danmaku.size] ?? 1)
    const stage = { width: this.width, height: this.layer.clientHeight, crossing: this.width / this.speed }
    const line = { way, must, width: this.widthOf(danmaku.text, letters), height: letters * LINE_HEIGHT }
    return this.lanes.take(line, stage, performance.now() / 1000)
  }

  private widthOf(text: string, letters: number): number {
    this.ruler.font = `650 ${letters}px ${getComputedStyle(this.layer).fontFamily}`
    return this.ruler.measureText(text).width + LINE_MARGIN * letters
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
  line.style.fontSize = `${SIZES[danmaku.size] ?? 1}em`
  line.textContent = danmaku.text
  return line
}
