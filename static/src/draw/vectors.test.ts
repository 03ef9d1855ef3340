/// <reference types="node" />
/** The protocol's test vectors, which every verifier is held against. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { toHex, utf8 } from './bytes'
import { cancelledReader, inclusionReader, readSpec, type Opened } from './documents'
import { readDocument } from './json'
import { MOST_ENTRIES } from './inWorker'
import { verifyLight } from './light'
import { cancelledMessage, holds, specHashOf } from './signature'
import { rootBy } from './tree'
import { type Given, verify } from './verify'

const FOLDER = join(import.meta.dirname, '../../../tests/draw/vectors')
const EXITS = { agrees: 0, disagrees: 1, unreadable: 2, consistent: 3 }

interface Expected {
  about: string
  args: string[]
  exit: number
}

const bytes = (...path: string[]): Uint8Array => new Uint8Array(readFileSync(join(FOLDER, ...path)))
const json = <T>(...path: string[]): T => JSON.parse(readFileSync(join(FOLDER, ...path), 'utf8')) as T

/** The rule that makes a list too long to be kept. */
interface Rule {
  count: number
  first_user_id: number
  user_id_step: number
  opens_at_ms: number
  entries_per_ms: number
}

function ruleOf(name: string): Rule | null {
  return readdirSync(join(FOLDER, name)).includes('entries.json') ? json<Rule>(name, 'entries.json') : null
}

function entriesOf(name: string, file: string): Uint8Array {
  const rule = ruleOf(name)
  if (!rule) return bytes(name, file)
  const { count, first_user_id, user_id_step, opens_at_ms, entries_per_ms } = rule
  const lines = Array.from({ length: count }, (_, n) => {
    const entry = { n, user_id: String(first_user_id + n * user_id_step), entered_at_ms: opens_at_ms + Math.floor(n / entries_per_ms), weight: 1 }
    return `${JSON.stringify(entry)}\n`
  })
  return utf8(lines.join(''))
}

function given(name: string, [proof, entries, ...options]: string[]): Given {
  const all: Given = { proof: bytes(name, proof!), entries: entriesOf(name, entries!), receipts: [] }
  for (let at = 0; at < options.length; at += 2) {
    const file = bytes(name, options[at + 1]!)
    if (options[at] === '--opened') all.opened = file
    else if (options[at] === '--closed') all.closed = file
    else all.receipts!.push(file)
  }
  return all
}

const names = readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name)

test('there are vectors', () => expect(names.length).toBeGreaterThan(100))

test.each(names)('%s', (name) => {
  const { args, exit } = json<Expected>(name, 'expected.json')
  const isLarge = (ruleOf(name)?.count ?? 0) > MOST_ENTRIES
  const { outcome, finding } = isLarge
    ? verifyLight({ proof: bytes(name, args[0]!), opened: bytes(name, 'opened.json'), closed: bytes(name, 'closed.json') })
    : verify(given(name, args))
  expect(EXITS[outcome], JSON.stringify(finding)).toBe(exit)
})

test('the worked example has its place in the tree, and its cancellation is signed', () => {
  const { spec } = json<Opened>('tiny', 'opened.json')
  const inclusion = readDocument(bytes('tiny', 'inclusion-1.json'), inclusionReader)
  expect(toHex(rootBy(inclusion)!)).toBe(inclusion.root)
  const cancelled = readDocument(bytes('tiny', 'cancelled.json'), cancelledReader)
  expect(holds(readSpec(spec).receipt_key, cancelledMessage(specHashOf(spec), cancelled), cancelled.signature)).toBe(true)
})
