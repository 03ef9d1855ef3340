import { describe, expect, test } from 'vitest'
import type { DanmakuEvent, GapEvent } from '../api/contract'
import { ChatLog } from './chatLog'

const said = (n: number, name = 'mo'): DanmakuEvent => ({
  id: String(n), session_id: '1', sender: { id: '7', name, role: 'viewer' }, text: `line ${n}`, mode: 'scroll', color: '#ffffff', size: 'standard', sent_at_ms: n * 1000,
})
const several = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => said(from + n))
const gap = (n: number | null): GapEvent => ({ n, from: 'a', to: 'b', retry_after_ms: 100 })

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
    for (const one of several(1, 1000)) log.add(one)
    log.reading = true
    log.publish()
    expect(log.lines.value.length).toBe(1000)
    log.reading = false
    log.publish()
    expect(log.lines.value.length).toBe(400)
    expect(log.olderCursor).toBeUndefined()
    expect(log.addOlder(several(560, 600))).toBe(41)
  })
})
