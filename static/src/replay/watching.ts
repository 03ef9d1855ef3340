/** A replay that somebody has come to watch: what is known of it, until it can be played. */
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { account, accountSettled } from '../account/account'
import { Problem, call } from '../api/call'
import type { Person, Room } from '../api/contract'
import type { Replay, ReplayManifest } from '../api/replay'
import { useAskAgain } from '../shell/askAgain'
import { HIDDEN, ownsRoom } from './ownReplay'

const WAITS = { firstMs: 1_000, longestMs: 15_000, growth: 1.5 }
/** A new index comes in seconds; after so many looks, some four minutes, none is expected any more. */
const MOST_LOOKS = 20
/** What was changed while an index was being made is in the next one. */
const LOOKS_AFTER = 2

export type WatchedReplay = ReturnType<typeof useReplay>

export function useReplay(id: string) {
  const replay = shallowRef<Replay | null>(null)
  const manifest = shallowRef<ReplayManifest | null>(null)
  const room = shallowRef<Room | null>(null)
  const admins = shallowRef<Person[]>([])
  const trouble = ref<'gone' | 'log-in' | null>(null)
  /** The last question got no answer; it is asked again. */
  const away = ref(false)
  let turn = 0
  let adminsTurn = 0
  /** A version after this one is expected, for so many looks. */
  let latest = 0
  let looks = 0
  const again = useAskAgain(() => void attempt(), WAITS)

  const owns = computed(() => ownsRoom(room.value))
  const moderates = computed(() => owns.value || admins.value.some((admin) => admin.id === account.value?.id))

  /** Reads all there is, again and again until the replay can be played. */
  async function read(): Promise<void> {
    turn += 1
    again.reset()
    await attempt()
  }

  /** Something was changed that the next index shows: it is asked for until it is there. */
  function readNewer(): void {
    looks = MOST_LOOKS
    again.reset()
    again.later()
  }

  async function attempt(): Promise<void> {
    const mine = turn
    const ended = await readOnce(mine).catch((problem) => mine !== turn || refusal(problem))
    if (mine !== turn) return
    if (ended) again.stop()
    else again.later()
  }

  /** True if there is nothing more to wait for. */
  async function readOnce(mine: number): Promise<boolean> {
    const read = await call<Replay>('GET', `/replays/${id}`, HIDDEN)
    const its = room.value ?? (await call<Room>('GET', `/rooms/${read.room_id}`))
    const list = read.state === 'ready' ? await readManifest(read) : null
    if (mine !== turn) return true
    away.value = false
    trouble.value = null
    room.value = its
    if (list) manifest.value = list
    replay.value = read
    if (adminsTurn !== mine) void readAdmins(read.room_id)
    adminsTurn = mine
    if (read.version > latest) looks = Math.min(looks, LOOKS_AFTER)
    latest = read.version
    return list !== null && looks-- <= 0
  }

  async function readManifest({ version }: Replay): Promise<ReplayManifest | null> {
    if (manifest.value?.version === version) return manifest.value
    return call<ReplayManifest>('GET', `/replays/${id}/manifest`, { query: { v: version }, lasting: true, ...HIDDEN }).catch((problem) => {
      if (problem instanceof Problem && problem.code === 'replay-not-ready') return null
      throw problem
    })
  }

  async function readAdmins(roomId: string): Promise<void> {
    const read = account.value ? await call<{ items: Person[] }>('GET', `/rooms/${roomId}/admins`).catch(() => null) : null
    admins.value = read?.items ?? []
  }

  /** True if it need not be asked again. */
  function refusal(problem: unknown): boolean {
    const code = problem instanceof Problem ? problem.code : ''
    const isGone = code === 'no-such-replay' || code === 'no-such-room' || code === 'malformed-request'
    const isClosed = code === 'not-signed-in' || code === 'not-allowed'
    if (isGone || isClosed) trouble.value = isGone ? 'gone' : 'log-in'
    away.value = !isGone && !isClosed
    return !away.value
  }

  // Who signs in may see what is hidden, and who signs out no longer.
  watch([() => account.value?.id, accountSettled], () => accountSettled.value && void read(), { immediate: true })
  onScopeDispose(() => (turn += 1))

  return { id, replay, manifest, room, trouble, away, owns, moderates, read, readNewer }
}
