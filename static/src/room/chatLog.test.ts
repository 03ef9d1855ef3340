import { describe, expect, test } from 'vitest'
import type { DanmakuEvent, GapEvent } from '../api/contract'
import { ChatLog } from './chatLog'

const said = (n: number, name = 'mo'): DanmakuEvent => ({
  id: String(n), session_id: '1', sender: { id: '7', name, role: 'viewer' }, text: `line ${n}`, mode: 'scroll', color: '#ffffff', size: 'standard', sent_at_ms: n * 1000,
})
const several = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => said(from + n))
const gap = (n: number | null): GapEvent => ({ n, from: 'a', to: 'b', retry_after_ms: 100 })

const ids = (log: ChatLog) => log.lines.value.map((line) => (line.kind === 'danmaku' ? line.danmaku.id : line.kind))
/** What the log keeps, shown or not. */
const held = (log: ChatLog) => (log as unknown as { all: unknown[] }).all.length

function shown(log: ChatLog): string {
  log.publish()
  return log.lines.value.map((line) => (line.kind === 'danmaku' ? line.danmaku.id : line.kind === 'gap' ? `gap${line.left}` : line.notice.what)).join(' ')
}

describe('the chat log', () => {
  test('has each line once', () => {
    const log = new ChatLog()
    expect(log.add(said(1))).toBe(true)
    expect(log.add(said(1))).toBe(false)
    expect(shown(log)).toBe('1')
  })

  test('never shows a deleted line again', () => {
    const log = new ChatLog()
    log.addLatest(several(1, 3))
    log.remove(['2'])
    expect(log.add(said(2))).toBe(false)
    expect(shown(log)).toBe('1 3')
  })

  test('takes older lines in front, without those that the live stream left out beside its own', () => {
    const log = new ChatLog()
    log.addLatest([said(10), said(12)])
    expect(log.addOlder([said(8), said(9), said(10), said(11)])).toBe(2)
    expect(shown(log)).toBe('8 9 10 12')
  })

  test('learns later that a line was not shown to all', () => {
    const log = new ChatLog()
    log.addLatest(several(1, 2))
    log.mark('2', 'sampled')
    log.mark('3', 'sampled')
    log.publish()
    expect(log.lines.value.map((line) => line.kind === 'danmaku' && line.danmaku.delivery)).toEqual([undefined, 'sampled'])
  })

  test('puts missed lines in the place of the gap', () => {
    const log = new ChatLog()
    log.add(said(1))
    log.gap(gap(5), 0)
    log.addLatest(several(5, 6))
    expect(shown(log)).toBe('1 gap3 5 6')
    const line = log.lines.value.find((line) => line.kind === 'gap')!
    log.fillGap(line.key, several(2, 5))
    expect(shown(log)).toBe('1 2 3 4 5 6')
  })

  test('closes a gap that the latest lines fill', () => {
    const log = new ChatLog()
    log.gap(gap(2), 0)
    log.addLatest(several(1, 2))
    expect(shown(log)).toBe('1 2')
  })

  test('keeps few lines, more while somebody reads, and can load the dropped ones again', () => {
    const log = new ChatLog()
    log.olderCursor = 'somewhere'
    log.reading = true
    for (const one of several(1, 1000)) log.add(one)
    log.publish()
    expect(log.lines.value.length).toBe(1000)
    log.reading = false
    expect(log.lines.value.length).toBe(400)
    expect(log.olderCursor).toBeUndefined()
    expect(log.addOlder(several(560, 600))).toBe(41)
  })

  test('leaves what is read where it is, however much comes, and goes on at the newest', () => {
    const log = new ChatLog()
    log.addLatest(several(1, 50))
    log.reading = true
    for (const one of several(51, 60_000)) log.add(one)
    log.publish()
    expect(ids(log).slice(0, 2)).toEqual(['1', '2'])
    expect(ids(log).length).toBe(2000)
    expect(log.unread.value).toBe(59_950)
    expect(held(log)).toBeLessThanOrEqual(2000 + 400)
    log.remove(['1', '60000'])
    expect(ids(log).length).toBe(1999)
    log.reading = false
    expect(ids(log)).toEqual(several(59_601, 59_999).map(({ id }) => id))
    expect(log.unread.value).toBe(0)
  })

  test('shows what waited when nothing had to go', () => {
    const log = new ChatLog()
    log.reading = true
    for (const one of several(1, 2300)) log.add(one)
    log.publish()
    expect(ids(log).at(-1)).toBe('2000')
    log.reading = false
    expect(ids(log)).toEqual(several(1901, 2300).map(({ id }) => id))
  })

  test('stays small in a tab whose timers stand still', () => {
    const log = new ChatLog()
    for (const one of several(1, 100_000)) log.add(one)
    expect(held(log)).toBeLessThanOrEqual(600)
    log.publish()
    expect(ids(log)).toEqual(several(99_601, 100_000).map(({ id }) => id))
  })

  test('a line that many said takes over their count when the stream brings it back to its sender', () => {
    const log = new ChatLog()
    log.add(said(1))
    expect(log.add({ ...said(1), count: 37 })).toBe(false)
    log.shown({ ...said(1), count: 37 })
    log.publish()
    expect(log.lines.value[0]).toMatchObject({ danmaku: { count: 37, delivery: 'live' } })
  })

  test('a gap that is larger than what is loaded at once stays behind what was loaded', () => {
    const log = new ChatLog()
    log.add(said(1))
    log.gap(gap(5000), 0)
    log.add(said(6000))
    log.publish()
    log.reading = true
    const line = log.lines.value.find((line) => line.kind === 'gap')!
    log.fillGap(line.key, several(2, 1001), { from: 'there' })
    expect(log.lines.value.length).toBe(1003)
    expect(log.lines.value.at(-2)).toMatchObject({ kind: 'gap', left: null, from: 'there', to: 'b' })
    log.fillGap(line.key, several(1002, 1005))
    expect(ids(log).slice(-2)).toEqual(['1005', '6000'])
  })

  test('who reads on through gaps keeps what they read last', () => {
    const log = new ChatLog()
    log.reading = true
    for (const one of several(1, 1990)) log.add(one)
    log.gap(gap(5000), 0)
    for (const one of several(9000, 9500)) log.add(one)
    log.publish()
    const line = log.lines.value.find((line) => line.kind === 'gap')!
    log.fillGap(line.key, several(1991, 2990), { from: 'there' })
    expect(ids(log).length).toBe(2000)
    expect(ids(log)[0]).not.toBe('1')
    expect(ids(log)).toContain('2990')
    expect(log.olderCursor).toBeUndefined()
  })
})
