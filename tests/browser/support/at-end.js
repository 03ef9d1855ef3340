/** What a test has started ends with it, the last one first. (Node runs `after` hooks in the order they came.) */
const stacks = new WeakMap()

export function atEnd(t, end) {
  if (!stacks.has(t)) {
    stacks.set(t, [])
    t.after(async () => {
      const failures = []
      for (const end of stacks.get(t).reverse()) await end()?.catch((error) => failures.push(error))
      if (failures.length) throw failures[0]
    })
  }
  stacks.get(t).push(end)
}
