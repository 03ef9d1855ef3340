/** Waits on a condition, never for a time. */
export async function until(what, isTrue, withinMs = 10_000) {
  const end = Date.now() + withinMs
  for (;;) {
    const found = await isTrue()
    if (found) return found
    if (Date.now() > end) throw new Error(`waited ${withinMs} ms for: ${what}`)
    await new Promise((go) => setTimeout(go, 20))
  }
}
