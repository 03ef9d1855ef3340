import { expect, test } from 'vitest'
import type { Entry, Proof } from './documents'
import { MadeDraw, bytesOf, entriesOf } from './madeDraw'
import { utf8 } from './bytes'
import { type Given, type Verdict, verify } from './verify'

const finding = ({ outcome, finding }: Verdict) => (finding ? `${outcome}: ${finding.code} ${finding.which}`.trim() : outcome)
const found = (given: Given) => finding(verify(given))

/** A sequence of numbers that is the same each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function anyDraw(seed: number): MadeDraw {
  const below = numbers(seed)
  const most = 1 + below(3)
  const entries = entriesOf(below(40), () => 1 + below(most))
  const prizes = Array.from({ length: 1 + below(3) }, (_, tier) => ({ name: `prize ${tier}`, count: 1 + below(4) }))
  const winners = Math.min(entries.length, prizes.reduce((sum, { count }) => sum + count, 0))
  const steps = Array.from({ length: Math.min(winners, below(4)) }, () => {
    const reason = below(2) === 0 ? ('declined' as const) : ('unclaimed' as const)
    return { place: 0, reason, afterMs: reason === 'declined' ? below(400) : 500 + below(400) }
  })
  return new MadeDraw({ entries, steps, spec: { prizes, weight: most === 1 ? 'one' : { rule: 'level', max: most } } })
}

test('draws of every kind agree with what was signed at the time', () => {
  for (let seed = 0; seed < 60; seed++) {
    const verdict = verify(anyDraw(seed).given())
    expect(finding(verdict), `seed ${seed}`).toBe('agrees')
    expect(verdict.passed.filter((check) => check !== 'receipt')).toEqual(['documents', 'opened', 'commitment', 'closed', 'entries', 'root', 'winners'])
  }
})

test('without what was signed at the time a draw is only consistent in itself', () => {
  const { opened, closed, ...rest } = new MadeDraw().given()
  expect(found({ ...rest, opened })).toBe('consistent')
  expect(found({ ...rest, closed })).toBe('consistent')
  expect(found(rest)).toBe('consistent')
})

test('no byte of a proof, of its entries or of a receipt can be changed', { timeout: 60_000 }, () => {
  const given = new MadeDraw({ steps: [{ place: 1, reason: 'declined', afterMs: 3 }] }).given()
  const below = numbers(1)
  for (const which of ['proof', 'entries', 'receipts'] as const) {
    const right = which === 'receipts' ? given.receipts[0]! : given[which]
    for (let change = 0; change < 150; change++) {
      const wrong = right.slice()
      const at = below(wrong.length)
      wrong[at]! ^= 1 << below(8)
      const outcome = verify({ ...given, [which]: which === 'receipts' ? [wrong] : wrong }).outcome
      expect(outcome === 'disagrees' || outcome === 'unreadable', `${which} at ${at}: ${outcome}`).toBe(true)
    }
  }
})

test('a forgery that is consistent in itself fails against what was saved', () => {
  const real = new MadeDraw()
  const forged = new MadeDraw({ seed: new Uint8Array(32).fill(8) })
  const other = new MadeDraw({ entries: entriesOf(6) })
  const { opened, closed } = real.given()
  expect(found({ ...forged.given(), opened: undefined, closed: undefined })).toBe('consistent')
  expect(found({ ...forged.given(), opened })).toBe('disagrees: opened-differs commitment')
  expect(found({ ...other.given(), opened, closed })).toBe('disagrees: closed-differs root')
})

test('the first thing that does not agree is named', () => {
  const draw = new MadeDraw({ steps: [{ place: 0, reason: 'unclaimed', afterMs: 500 }] })
  const given = draw.given()
  const proof = (change: (proof: Proof) => void) => {
    const changed = structuredClone(draw.proof)
    change(changed)
    return found({ proof: bytesOf(changed), entries: given.entries })
  }
  const entries = (change: (entries: Entry[]) => void) => {
    const changed = structuredClone(draw.entries)
    change(changed)
    const made = new MadeDraw({ entries: changed })
    return found({ proof: bytesOf(made.proof), entries: made.ndjson })
  }
  expect(proof((p) => (p.seed = '00'.repeat(32)))).toBe('disagrees: commitment')
  expect(proof((p) => (p.opened_signature = '00'.repeat(64)))).toBe('disagrees: opened-signature')
  expect(proof((p) => p.closed_at_ms++)).toBe('disagrees: closed-signature')
  expect(proof((p) => p.winners.reverse())).toBe('disagrees: winner 0')
  expect(proof((p) => p.winners.pop())).toBe('disagrees: winner-count 4')
  expect(proof((p) => (p.winners[1]!.prize = 0))).toMatch(/^disagrees: winner /)
  expect(proof((p) => (p.replaced[0]!.at_ms -= 1))).toBe('disagrees: replaced-signature 0')
  expect(proof((p) => (p.beacon = { chain_hash: '00'.repeat(32), round: 1, randomness: '00'.repeat(32), signature: '' }))).toBe('disagrees: beacon')
  expect(entries((e) => (e[1]!.user_id = e[0]!.user_id))).toBe('disagrees: entry-twice 1')
  expect(entries((e) => (e[0]!.entered_at_ms = 999))).toBe('disagrees: entry-early 0')
  expect(entries((e) => (e[2]!.entered_at_ms = 1))).toBe('disagrees: entry-early 2')
  expect(entries((e) => (e[4]!.entered_at_ms = 2000))).toBe('disagrees: entry-late 4')
  expect(entries((e) => (e[3]!.weight = 2))).toBe('disagrees: entry-weight 3')
  expect(found({ ...given, entries: utf8('') })).toBe('disagrees: entry-count 0')
  expect(found({ ...given, receipts: [bytesOf(draw.receipt(1, { ...draw.entries[1]!, user_id: '4' }))] })).toBe('disagrees: receipt-missing 1')
  expect(found({ ...given, receipts: [bytesOf({ ...draw.receipt(1), signature: '11'.repeat(64) })] })).toBe('disagrees: receipt-signature 1')
  expect(found({ ...given, receipts: [bytesOf({ ...draw.receipt(1), lottery_id: '78' })] })).toBe('disagrees: receipt-lottery 1')
})

test('a replacement has to be allowed at its time', () => {
  const step = (reason: 'unclaimed' | 'declined', afterMs: number, claim_ms = 500) => {
    const made = new MadeDraw({ steps: [{ place: 0, reason, afterMs }], spec: { claim_ms } })
    return found(made.given())
  }
  expect(step('unclaimed', 500)).toBe('agrees')
  expect(step('unclaimed', 499)).toBe('disagrees: replaced-claim-open 0')
  expect(step('unclaimed', 500, 0)).toBe('disagrees: replaced-no-claim 0')
  expect(step('declined', -1)).toBe('disagrees: replaced-early 0')
})

test('the key of zeros signs nothing', () => {
  const made = new MadeDraw({ spec: { receipt_key: '00'.repeat(32) } })
  expect(found(made.given())).toBe('disagrees: weak-key')
  const one = new MadeDraw({ spec: { receipt_key: `01${'00'.repeat(31)}` } })
  expect(found(one.given())).toBe('disagrees: weak-key')
})

test('what is no document is refused, whatever it is', () => {
  const draw = new MadeDraw()
  const given = draw.given()
  const text = JSON.stringify(draw.proof)
  const bad = [
    '', '{', 'null', '[]', '"proof"', '0', `${text}x`, `\uFEFF${text}`, '['.repeat(100_000), '{"a":'.repeat(50_000),
    text.replace('"count":5', '"count":5,"count":5'), text.replace('"count":5', '"count":5.0'), text.replace('"count":5', '"count":5e0'),
    text.replace('"count":5', '"count":-0'), text.replace('"count":5', '"count":"5"'), text.replace('"count":5', '"count":9007199254740992'),
    text.replace('"beacon":null', '"beacon":{}'), text.replace('"beacon":null,', ''), text.replace('"beacon":null', '"beacon":null,"more":1'),
    text.replace('"beacon":null', '"beacon":null,"__proto__":1'), text.replace('"seed":"0', '"seed":"A'), text.replace('goligoli-draw/1', 'goligoli-draw/2'),
    text.replace('\\"title\\":\\"Tea', ' \\"title\\":\\"Tea'), text.replace('\\"v\\":1', '\\"v\\":2'), text.replace('☕', '\\\\u2615'), text.replace('☕', '\\ud83d'),
    text.replace('{\\"keyword', '{\\"followed\\":1,\\"keyword'),
  ]
  for (const one of bad) expect(verify({ ...given, proof: utf8(one) }).outcome, one.slice(0, 60)).toBe('unreadable')
  expect(verify({ ...given, proof: new Uint8Array([0x22, 0xff, 0x22]) }).outcome).toBe('unreadable')
  for (const lines of ['x', '\n', `${JSON.stringify(draw.entries[0])}`, `${JSON.stringify(draw.entries[0])}\n\n`, `${' '.repeat(5000)}{}\n`]) {
    expect(verify({ ...given, entries: utf8(lines) }).outcome).toBe('unreadable')
  }
  expect(verify({ ...given, opened: utf8('{}') }).failed).toBe('documents')
})

test('a draw with a beacon is not taken for one without', () => {
  const made = new MadeDraw({ spec: { beacon: { chain_hash: '00'.repeat(32), round: 5 } } })
  expect(found(made.given())).toMatch(/^unreadable: .*beacon/)
})
