/** Lotteries, through the API and on the page. */
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { byId } from './browser.js'
import { BINARY } from './server.js'

const SHOTS = fileURLToPath(new URL('../shots/', import.meta.url))
await mkdir(SHOTS, { recursive: true })
export const shot = (page, name) => page.screenshot({ path: `${SHOTS}lottery-${name}.png` })

/** A draw is announced within a second of its time; the rest is for a busy machine. */
export const DRAWN_WITHIN_MS = 40_000

export const card = (page, phase) => page.locator(`[data-testid=lottery-card]${phase ? `[data-phase=${phase}]` : ''}`)
export const joined = (page) => page.locator('[data-testid=lottery-join][data-state=joined]').first()
export const dialog = (page) => byId(page, 'lottery-dialog')
export const drawn = (page) => card(page, 'drawn').first().waitFor({ timeout: DRAWN_WITHIN_MS })

export const lottery = (person, room, body) => person.ask('POST', `/rooms/${room.id}/lotteries`, { title: 'A draw', prizes: [{ name: 'tea', count: 1 }], duration_s: 600, ...body })
export const put = (person, { id }) => person.ask('PUT', `/lotteries/${id}/entries/me`)

/** What a button gives to keep. */
export async function saved(page, button) {
  const [download] = await Promise.all([page.waitForEvent('download'), (typeof button === 'string' ? byId(page, button) : button).click()])
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') }
}

/** The files that the page hands out, in a folder, and the command that it shows for them: `run` gives its outcome. */
export async function handedOut(t, page) {
  const folder = await mkdtemp(join(tmpdir(), 'goligoli-draw-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const texts = {}
  for (const kind of ['proof', 'entries', 'opened', 'closed', 'receipt']) {
    const { name, text } = await saved(page, `download-${kind}`)
    await writeFile(join(folder, name), text)
    texts[kind] = text
  }
  const [, ...args] = (await byId(page, 'verify-command').textContent()).split(' ')
  return { folder, texts, run: () => spawnSync(BINARY, args, { cwd: folder, encoding: 'utf8' }) }
}
