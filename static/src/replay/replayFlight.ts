/** Draws what is on a replay's stage. */
import { type Display, isHidden } from '../danmaku/display'
import type { Stage } from '../danmaku/lanes'
import { Ruler, crossingS, lettersOf, lineElement } from '../danmaku/line'
import { type Placed, type Source, Staging, leftAt } from './staging'

export class ReplayFlight {
  private readonly staging = new Staging()
  private readonly elements = new Map<Placed, HTMLElement>()
  private readonly ruler: Ruler
  private readonly resized: ResizeObserver
  private stage: Stage = { width: 0, height: 0, crossing: 1 }
  private letters = 0

  /** `changed`: the layer has another size, so what is on it has to be drawn again. */
  constructor(
    private readonly layer: HTMLElement,
    private display: Display,
    changed: () => void,
  ) {
    this.ruler = new Ruler(layer)
    this.apply(display)
    this.resized = new ResizeObserver(() => {
      this.apply(this.display)
      changed()
    })
    this.resized.observe(layer)
  }

  /** Settings or size changed. */
  apply(display: Display): void {
    this.display = display
    this.letters = lettersOf(this.layer, display)
    this.layer.style.setProperty('--letters', `${this.letters}px`)
    const width = this.layer.clientWidth
    this.stage = { width, height: this.layer.clientHeight, crossing: crossingS(width, display) }
    this.ruler.lookUpFont()
    this.reset()
  }

  /** Places everything anew at the next moment. */
  reset(): void {
    this.staging.reset()
  }

  /** For how long before a moment a danmaku can have appeared that is still to be seen. */
  get crossingMs(): number {
    return this.stage.crossing * 1000
  }

  show(nowMs: number, source: Source): void {
    if (!this.display.shown || this.stage.width === 0 || this.stage.height === 0) return this.clear()
    const { entered, left } = this.staging.moveTo(nowMs, source, {
      stage: this.stage,
      measure: (danmaku) => this.ruler.measure(danmaku, this.letters),
      isHidden: (danmaku) => isHidden(danmaku, this.display),
      mostPerS: this.display.mostPerS,
    })
    for (const line of left) this.remove(line)
    const fresh = document.createDocumentFragment()
    for (const line of entered) fresh.append(this.add(line))
    for (const [line, element] of this.elements) element.style.transform = `translate(${leftAt(line, this.stage, nowMs).toFixed(2)}px, ${line.claim.top}px)`
    this.layer.append(fresh)
  }

  destroy(): void {
    this.resized.disconnect()
    this.clear()
  }

  private add(line: Placed): HTMLElement {
    const element = lineElement(line.danmaku, false)
    element.classList.add('placed')
    this.elements.set(line, element)
    return element
  }

  private remove(line: Placed): void {
    this.elements.get(line)?.remove()
    this.elements.delete(line)
  }

  private clear(): void {
    for (const element of this.elements.values()) element.remove()
    this.elements.clear()
    this.reset()
  }
}
