import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Danmaku, DanmakuEvent, Delivery } from '../api/contract'
import { ChatLog } from './chatLog'
import { OwnLines } from './ownLines'

const said = (id: string, text = '666'): DanmakuEvent => ({
  id, session_id: '1', sender: { id: '7', name: 'mo', role: 'viewer' }, text, mode: 'scroll', color: '#ffffff', size: 'standard', sent_at_ms: 0,
})

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function world(...answers: Delivery[]) {
  const log = new ChatLog()
  const asked: string[] = []
  const own = new OwnLines(log, async (id) => {
    asked.push(id)
    const delivery = answers.shift()
    if (!delivery) throw new Error('no answer')
    return { id, text: '666', delivery } as Danmaku
  })
  const say = (id: string) => (log.add(said(id)), own.follow({ id }))
  return { log, own, asked, say }
}

test('a line that the stream brought back was shown: nobody is asked', async () => {
  const { log, asked, say } = world('sampled')
  say('1')
  log.shown(said('1'))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(log.deliveryOf('1')).toBe('live')
  expect(asked).toEqual([])
})

test('of others the server knows what became of them', async () => {
  const { log, asked, say } = world('sampled')
  say('1')
  await vi.advanceTimersByTimeAsync(1_900)
  expect(log.deliveryOf('1')).toBeUndefined()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(log.deliveryOf('1')).toBe('sampled')
  expect(asked).toEqual(['1'])
})

test('one that the server knows nothing of is asked for once more, and then it is said', async () => {
  const { log, asked, say } = world('stored', 'stored', 'live')
  say('1')
  await vi.advanceTimersByTimeAsync(2_500)
  expect(log.deliveryOf('1')).toBeUndefined()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(log.deliveryOf('1')).toBe('stored')
  expect(asked).toEqual(['1', '1'])
})

test('one that was folded into another was shown, among so many', async () => {
  const { log, own, say } = world('live')
  say('1')
  own.heard({ ...said('2'), count: 37 })
  own.heard({ ...said('3', 'something else'), count: 5 })
  await vi.advanceTimersByTimeAsync(3_000)
  log.publish()
  expect(log.lines.value[0]).toMatchObject({ danmaku: { id: '1', delivery: 'live', counted_in: 37 } })
})

test('what cannot be read is not told, and who has left asks for nothing', async () => {
  const { log, own, asked, say } = world()
  say('1')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(log.deliveryOf('1')).toBeUndefined()
  say('2')
  own.leave()
  say('3')
  await vi.advanceTimersByTimeAsync(60_000)
  expect(asked).toEqual(['1'])
})
