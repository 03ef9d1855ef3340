import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ReplayDanmaku, ReplayPart } from '../api/replay'
import { type Load, PartStore, partsAround } from './partStore'

const part = (part: number, from_s: number, to_s: number): ReplayPart => ({ part, segment: 1, from_ms: from_s * 1000, to_ms: to_s * 1000, danmaku_count: 2 })
/** Nothing was said from 100 s to 720 s. */
const PARTS = [part(1, 1, 50), part(2, 50, 100), part(3, 720, 900), part(4, 901, 1000)]
const danmakuOf = (number: number): ReplayDanmaku[] => {
  const { from_ms, to_ms } = PARTS[number - 1] ?? part(number, number, number)
  return [from_ms, to_ms].map((at_ms, n) => ({ id: `${number}${n}`, at_ms, sent_at: '', mode: 'scroll', color: '#ffffff', size: 'standard', text: '', sender_hash: '00000000' }))
}

test('the part under the playhead comes first, then what is still flying, then the next', () => {
  expect(partsAround(PARTS, 10_000, 9_000)).toEqual([1, 2])
  expect(partsAround(PARTS, 55_000, 9_000)).toEqual([2, 1, 3])
  expect(partsAround(PARTS, 80_000, 9_000)).toEqual([2, 3])
  expect(partsAround(PARTS, 400_000, 9_000)).toEqual([3, 4])
  expect(partsAround(PARTS, 950_000, 9_000)).toEqual([4])
  // The end: the last lines are still flying.
  expect(partsAround(PARTS, 1_004_000, 9_000)).toEqual([4])
  expect(partsAround(PARTS, 2_000_000, 9_000)).toEqual([])
  expect(partsAround([], 0, 9_000)).toEqual([])
})

/** Requests that are answered when the test says so. */
function requests() {
  const open = new Map<number, { answer: () => void; refuse: () => void; signal: AbortSignal }>()
  const asked: number[] = []
  const load: Load = (number, signal) => {
    asked.push(number)
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')))
      open.set(number, { answer: () => resolve(danmakuOf(number)), refuse: () => reject(new Error('refused')), signal })
    })
  }
  const settle = async (work: () => void) => {
    work()
    await vi.advanceTimersByTimeAsync(0)
  }
  return { asked, load, open, answer: (number: number) => settle(open.get(number)!.answer), refuse: (number: number) => settle(open.get(number)!.refuse) }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test('a part is loaded once, and told of when it is there', async () => {
  const { asked, load, answer } = requests()
  const came: number[] = []
  const store = new PartStore(PARTS, load, ({ part }) => came.push(part))
  store.want('stage', [1, 2])
  store.want('list', [1])
  expect(asked).toEqual([1, 2])
  await answer(1)
  store.want('stage', [1, 2])
  store.want('stage', [1])
  expect([asked, came]).toEqual([[1, 2], [1]])
  expect(store.between(0, 50_001).map(({ id }) => id)).toEqual(['10', '11'])
  expect(store.between(1_000, 50_000).map(({ id }) => id)).toEqual(['10'])
})

test('two parts meet in one millisecond', async () => {
  const { load, answer } = requests()
  const store = new PartStore(PARTS, load)
  store.want('stage', [1, 2])
  await answer(2)
  await answer(1)
  expect(store.between(50_000, 50_001).map(({ id }) => id)).toEqual(['11', '20'])
})

test('what nobody wants any more is not loaded to the end', async () => {
  const { load, open, asked } = requests()
  const store = new PartStore(PARTS, load)
  store.want('stage', [1, 2])
  store.want('list', [2])
  store.want('stage', [3])
  expect([1, 2, 3].map((number) => open.get(number)!.signal.aborted)).toEqual([true, false, false])
  // Wanted again before the browser has let it go.
  store.want('stage', [1])
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toEqual([1, 2, 3, 1])
})

test('what cannot be loaded is tried again, later each time, and said', async () => {
  const { asked, load, refuse, answer } = requests()
  const store = new PartStore(PARTS, load)
  store.want('stage', [1])
  await refuse(1)
  expect([asked.length, store.trouble.value]).toEqual([1, true])
  await vi.advanceTimersByTimeAsync(1_300)
  expect(asked.length).toBe(2)
  await refuse(1)
  await vi.advanceTimersByTimeAsync(1_300)
  expect(asked.length).toBe(2)
  await vi.advanceTimersByTimeAsync(1_300)
  expect(asked.length).toBe(3)
  await answer(1)
  expect([store.trouble.value, store.of(1)?.length]).toEqual([false, 2])
})

