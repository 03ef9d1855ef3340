import { expect, test } from 'vitest'
import type { DanmakuEvent, Delivery } from '../api/contract'
import { beginning, isPast, wasMissed } from './missed'

const at = (sent_at_ms: number, id = 1, delivery?: Delivery): DanmakuEvent => ({
  id: String(id), session_id: '1', sender: { id: '7', name: 'mo', role: 'viewer' }, text: 'x', mode: 'scroll', color: '#ffffff', size: 'standard', sent_at_ms, delivery,
})
const edges = { last: at(10_000, 5), next: at(20_000, 9), oldest: at(9_500) }
const nothing = { last: null, next: null, oldest: null }

test('between the edges everything was missed, also what was sampled out', () => {
  for (const one of [at(10_000, 6, 'sampled'), at(15_000, 1, 'sampled'), at(20_000, 8, 'live')]) expect(wasMissed(one, edges)).toBe(true)
})

test('beside the edges only what the stream would have brought', () => {
  for (const one of [at(9_900, 4), at(10_000, 4), at(20_000, 10), at(20_400, 1)]) {
    expect(wasMissed({ ...one, delivery: 'sampled' }, edges)).toBe(false)
    expect(wasMissed({ ...one, delivery: 'live' }, edges)).toBe(true)
  }
})

test('what the list has dropped by now was not missed', () => {
  expect(wasMissed(at(9_400, 3, 'live'), edges)).toBe(false)
  // The list begins with the gap: nothing before it is wanted, all in it is.
  const trimmed = { ...edges, oldest: edges.next }
  expect(wasMissed(at(9_900, 4, 'live'), trimmed)).toBe(false)
  expect(wasMissed(at(15_000, 4, 'live'), trimmed)).toBe(true)
  expect(wasMissed(at(15_000, 4, 'live'), nothing)).toBe(true)
})

test('reading begins a moment before the gap and ends a moment after it', () => {
  expect(beginning(edges.last)).toBe('9000.0')
  expect(beginning(null)).toBeNull()
  expect(isPast(at(20_900), edges)).toBe(false)
  expect(isPast(at(21_001), edges)).toBe(true)
  expect(isPast(at(99_999), nothing)).toBe(false)
})
