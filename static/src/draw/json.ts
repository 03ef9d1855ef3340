/**
 * Strict JSON. `JSON.parse` lets pass what would make two readers see two documents: a field
 * that is there twice, numbers that are no integers. Everything else is a reader: it takes a
 * value and its name, and returns the value or throws `Unreadable`.
 */

/** Not a document of the protocol. */
export class Unreadable extends Error {}

/** Of the largest document; a proof of some hundred thousand winners has less. */
const MOST_BYTES = 32 << 20

export type Reader<T> = (value: unknown, name: string) => T

const STRINGS = /"(?:[^"\\]|\\.)*"/g

/** What the bytes say, read by `reader`. */
export function readDocument<T>(bytes: Uint8Array, reader: Reader<T>): T {
  if (bytes.length > MOST_BYTES) throw new Unreadable(`more than ${MOST_BYTES} bytes`)
  return reader(decode(textOf(bytes)), 'the document')
}

export function textOf(bytes: Uint8Array): string {
  try {
    // A mark of the byte order is no JSON, so it is not taken away.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Unreadable('not UTF-8')
  }
}

export function decode(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Unreadable('not JSON')
  }
  const skeleton = text.replace(STRINGS, '""')
  if (/[-.+]|[0-9][eE]/.test(skeleton)) throw new Unreadable('a number is not an integer from 0 on')
  // Outside of strings each colon is a field. Of two with one name, `JSON.parse` keeps the last.
  if (skeleton.split(':').length - 1 !== fieldsIn(value)) throw new Unreadable('a field is there twice')
  return value
}

function fieldsIn(value: unknown): number {
  let fields = 0
  // Not by recursion: nesting has no bound.
  const rest = [value]
  while (rest.length > 0) {
    const one = rest.pop()
    if (typeof one !== 'object' || one === null) continue
    const inside = Object.values(one)
    if (!Array.isArray(one)) fields += inside.length
    for (const item of inside) rest.push(item)
  }
  return fields
}

/** An object with exactly these fields. */
export function record<T extends object>(fields: { [F in keyof T]: Reader<T[F]> }): Reader<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  return (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Unreadable(`${name} is not an object`)
    const there = value as Record<string, unknown>
    for (const field of names) if (!Object.hasOwn(there, field)) throw new Unreadable(`${name} has no field ${field}`)
    const unknown = Object.keys(there).find((field) => !Object.hasOwn(fields, field))
    if (unknown !== undefined) throw new Unreadable(`${name} has an unknown field ${JSON.stringify(unknown.slice(0, 40))}`)
    const read = {} as T
    for (const field of names) read[field] = fields[field](there[field], field)
    return read
  }
}

export function arrayOf<T>(item: Reader<T>): Reader<T[]> {
  return (value, name) => {
    if (!Array.isArray(value)) throw new Unreadable(`${name} is not an array`)
    return value.map((one) => item(one, `an item of ${name}`))
  }
}

export function integer(least: number, most: number): Reader<number> {
  return (value, name) => {
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
      throw new Unreadable(`${name} is not an integer from ${least} to ${most}`)
    }
    return value as number
  }
}

export function hexOf(size: number): Reader<string> {
  const pattern = new RegExp(`^[0-9a-f]{${2 * size}}$`)
  return (value, name) => {
    if (typeof value !== 'string' || !pattern.test(value)) throw new Unreadable(`${name} is not ${size} bytes in lowercase hexadecimal`)
    return value
  }
}

/** Half of a pair of surrogates is no character, and has no UTF-8. (`u` takes whole pairs for characters.) */
const LONE_SURROGATE = /\p{Surrogate}/u

export const text: Reader<string> = (value, name) => {
  if (typeof value !== 'string' || LONE_SURROGATE.test(value)) throw new Unreadable(`${name} is not a text`)
  return value
}

/** An id: a decimal string from 1 on, below 2^53. */
export const id: Reader<string> = (value, name) => {
  if (typeof value !== 'string' || !/^[1-9][0-9]{0,15}$/.test(value) || !Number.isSafeInteger(Number(value))) {
    throw new Unreadable(`${name} is not an id`)
  }
  return value
}

export function oneOf<T extends string>(...words: T[]): Reader<T> {
  return (value, name) => {
    if (!words.includes(value as T)) throw new Unreadable(`${name} is not ${words.join(' or ')}`)
    return value as T
  }
}

export function orNull<T>(reader: Reader<T>): Reader<T | null> {
  return (value, name) => (value === null ? null : reader(value, name))
}

/** As RFC 8785 writes a value whose names are ASCII and whose numbers are integers. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`
}
