import { beforeEach, expect, test, vi } from 'vitest'
import { utf8 } from '../draw/bytes'
import { MadeDraw } from '../draw/madeDraw'
import { testStorage } from '../testStorage'
import { allKept, contradictions, keep, keptOf, receiptOf, tellOnce } from './keepsakes'
import { exported, imported } from './keptFile'

beforeEach(() => vi.stubGlobal('localStorage', testStorage()))

const draw = new MadeDraw()
const other = new MadeDraw({ seed: new Uint8Array(32).fill(5) })

test('what was announced in time is kept once, with the first time it was seen', () => {
  expect(keep('77', 'Tea', 'opened', draw.opened, { now: 5 })).toBe(true)
  expect(keep('77', 'Tea', 'opened', { ...draw.opened }, { now: 9 })).toBe(true)
  expect(keep('77', 'Tea', 'closed', draw.closed, { inTime: false, now: 9 })).toBe(true)
  expect(keptOf('77')!.opened).toEqual([{ document: draw.opened, seen_at_ms: 5 }])
  expect(keptOf('77')!.closed).toEqual([])
  expect(contradictions(keptOf('77')!)).toEqual([])
})

test('what contradicts it is kept beside it, also when it comes late', () => {
  keep('77', 'Tea', 'opened', draw.opened)
  keep('77', 'Tea', 'opened', other.opened, { inTime: false })
  expect(keptOf('77')!.opened.map(({ document }) => document)).toEqual([draw.opened, other.opened])
  expect(contradictions(keptOf('77')!)).toEqual(['opened'])
  for (let seed = 0; seed < 9; seed++) keep('77', 'Tea', 'opened', { ...draw.opened, commitment: String(seed) })
  expect(keptOf('77')!.opened.length).toBe(4)
  expect(keptOf('77')!.opened[0]!.document).toEqual(draw.opened)
})

test('a receipt is found by its account', () => {
  const receipt = draw.receipt(2)
  keep('77', 'Tea', 'receipts', receipt)
  expect(receiptOf('77', receipt.user_id)).toEqual(receipt)
  expect(receiptOf('77', '1')).toBe(null)
  expect(receiptOf('78', receipt.user_id)).toBe(null)
  expect(tellOnce('77', receipt.user_id)).toBe(true)
  expect(tellOnce('77', receipt.user_id)).toBe(false)
})

test('no more than a few hundred lotteries are kept; the oldest go, those without a receipt first', () => {
  keep('1', '', 'receipts', { ...draw.receipt(0), lottery_id: '1' }, { now: 1 })
  for (let id = 2; id <= 305; id++) keep(String(id), '', 'opened', draw.opened, { now: id })
  expect(allKept().length).toBe(300)
  expect(receiptOf('1', draw.receipt(0).user_id)).not.toBe(null)
  expect(keptOf('2')).toBe(null)
  expect(keptOf('305')).not.toBe(null)
})

test('a storage that is full of other things takes what it can, and says when it cannot', () => {
  vi.stubGlobal('localStorage', testStorage(6000))
  for (let id = 1; id <= 20; id++) expect(keep(String(id), '', 'opened', draw.opened, { now: id })).toBe(true)
  expect(allKept().length).toBeLessThan(10)
  expect(keptOf('20')).not.toBe(null)
  vi.stubGlobal('localStorage', testStorage(100))
  expect(keep('21', '', 'opened', draw.opened)).toBe(false)
})

test('what somebody else wrote there does no harm', () => {
  localStorage.setItem('goligoli.draw.77', '{')
  expect(allKept()).toEqual([])
  expect(keep('77', 'Tea', 'opened', draw.opened)).toBe(true)
})

test('all of it goes into a file and comes back from it', () => {
  keep('77', 'Tea', 'opened', draw.opened, { now: 3 })
  keep('77', 'Tea', 'closed', draw.closed, { now: 4 })
  keep('77', 'Tea', 'receipts', draw.receipt(1), { now: 5 })
  const file = exported(allKept())
  vi.stubGlobal('localStorage', testStorage())
  expect(imported(utf8(file))).toBe(3)
  expect(imported(utf8(file))).toBe(0)
  expect(exported(allKept())).toBe(file)
  // Somebody else's file says otherwise: both stay.
  const theirs = file.replace(draw.opened.commitment, other.opened.commitment).replace(draw.opened.signature, other.opened.signature)
  expect(imported(utf8(theirs))).toBe(1)
  expect(contradictions(keptOf('77')!)).toEqual(['opened'])
  // What nobody signed is no proof of anything.
  for (const { signature } of [draw.opened, draw.closed, draw.receipt(1)]) expect(imported(utf8(file.replace(signature, '00'.repeat(64))))).toBe(null)
  expect(imported(utf8(file.replace(draw.closed.root, other.opened.commitment)))).toBe(null)
  for (const bad of ['', '{}', '[]', file.replace('goligoli-kept/1', 'x'), file.replace('"n": 1', '"n": 1.5'), file.replace('"lottery_id": "77"', '"lottery_id": "78"')]) {
    expect(imported(utf8(bad)), bad.slice(0, 40)).toBe(null)
  }
})
