/** A `localStorage` for tests that run without a browser: its keys are its own properties, as in one. */
export function testStorage(mostChars = Infinity): Storage {
  const items: Record<string, string> = {}
  const size = () => Object.entries(items).reduce((sum, [key, value]) => sum + key.length + value.length, 0)
  const methods = {
    getItem: (key: string) => (Object.hasOwn(items, key) ? items[key]! : null),
    setItem: (key: string, value: string) => {
      const before = items[key]
      items[key] = value
      if (size() <= mostChars) return
      if (before === undefined) delete items[key]
      else items[key] = before
      throw new DOMException('full', 'QuotaExceededError')
    },
    removeItem: (key: string) => void delete items[key],
  }
  for (const [name, value] of Object.entries(methods)) Object.defineProperty(items, name, { value })
  return items as unknown as Storage
}
