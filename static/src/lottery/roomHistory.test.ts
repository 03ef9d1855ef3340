import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { RoomLottery } from '../api/lottery'
import { RoomHistory } from './roomHistory'

/** The room's lotteries are numbered from 1 on. */
let latest: number
let drawn: Set<number>
let answering: Promise<void>

const lottery = (n: number) => ({ id: String(n), phase: drawn.has(n) ? 'drawn' : 'open' }) as RoomLottery

beforeEach(() => {
  latest = 0
  drawn = new Set()
  answering = Promise.resolve()
  vi.stubGlobal('fetch', async (path: string) => {
    const { pathname, searchParams } = new URL(path, 'http://here')
    expect(pathname).toBe('/api/v1/rooms/7/lotteries')
    const from = Number(searchParams.get('cursor') ?? latest)
    const to = Math.max(from - Number(searchParams.get('limit')), 0)
    const items = Array.from({ length: from - to }, (_, at) => lottery(from - at))
    await answering
    return new Response(JSON.stringify({ items, next_cursor: to === 0 ? null : String(to) }))
  })
})
afterEach(() => void vi.unstubAllGlobals())

const shown = (history: RoomHistory) => history.items.value.map(({ id }) => Number(id))
/** From the latest on down. */
const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, at) => from - at)

async function readBack(pages: number): Promise<RoomHistory> {
  const history = new RoomHistory('7')
  await history.readAnew()
  for (let page = 1; page < pages; page++) await history.readOn()
  return history
}

test('a new lottery takes nothing away of what was read', async () => {
  latest = 25
  const history = await readBack(2)
  expect(shown(history)).toEqual(down(25, 6))
  latest = 26
  await history.readAnew()
  expect(shown(history)).toEqual(down(26, 6))
  expect(history.hasMore.value).toBe(true)
  await history.readOn()
  expect(shown(history)).toEqual(down(26, 1))
  expect(history.hasMore.value).toBe(false)
  latest = 27
  await history.readAnew()
  expect(shown(history)).toEqual(down(27, 1))
  expect(history.hasMore.value).toBe(false)
})

test('an older one that has changed is read anew, too', async () => {
  latest = 25
  const history = await readBack(3)
  drawn.add(3)
  await history.readAnew()
  expect(history.items.value.find(({ id }) => id === '3')!.phase).toBe('drawn')
})

test('what is more than the server gives at once stays', async () => {
  latest = 80
  const history = await readBack(7)
  expect(shown(history)).toEqual(down(80, 11))
  latest = 81
  await history.readAnew()
  expect(shown(history)).toEqual(down(81, 11))
  await history.readOn()
  expect(shown(history)).toEqual(down(81, 1))
})

test('after a gap the list begins again, without a hole', async () => {
  latest = 12
  const history = await readBack(1)
  latest = 40
  await history.readAnew()
  expect(shown(history)).toEqual(down(40, 31))
  await history.readOn()
  expect(shown(history)).toEqual(down(40, 21))
})

test('what was started here is shown at once, and once', async () => {
  latest = 3
  const history = await readBack(1)
  history.take(lottery(4))
  expect(shown(history)).toEqual(down(4, 1))
  drawn.add(4)
  history.take(lottery(4))
  latest = 4
  await history.readAnew()
  expect(shown(history)).toEqual(down(4, 1))
  expect(history.items.value[0]!.phase).toBe('drawn')
})

test('of two readings at once the later one counts, and a page that no longer fits is dropped', async () => {
  latest = 12
  const history = await readBack(1)
  let answer = () => {}
  answering = new Promise((done) => (answer = done))
  const slow = [history.readAnew(), history.readOn()]
  latest = 40
  answering = Promise.resolve()
  await history.readAnew()
  answer()
  await Promise.all(slow)
  expect(shown(history)).toEqual(down(40, 31))
})
