/** What the server finds in a replay's danmaku. */
import { onScopeDispose, ref, shallowRef, watch } from 'vue'
import { call } from '../api/call'
import type { Page } from '../api/contract'
import { patiently } from '../api/patience'
import type { ReplayDanmaku } from '../api/replay'
import { HIDDEN } from './ownReplay'

const PAGE = 100
/** Who wants to see more than these searches for more. */
const MOST_FOUND = 500
const TYPING_MS = 250
const PATIENCE = { mostWaits: 5, longestWaitMs: 10_000 }

export function useSearch(id: string) {
  const term = ref('')
  /** `null` while nothing is searched for, and until there is something of the term. */
  const found = shallowRef<ReplayDanmaku[] | null>(null)
  const more = ref(false)
  const full = ref(false)
  const busy = ref(false)
  const problem = shallowRef<unknown>(null)
  let cursor: string | null = null
  let request = new AbortController()
  let typing = 0

  /** Reads until there is a page more, or nothing more: the server looks through a slice at a time, in which there may be nothing. */
  async function read(next: boolean): Promise<void> {
    const { signal } = anew()
    const text = term.value.trim()
    const enough = next ? (found.value?.length ?? 0) + PAGE : PAGE
    if (!next) cursor = null
    busy.value = true
    try {
      do {
        const page = await slice(text, signal)
        if (signal.aborted) return
        found.value = [...(found.value ?? []), ...page.items]
        cursor = page.next_cursor
      } while (cursor !== null && found.value.length < enough)
      full.value = cursor !== null && found.value.length >= MOST_FOUND
      more.value = cursor !== null && !full.value
    } catch (refusal) {
      if (signal.aborted) return
      problem.value = refusal
      more.value = false
    }
    busy.value = false
  }

  function slice(text: string, signal: AbortSignal): Promise<Page<ReplayDanmaku>> {
    const query = { text, cursor, limit: PAGE }
    return patiently(() => call<Page<ReplayDanmaku>>('GET', `/replays/${id}/danmaku`, { query, signal, ...HIDDEN }), { ...PATIENCE, signal })
  }

  /** What was asked before is not waited for any more. */
  function anew(): AbortController {
    request.abort()
    problem.value = null
    return (request = new AbortController())
  }

  watch(term, (now) => {
    window.clearTimeout(typing)
    anew()
    // What was found is no answer to the new question.
    found.value = null
    more.value = full.value = false
    busy.value = now.trim() !== ''
    if (busy.value) typing = window.setTimeout(() => void read(false), TYPING_MS)
  })
  onScopeDispose(() => {
    window.clearTimeout(typing)
    request.abort()
  })

  return {
    term, found, more, full, busy, problem,
    /** Goes on where there was a problem. */
    again: () => read(found.value !== null),
    nextPage: () => read(true),
  }
}
