/** Flying lines over a picture: the `danmaku` engine, kept small for a room that never ends. */
import Danmaku from 'danmaku/dist/esm/danmaku.dom.js'
import type { DanmakuEvent, Mode, Size } from '../api/contract'
import { type Display, isHidden } from './display'
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
const MODES: Record<Mode, 'rtl' | 'ltr' | 'top' | 'bottom'> = { scroll: 'rtl', reverse: 'ltr', top: 'top', bottom: 'bottom' }

interface Engine {
  box: HTMLElement
  danmaku: Danmaku
  lines: number
  startedAt: number
}

export class Flight {
  private engine: Engine | null = null
  private retired: Engine[] = []
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
      engine.danmaku.resize()
      engine.danmaku.speed = this.speed
    }
  }

  /** Lets a line fly. A crowded stage takes no more, except the visitor's own and the room's staff. */
  fly(danmaku: DanmakuEvent, own: boolean): void {
    // A hidden tab draws no frame: its lines would all start at once later.
    if (!this.display.shown || document.hidden || this.width === 0) return
    if (!own && isHidden(danmaku, this.display)) return
    const crowded = this.onStage >= this.room
    if (crowded && !own && danmaku.sender.role === 'viewer') return
    const engine = this.current()
    engine.lines += 1
    engine.danmaku.emit({ mode: MODES[danmaku.mode] ?? 'rtl', render: () => lineElement(danmaku, own) })
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
  }

  destroy(): void {
    this.resized.disconnect()
    this.stop()
  }

  private current(): Engine {
    const engine = this.engine
    if (engine && engine.lines < LINES_PER_ENGINE && Date.now() - engine.startedAt < ENGINE_LIFE_MS) return engine
    if (engine) this.replace(engine)
    const box = document.createElement('div')
    box.className = 'flight'
    this.layer.append(box)
    const danmaku = new Danmaku({ container: box, engine: 'dom', speed: this.speed })
    return (this.engine = { box, danmaku, lines: 0, startedAt: Date.now() })
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

  private get onStage(): number {
    return this.layer.querySelectorAll('.flight [data-id]').length
  }

  /** As many lines as can be read: every lane about two thirds full. */
  private get room(): number {
    const lanes = Math.max(1, Math.floor(this.layer.clientHeight / (this.letters * 1.4)))
    return Math.max(6, Math.round(lanes * Math.max(1, this.width / (this.letters * 11))))
  }
}

function retire({ box, danmaku }: Engine): void {
  danmaku.destroy()
  box.remove()
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
