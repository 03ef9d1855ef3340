/** PyPI's `httpx-sse` in a Python of its own; see follow.py. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { atEnd } from '../support/at-end.js'

export async function python(t, server, path, { lastEventId = '' } = {}) {
  const seen = []
  const script = fileURLToPath(new URL('follow.py', import.meta.url))
  const child = spawn(process.env.CLIENTS_PYTHON, [script, `${server.url}${path}`, lastEventId], { stdio: ['ignore', 'pipe', 'inherit'] })
  createInterface(child.stdout).on('line', (line) => seen.push(JSON.parse(line)))
  atEnd(t, async () => child.kill())
  return { seen: async () => seen }
}
