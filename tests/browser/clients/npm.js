/** npm's `eventsource`. It comes back by itself. */
import { EventSource } from 'eventsource'
import { atEnd } from '../support/at-end.js'
import { EVENTS, withPosition } from './chromium.js'

export async function npm(t, server, path, { lastEventId } = {}) {
  const seen = []
  const source = new EventSource(`${server.url}${withPosition(path, lastEventId)}`)
  for (const event of EVENTS) source.addEventListener(event, ({ lastEventId: id, data }) => seen.push({ id, event, data }))
  atEnd(t, async () => source.close())
  return { seen: async () => seen }
}
