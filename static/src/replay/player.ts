/** Plays a replay: its clock, its danmaku around the playhead, and who draws them. */
import { onScopeDispose, ref, shallowRef, watch } from 'vue'
import { Problem, call } from '../api/call'
import type { ReplayDanmaku, ReplayManifest } from '../api/replay'
import { PageClock, type ReplayClock } from './clock'
import { HIDDEN } from './ownReplay'
import { PartStore, lowerBound, partsAround } from './partStore'
import type { Source } from './staging'

/** What tells the time in words and digits need not do so sixty times a second. */
const TELL_MS = 100
/** So far ahead of and behind the playhead it is looked which parts are needed. */
const LEAST_BACK_MS = 5_000

/** Draws the moments of a replay. */
export interface Flyer {
  /** For how long before a moment a danmaku can have appeared that is still to be seen. */
  readonly crossingMs: number
  show(nowMs: number, source: Source): void
  /** What was drawn is not what there is. */
  reset(): void
}

export type Player = ReturnType<typeof usePlayer>

/** `outdated` hears that the index was made anew meanwhile: its parts are others. */
export function usePlayer(id: string, manifest: () => ReplayManifest, outdated: () => void) {
  const durationMs = () => manifest().replay.duration_ms
  /** The index follows a deletion later than this page. */
  const deleted = new Set<string>()
  const clock: ReplayClock = new PageClock(durationMs)
  const nowMs = ref(0)
  const store = shallowRef(newStore())
  let flyer: Flyer | null = null
  let frame = 0
  let toldAt = 0

  function newStore(): PartStore {
    const { version, parts } = manifest()
    const load = async (part: number, signal: AbortSignal) => {
      const answer = call<{ danmaku: ReplayDanmaku[] }>('GET', `/replays/${id}/parts/${part}`, { query: { v: version }, lasting: true, signal, ...HIDDEN })
      const { danmaku } = await answer.catch((problem) => {
        if (problem instanceof Problem && problem.code.startsWith('no-such-')) outdated()
        throw problem
      })
      return danmaku
    }
    return new PartStore(parts, load, ({ from_ms, to_ms, danmaku_count }, danmaku) => {
      if (danmaku.length !== danmaku_count) outdated()
      const now = clock.timeMs()
      if (from_ms > now || to_ms < now - backMs()) return
      flyer?.reset()
      draw()
    }, deleted)
  }

  const backMs = () => Math.max(LEAST_BACK_MS, flyer?.crossingMs ?? 0)

  function draw(): void {
    window.cancelAnimationFrame(frame)
    const now = clock.timeMs()
    store.value.want('stage', partsAround(store.value.parts, now, backMs()))
    flyer?.show(now, store.value)
    if (!clock.playing.value || Math.abs(now - toldAt) >= TELL_MS) nowMs.value = toldAt = now
    if (clock.playing.value) frame = window.requestAnimationFrame(draw)
  }

  /** Goes to a moment and shows at once what is to be seen there. */
  function seek(ms: number): void {
    clock.seek(ms)
    flyer?.reset()
    toldAt = -TELL_MS
    draw()
  }

  function toggle(): void {
    if (clock.playing.value) clock.pause()
    else clock.play()
    draw()
  }

  function attach(to: Flyer): () => void {
    flyer = to
    draw()
    return () => (flyer = null)
  }

  /** A danmaku is gone. */
  function forget(danmaku: string): void {
    store.value.delete(danmaku)
    flyer?.reset()
    draw()
  }

  watch(manifest, () => {
    store.value.destroy()
    store.value = newStore()
    flyer?.reset()
    seek(clock.timeMs())
  })
  onScopeDispose(() => {
    window.cancelAnimationFrame(frame)
    store.value.destroy()
  })

  return {
    clock, nowMs, store, durationMs, seek, toggle, attach, draw, forget,
    /** Forward, or back. */
    skip: (ms: number) => seek(clock.timeMs() + ms),
    /** How many danmaku of a part have appeared by a moment; `null` if the part is not there. */
    appeared: (part: number, ms: number): number | null => {
      const danmaku = store.value.of(part)
      return danmaku ? lowerBound(danmaku.length, (at) => danmaku[at]!.at_ms > ms) : null
    },
  }
}
