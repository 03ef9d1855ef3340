/** Flying lines over a picture: the `danmaku` engine, kept small for a room that never ends. */
import Danmaku from 'danmaku/dist/esm/danmaku.dom.js'
import type { DanmakuEvent } from '../api/contract'
import { type Display, isHidden } from './display'
import { Lanes, STANDING_S, type Stage } from './lanes'
import { Ruler, crossingS, lettersOf, lineElement } from './line'

/** The engine keeps every line it was ever given, so it is replaced after so many… */
const LINES_PER_ENGINE = 3000
/** …or so long. */
const ENGINE_LIFE_MS = 3_600_000
/** Lines that wait for the next frame. Full: the first that need not fly goes; the chat list has it. */
const MOST_WAITING = 64
/** A frame comes at once, or the tab was hidden meanwhile: then what waited is old. */
const WAITS_MS = 1_000
/** When so many found no lane, the stage is full, and the rest of a frame's lines need not be tried. */
const MOST_REFUSALS = 8

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
  private readonly ruler: Ruler
  private readonly resized: ResizeObserver

  constructor(
    private readonly layer: HTMLElement,
    private display: Display,
  ) {
    this.ruler = new Ruler(layer)
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
    this.ruler.lookUpFont()
    let refusals = 0
    for (const line of ready) {
      if (!line.must && refusals >= MOST_REFUSALS) break
      if (!this.start(line, stage, now)) refusals += 1
    }
  }

  private start({ danmaku, own, must }: Waiting, stage: Stage, now: number): boolean {
    const { way, width, height } = this.ruler.measure(danmaku, this.letters)
    const top = this.lanes.take({ way, must, width, height }, stage, now / 1000)
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
    return lettersOf(this.layer, this.display)
  }

  /** Pixels a second. */
  private get speed(): number {
    return Math.max(1, this.width / crossingS(this.width, this.display))
  }

  /** The engine lets a line stand for as long as this speed needs for the stage's width. */
  private get standingSpeed(): number {
    return Math.max(1, this.width / STANDING_S)
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
