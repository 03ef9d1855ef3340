/** A room's replays, latest first; what is being made is asked for until it is there. */
import { onScopeDispose, ref, shallowRef, watch } from 'vue'
import { account } from '../../account/account'
import { call } from '../../api/call'
import type { Page } from '../../api/contract'
import type { Replay } from '../../api/replay'
import { useAskAgain } from '../../shell/askAgain'

const PAGE = 12
const WAITS = { firstMs: 2_000, longestMs: 30_000, growth: 1.4 }
/** A whole audience must not ask in the same instant. */
const SPREAD_MS = 2_000
/** Who is in the room when a broadcast ends is shown its replay; it has its row at once. */
const MOST_LOOKS = 40

export type RoomReplays = ReturnType<typeof useRoomReplays>

/** `session`: the broadcast that is on; when it ends, there is a new replay. */
export function useRoomReplays(room: string, session: () => string | undefined) {
  const replays = shallowRef<Replay[]>([])
  const state = ref<'loading' | 'ready' | 'failed'>('loading')
  const problem = shallowRef<unknown>(null)
  const next = ref<string | null>(null)
  let turn = 0
  let looks = 0
  const again = useAskAgain(() => void read(), WAITS)

  const page = (cursor: string | null) => call<Page<Replay>>('GET', `/rooms/${room}/replays`, { query: { cursor, limit: PAGE } })

  /** Reads the latest again. */
  async function read(): Promise<void> {
    const mine = ++turn
    try {
      const answer = await page(null)
      if (mine !== turn) return
      // Those that were read before stay, below.
      const last = answer.items.at(-1)
      const at = last ? replays.value.findIndex(({ id }) => id === last.id) : -1
      const older = at < 0 ? [] : replays.value.slice(at + 1)
      replays.value = [...answer.items, ...older]
      if (older.length === 0) next.value = answer.next_cursor
      state.value = 'ready'
    } catch (refusal) {
      if (mine !== turn) return
      problem.value = refusal
      if (state.value === 'loading') state.value = 'failed'
    }
    lookAgain()
  }

  async function readMore(): Promise<void> {
    const mine = turn
    const answer = await page(next.value)
    if (mine !== turn) return
    const known = new Set(replays.value.map(({ id }) => id))
    replays.value = [...replays.value, ...answer.items.filter(({ id }) => !known.has(id))]
    next.value = answer.next_cursor
  }

  function lookAgain(): void {
    const isWaiting = state.value === 'failed' || replays.value.some((replay) => replay.state !== 'ready')
    if (!isWaiting) {
      looks = 0
      again.reset()
    }
    if (!isWaiting || looks++ >= MOST_LOOKS) again.stop()
    else again.later()
  }

  function lookAnew(): void {
    looks = 0
    again.reset()
    lookAgain()
  }

  /** Reads soon, and then for as long as something is being made. */
  function readSoon(): void {
    looks = 0
    again.reset()
    again.after(Math.random() * SPREAD_MS)
  }

  watch(() => account.value?.id, () => void read(), { immediate: true })
  watch(session, (now, before) => before && before !== now && readSoon())
  onScopeDispose(() => (turn += 1))

  return {
    replays, state, problem, next, read, readMore,
    changed: (to: Replay) => {
      replays.value = replays.value.map((replay) => (replay.id === to.id ? to : replay))
      lookAnew()
    },
    deleted: (id: string) => (replays.value = replays.value.filter((replay) => replay.id !== id)),
    /** A file was brought: its replay is the latest. */
    added: (replay: Replay) => {
      replays.value = [replay, ...replays.value.filter(({ id }) => id !== replay.id)]
      lookAnew()
    },
  }
}
