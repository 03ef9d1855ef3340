/** The browser's own EventSource in an empty page of the same site. It comes back by itself. */
export function chromium(browser) {
  return async (t, server, path, { lastEventId } = {}) => {
    const page = await browser.visitor(t, server, { serverGoesAway: true })
    await page.route('**/empty', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>empty</title>' }))
    await page.goto('/empty')
    await page.evaluate(
      ([path, names]) => {
        window.seen = []
        const source = new EventSource(path)
        for (const event of names) source.addEventListener(event, ({ lastEventId: id, data }) => window.seen.push({ id, event, data }))
      },
      [withPosition(path, lastEventId), EVENTS],
    )
    return { seen: () => page.evaluate(() => window.seen) }
  }
}

export const EVENTS = ['welcome', 'hello', 'danmaku', 'room', 'viewers', 'moderation', 'lottery', 'suppressed', 'gap', 'bye']

/** An EventSource takes no headers of ours; the address says where to go on, until the source knows better itself. */
export function withPosition(path, lastEventId) {
  return lastEventId ? `${path}?last_event_id=${encodeURIComponent(lastEventId)}` : path
}
