import { ref } from 'vue'
import { call } from '../api/call'
import type { Page, Room } from '../api/contract'

export interface RoomQuery {
  live?: boolean
  search?: string
  owner?: string
}

const PAGE = 24

/** A list of rooms that grows by pages. */
export function useRoomList() {
  const rooms = ref<Room[]>([])
  const more = ref(false)
  const state = ref<'loading' | 'ready' | 'failed'>('loading')
  const problem = ref<unknown>(null)
  let cursor: string | null = null
  let asked: RoomQuery = {}
  let turn = 0

  async function read(query: RoomQuery): Promise<void> {
    asked = query
    cursor = null
    await page(true)
  }

  async function page(first = false): Promise<void> {
    const mine = ++turn
    state.value = 'loading'
    try {
      const query = { ...asked, cursor, limit: PAGE }
      const answer = await call<Page<Room>>('GET', '/rooms', { query })
      // An answer to an older question comes too late.
      if (mine !== turn) return
      const known = new Set(first ? [] : rooms.value.map((room) => room.id))
      const fresh = answer.items.filter((room) => !known.has(room.id))
      rooms.value = first ? fresh : [...rooms.value, ...fresh]
      cursor = answer.next_cursor
      more.value = cursor !== null
      state.value = 'ready'
    } catch (refusal) {
      if (mine !== turn) return
      problem.value = refusal
      state.value = 'failed'
    }
  }

  return { rooms, more, state, problem, read, nextPage: () => page() }
}
