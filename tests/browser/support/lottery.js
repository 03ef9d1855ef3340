/** Lotteries, through the API and on the page. */
import { mkdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { byId } from './browser.js'

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
