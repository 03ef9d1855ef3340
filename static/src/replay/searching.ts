/** What the server finds in a replay's danmaku. */
import { onScopeDispose, ref, shallowRef, watch } from 'vue'
import { call } from '../api/call'
import type { Page } from '../api/contract'
import type { ReplayDanmaku } from '../api/replay'

const PAGE = 100
/** Who wants to see more than these searches for more. */
const MOST_FOUND = 500
const TYPING_MS = 250

export function useSearch(id: string) {
  const term = ref('')
  /** `null` while nothing is searched for. */
  const found = shallowRef<ReplayDanmaku[] | null>(null)
  const more = ref(false)
  const full = ref(false)
  const busy = ref(false)
  const problem = shallowRef<unknown>(null)
  let cursor: string | null = null
  let request = new AbortController()
  let typing = 0

  async function read(next: boolean): Promise<void> {
    request.abort()
    const mine = (request = new AbortController())
    busy.value = true
    problem.value = null
    try {
      const query = { text: term.value.trim(), cursor: next ? cursor : null, limit: PAGE }
      const page = await call<Page<ReplayDanmaku>>('GET', `/replays/${id}/danmaku`, { query, signal: mine.signal })
      if (mine !== request) return
      found.value = next ? [...(found.value ?? []), ...page.items] : page.items
      cursor = page.next_cursor
      full.value = cursor !== null && found.value.length >= MOST_FOUND
      more.value = cursor !== null && !full.value
    } catch (refusal) {
      if (mine !== request) return
      problem.value = refusal
      if (!next) found.value = []
      more.value = false
    }
    busy.value = false
  }

  function clear(): void {
    request.abort()
    request = new AbortController()
    found.value = null
    more.value = full.value = busy.value = false
    problem.value = null
  }

  watch(term, (now) => {
    window.clearTimeout(typing)
    if (now.trim() === '') return clear()
    busy.value = true
    typing = window.setTimeout(() => void read(false), TYPING_MS)
  })
  onScopeDispose(() => {
    window.clearTimeout(typing)
    request.abort()
  })

  return { term, found, more, full, busy, problem, again: () => read(false), nextPage: () => read(true) }
}
