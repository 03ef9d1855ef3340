import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RoomStream, type StreamHandlers } from './stream'

class Source extends EventTarget {
  static readonly CLOSED = 2
  static opened: Source[] = []
  readyState = 1
  onerror = null
  constructor(readonly url: string) {
    super()
    Source.opened.push(this)
  }
  close(): void {
    this.readyState = Source.CLOSED
  }
  say(event: string, lastEventId: string, data: unknown): void {
    this.dispatchEvent(Object.assign(new Event(event), { lastEventId, data: JSON.stringify(data) }))
  }
}

beforeEach(() => {
  vi.useFakeTimers()
  Source.opened = []
  vi.stubGlobal('EventSource', Source)
  vi.stubGlobal('document', Object.assign(new EventTarget(), { hidden: false }))
  vi.stubGlobal('addEventListener', () => {})
  vi.stubGlobal('removeEventListener', () => {})
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const urls = () => Source.opened.map(({ url }) => url.replace('/api/v1/rooms/5/events', ''))
const handlers = () => {
  const heard: string[] = []
  const of = (name: string) => () => void heard.push(name)
  const names = ['welcome', 'hello', 'danmaku', 'room', 'viewers', 'moderation', 'lottery', 'suppressed', 'gap', 'bye']
  return { heard, handlers: { ...Object.fromEntries(names.map((name) => [name, of(name)])), refused: async () => {} } as unknown as StreamHandlers }
}

test('a viewer who asks for fewer goes on where they stood', () => {
  let rate: number | null = null
  const { heard, handlers: all } = handlers()
  const stream = new RoomStream('5', all, () => rate)
  stream.connect()
  const [first] = Source.opened
  first!.say('welcome', '', { server_time_ms: 0 })
  first!.say('danmaku', '17-3', {})
  expect(stream.state.value).toBe('online')
  rate = 5
  stream.askAnew()
  expect(first!.readyState).toBe(Source.CLOSED)
  // It is the viewer's wish, not a trouble of the line.
  expect(stream.state.value).toBe('online')
  // What the old stream still says comes by the new one.
  first!.say('danmaku', '17-4', {})
  expect(heard).toEqual(['welcome', 'danmaku'])
  rate = null
  stream.askAnew()
  rate = 0
  stream.connect()
  expect(urls()).toEqual(['', '?last_event_id=17-3&rate=5', '?last_event_id=17-3', '?last_event_id=17-3&rate=0'])
  stream.destroy()
})

test('who is away stays away, and asks when they come back', () => {
  let rate: number | null = null
  const stream = new RoomStream('5', handlers().handlers, () => rate)
  stream.connect()
  Source.opened[0]!.say('bye', '', { reason: 'lease', reconnect_in_ms: 400 })
  rate = 20
  stream.askAnew()
  expect(urls()).toEqual([''])
  return vi.advanceTimersByTimeAsync(500).then(() => {
    expect(urls()).toEqual(['', '?rate=20'])
    stream.destroy()
  })
})
