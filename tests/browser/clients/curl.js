/** `curl -N`, started again with the last id whenever it ends, as a shell script would do it. */
import { spawn } from 'node:child_process'
import { createParser } from 'eventsource-parser'
import { atEnd } from '../support/at-end.js'

export async function curl(t, server, path, { lastEventId } = {}) {
  const seen = []
  let last = lastEventId
  let stopped = false
  let child = null
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      if (id !== undefined) last = id
      seen.push({ id: last, event, data })
    },
  })
  const follow = () => {
    if (stopped) return
    parser.reset()
    const resume = last ? ['-H', `Last-Event-ID: ${last}`] : []
    child = spawn('curl', ['-sN', '--fail', '--noproxy', '*', ...resume, `${server.url}${path}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.setEncoding('utf8').on('data', (text) => parser.feed(text))
    child.on('close', () => setTimeout(follow, 100))
  }
  follow()
  atEnd(t, async () => {
    stopped = true
    child.kill()
  })
  return { seen: async () => seen }
}
