import { expect, test } from 'vitest'
import { ofHex, toHex } from './bytes'
import type { Inclusion } from './documents'
import { type GivenLight, verifyLight } from './light'
import { MadeDraw, bytesOf, entriesOf, pathOf, tree } from './madeDraw'
import { rootBy } from './tree'

function given(draw: MadeDraw, n: number): GivenLight {
  return {
    proof: bytesOf(draw.proof), opened: bytesOf(draw.opened), closed: bytesOf(draw.closed),
    own: { receipt: bytesOf(draw.receipt(n)), inclusion: bytesOf(draw.inclusion(n)) },
    inclusions: draw.proof.winners.map((winner) => bytesOf(draw.inclusion(winner.n))),
  }
}
const found = (all: GivenLight) => {
  const { outcome, finding } = verifyLight(all)
  return finding ? `${outcome}: ${finding.code}` : outcome
}

test('paths lead to the root, for trees of every size, and others do not', () => {
  for (let count = 1; count <= 40; count++) {
    const draw = new MadeDraw({ entries: entriesOf(count) })
    for (let n = 0; n < count; n++) {
      const inclusion: Inclusion = draw.inclusion(n)
      expect(toHex(rootBy(inclusion)!), `${n} of ${count}`).toBe(draw.closed.root)
      expect(rootBy({ ...inclusion, path: [...inclusion.path, inclusion.leaf] })).toBe(null)
      if (inclusion.path.length > 0) expect(rootBy({ ...inclusion, path: inclusion.path.slice(1) })).toBe(null)
      expect(rootBy({ ...inclusion, n: count })).toBe(null)
    }
  }
  expect(toHex(tree([]))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  expect(pathOf(0, [ofHex('00')])).toEqual([])
})

test('everybody sees that nobody was passed over', () => {
  const draw = new MadeDraw({ entries: entriesOf(30), steps: [{ place: 1, reason: 'declined', afterMs: 1 }] })
  for (let n = 0; n < 30; n++) expect(found(given(draw, n))).toBe('agrees')
  expect(found({ ...given(draw, 0), opened: undefined })).toBe('consistent')
})

test('who was passed over notices', () => {
  const draw = new MadeDraw({ entries: entriesOf(30), spec: { prizes: [{ name: 'tea', count: 2 }] } })
  const winner = draw.proof.winners[0]!.n
  const right = given(draw, winner)
  const stolen = structuredClone(draw.proof)
  // Somebody further down the ranking gets the prize, with the key that is theirs.
  const longer = new MadeDraw({ entries: entriesOf(30), spec: { prizes: [{ name: 'tea', count: 3 }] } })
  expect(longer.proof.winners.length).toBe(3)
  stolen.winners = [stolen.winners[1]!, { ...stolen.winners[1]!, n: 29, key: 'ff'.repeat(32) }]
  expect(found({ ...right, proof: bytesOf(stolen), inclusions: [] })).toBe('disagrees: left-out')
  expect(found({ ...right, proof: bytesOf(stolen), inclusions: [bytesOf(draw.inclusion(29))] })).toBe('disagrees: winner-key')
  stolen.winners.reverse()
  expect(found({ ...right, proof: bytesOf(stolen), inclusions: [] })).toBe('disagrees: winner-order')
})

test('a receipt has to have its place in the tree', () => {
  const draw = new MadeDraw({ entries: entriesOf(30) })
  const right = given(draw, 3)
  const elsewhere = { receipt: bytesOf(draw.receipt(3, { ...draw.entries[3]!, user_id: '999' })), inclusion: right.own!.inclusion }
  expect(found({ ...right, own: elsewhere })).toBe('disagrees: receipt-missing')
  const wrongPath = { ...draw.inclusion(3), path: draw.inclusion(4).path }
  expect(found({ ...right, own: { ...right.own!, inclusion: bytesOf(wrongPath) } })).toBe('disagrees: receipt-missing')
})

test('a receipt of more chances than the rule gives is refused before they are computed', () => {
  const draw = new MadeDraw({ entries: entriesOf(5, () => 2), spec: { weight: { rule: 'level', max: 2 } } })
  expect(found(given(draw, 3))).toBe('agrees')
  const receipt = bytesOf(draw.receipt(3, { ...draw.entries[3]!, weight: 2 ** 32 - 1 }))
  expect(found({ ...given(draw, 3), own: { ...given(draw, 3).own!, receipt } })).toBe('disagrees: entry-weight')
})
