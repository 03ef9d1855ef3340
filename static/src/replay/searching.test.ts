import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { effectScope, nextTick } from 'vue'
import { Problem } from '../api/call'
import { useSearch } from './searching'

const hit = (id: string) => ({ id, at_ms: 0, sent_at: '', mode: 'scroll', color: '#ffffff', size: 'standard', text: id, sender_hash: '00000000' })
const page = (ids: string[], next_cursor: string | null) => Response.json({ items: ids.map(hit), next_cursor })
const busy = (seconds: number) => Response.json({ code: 'unavailable', detail: 'busy' }, { status: 503, headers: { 'retry-after': String(seconds) } })

/** What the server answers, in order, and what it was asked. */
function server(...answers: (() => Response)[]) {
  const asked: string[] = []
  vi.stubGlobal('fetch', async (url: string, { signal }: RequestInit) => {
    const { searchParams } = new URL(url, 'http://here/')
    asked.push(`${searchParams.get('text')} ${searchParams.get('cursor') ?? ''}`.trim())
    await new Promise((go) => setTimeout(go, 1))
    if (signal?.aborted) throw new Error('aborted')
    return answers[Math.min(asked.length, answers.length) - 1]!()
  })
  return asked
}

async function search(term: string) {
  const scope = effectScope()
  const its = scope.run(() => useSearch('7'))!
  its.term.value = term
  await nextTick()
  return { ...its, scope, after: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('slices in which there is nothing are gone through, to the end', async () => {
  const asked = server(() => page([], 'a'), () => page(['1'], 'b'), () => page([], 'c'), () => page(['2'], null))
  const { found, more, busy, after } = await search('x')
  await after(300)
  expect([asked, found.value?.map(({ id }) => id), more.value, busy.value]).toEqual([['x', 'x a', 'x b', 'x c'], ['1', '2'], false, false])
})

test('a page that is full is enough, until there shall be more', async () => {
  const hundred = Array.from({ length: 100 }, (_, n) => String(n))
  const asked = server(() => page(hundred.slice(0, 60), 'a'), () => page(hundred.slice(60), 'b'), () => page([], 'c'), () => page(['100'], null))
  const { found, more, nextPage, after } = await search('x')
  await after(300)
  expect([asked.length, found.value?.length, more.value]).toEqual([2, 100, true])
  void nextPage()
  await after(100)
  expect([asked.slice(2), found.value?.length, more.value]).toEqual([['x b', 'x c'], 101, false])
})

test('a server that is busy is asked for the same again when it says, a few times', async () => {
  const asked = server(() => page([], 'a'), () => busy(2), () => page(['1'], null))
  const { found, problem, after } = await search('x')
  await after(300)
  expect(asked).toEqual(['x', 'x a'])
  await after(1_000)
  expect([asked.length, problem.value]).toEqual([2, null])
  await after(1_000)
  expect([asked, found.value?.length]).toEqual([['x', 'x a', 'x a'], 1])
})

test('a server that stays busy is a problem in the end; trying again goes on where it was', async () => {
  const asked = server(() => page(['1'], 'a'), ...Array.from({ length: 6 }, () => () => busy(3600)), () => page(['2'], null))
  const { found, problem, busy: isBusy, again, after } = await search('x')
  await after(51_000)
  expect([asked.length, problem.value instanceof Problem, isBusy.value]).toEqual([7, true, false])
  void again()
  await after(100)
  expect([asked.at(-1), found.value?.map(({ id }) => id), problem.value]).toEqual(['x a', ['1', '2'], null])
})

test('another term ends what was looked for, also a wait', async () => {
  const asked = server(() => page(['old'], 'a'), () => busy(5), () => page(['new'], null))
  const { term, found, after } = await search('x')
  await after(300)
  expect(found.value?.length).toBe(1)
  term.value = 'y'
  await nextTick()
  expect(found.value).toBe(null)
  await after(300)
  expect([asked, found.value?.map(({ id }) => id)]).toEqual([['x', 'x a', 'y'], ['new']])
  await after(20_000)
  expect(asked.length).toBe(3)
})

test('who leaves asks no more', async () => {
  const asked = server(() => page([], 'a'))
  const { scope, after } = await search('x')
  await after(250)
  scope.stop()
  const { length } = asked
  await after(10_000)
  expect(asked.length - length).toBeLessThanOrEqual(1)
})
