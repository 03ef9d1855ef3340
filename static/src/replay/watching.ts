/** A replay that somebody has come to watch: what is known of it, until it can be played. */
import { computed, onScopeDispose, ref, shallowRef, watch } from 'vue'
import { account, accountSettled } from '../account/account'
import { Problem, call } from '../api/call'
import type { Person, Room } from '../api/contract'
import type { Replay, ReplayManifest } from '../api/replay'

const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 15_000

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
  let timer = 0

  const owns = computed(() => account.value !== null && (account.value.role === 'site_admin' || account.value.id === room.value?.owner.id))
  const moderates = computed(() => owns.value || admins.value.some((admin) => admin.id === account.value?.id))

  /** Reads all there is, again and again until the replay can be played. */
  async function read(): Promise<void> {
    const mine = ++turn
    window.clearTimeout(timer)
    let wait = FIRST_WAIT_MS
    const again = () => void (mine === turn && attempt())
    const attempt = async (): Promise<void> => {
      const ready = await readOnce(mine).catch((problem) => refusal(problem))
      if (ready || mine !== turn) return
      timer = window.setTimeout(() => {
        // Nobody is looking: the next look comes with the tab.
        if (document.hidden) document.addEventListener('visibilitychange', again, { once: true })
        else again()
      }, wait * (0.75 + Math.random() / 2))
      wait = Math.min(LONGEST_WAIT_MS, wait * 1.5)
    }
    await attempt()
  }

  /** True if there is nothing more to wait for. */
  async function readOnce(mine: number): Promise<boolean> {
    const read = await call<Replay>('GET', `/replays/${id}`)
    const its = room.value ?? (await call<Room>('GET', `/rooms/${read.room_id}`))
    const list = read.state === 'ready' ? await readManifest(read) : null
    if (mine !== turn) return true
    away.value = false
    trouble.value = null
    room.value = its
    if (list) manifest.value = list
    replay.value = read
    void readAdmins(read.room_id)
    return list !== null
  }

  async function readManifest({ version }: Replay): Promise<ReplayManifest | null> {
    if (manifest.value?.version === version) return manifest.value
    return call<ReplayManifest>('GET', `/replays/${id}/manifest`, { query: { v: version }, lasting: true }).catch((problem) => {
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
    if (code === 'no-such-replay' || code === 'no-such-room' || code === 'malformed-request') trouble.value = 'gone'
    else if (code === 'not-signed-in' || code === 'not-allowed') trouble.value = 'log-in'
    else away.value = true
    return !away.value
  }

  // Who signs in may see what is hidden, and who signs out no longer.
  watch([() => account.value?.id, accountSettled], () => accountSettled.value && void read(), { immediate: true })
  onScopeDispose(() => {
    turn += 1
    window.clearTimeout(timer)
  })

  return { id, replay, manifest, room, trouble, away, owns, moderates, read }
}