test('the visitor does not wait for the next try; who goes elsewhere is not told of it', async () => {
  const { asked, load, refuse } = requests()
  const store = new PartStore(PARTS, load)
  store.want('stage', [1])
  await refuse(1)
  store.retry()
  expect(asked).toEqual([1, 1])
  await refuse(1)
  store.want('stage', [3])
  expect(store.trouble.value).toBe(false)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked).toEqual([1, 1, 3])
})

/** A replay whose parts have so many danmaku each. */
const evenParts = (parts: number, danmaku_count: number): ReplayPart[] => Array.from({ length: parts }, (_, n) => ({ ...part(n + 1, n * 10, n * 10 + 9), danmaku_count }))
const whole = (parts: ReplayPart[]): Load => async (number) => Array.from({ length: parts[number - 1]!.danmaku_count }, () => danmakuOf(1)[0]!)
const keptOf = (store: PartStore) => store.parts.filter(({ part }) => store.of(part)).map(({ part }) => part)

test('of large parts only a few are kept, those that were wanted last', async () => {
  const many = evenParts(30, 6_000)
  const store = new PartStore(many, whole(many))
  for (let n = 1; n <= 30; n++) {
    store.want('stage', [n])
    await vi.advanceTimersByTimeAsync(0)
  }
  expect(keptOf(store)).toEqual([23, 24, 25, 26, 27, 28, 29, 30])
  // Looked at again, the oldest is the newest.
  for (const n of [23, 1]) {
    store.want('stage', [n])
    await vi.advanceTimersByTimeAsync(0)
  }
  expect(keptOf(store)).toEqual([1, 23, 25, 26, 27, 28, 29, 30])
})

test('who wants many large parts gets the first; a part that is too large alone is got, too', async () => {
  const [large, huge] = [evenParts(9, 6_000), evenParts(2, 50_000)]
  const [some, one] = [new PartStore(large, whole(large)), new PartStore(huge, whole(huge))]
  some.want('list', [1, 2, 3, 4, 5, 6])
  one.want('list', [1, 2])
  await vi.advanceTimersByTimeAsync(0)
  expect([keptOf(some), keptOf(one)]).toEqual([[1, 2, 3, 4], [1]])
})

test('of small parts all that are wanted come, four at a time, the stage\'s first', async () => {
  const many = evenParts(40, 1)
  const { asked, load, open, answer } = requests()
  const store = new PartStore(many, async (number, signal) => (await load(number, signal)).slice(0, 1))
  store.want('list', Array.from({ length: 30 }, (_, n) => n + 1))
  store.want('stage', [35])
  expect(asked).toEqual([1, 2, 3, 4])
  await answer(2)
  expect(asked).toEqual([1, 2, 3, 4, 35])
  while (asked.length < 31) await answer([...open.keys()].find((number) => !store.of(number))!)
  for (const number of asked) await answer(number)
  expect(keptOf(store)).toEqual([...Array.from({ length: 30 }, (_, n) => n + 1), 35])
})

test('what failed does not keep the others waiting', async () => {
  const many = evenParts(8, 1)
  const { asked, load, refuse, answer } = requests()
  const store = new PartStore(many, load)
  store.want('list', [1, 2, 3, 4, 5, 6])
  for (const number of [1, 2, 3, 4]) await refuse(number)
  expect(asked).toEqual([1, 2, 3, 4, 5, 6])
  await answer(5)
  await vi.advanceTimersByTimeAsync(1_300)
  expect(asked.length).toBe(9)
  await answer(6)
  expect(asked.slice(6).sort()).toEqual([1, 2, 3, 4])
})

test('what was deleted is not there, also not in what comes later', async () => {
  const { load, answer } = requests()
  const store = new PartStore(PARTS, load)
  store.delete('10')
  store.want('stage', [1])
  await answer(1)
  expect(store.between(0, 60_000).map(({ id }) => id)).toEqual(['11'])
  expect(store.isDeleted('10')).toBe(true)
})
