/** Replays, made of files or of broadcasts, and what a visitor sees of them. */
import assert from 'node:assert/strict'
import { byId } from './browser.js'
import { until } from './until.js'

/** A danmaku file: `lines` of [seconds, text, mode, colour]. */
export function xml(lines) {
  const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const elements = lines.map(([s, text, mode = 1, color = 16777215]) => `<d p="${s},${mode},25,${color},1700000000,0,a16fe0dd,0,11">${escape(text)}</d>`)
  return `<?xml version="1.0" encoding="UTF-8"?><i>${elements.join('\n')}</i>`
}

/** Brings a file through the API; the answer with its report. */
export async function bring(person, room, title, file) {
  const headers = { authorization: `Bearer ${person.token}`, 'content-type': 'application/xml' }
  const answer = await fetch(`${person.server.url}/api/v1/rooms/${room.id}/replays?title=${encodeURIComponent(title)}`, { method: 'POST', headers, body: file })
  const text = await answer.text()
  assert.equal(answer.status, 201, text)
  return JSON.parse(text)
}

/** The replay once it can be watched. */
export function ready(person, id) {
  return until(`replay ${id} to be ready`, async () => {
    const replay = await person.ask('GET', `/replays/${id}`)
    return replay.state === 'ready' && replay
  }, 30_000)
}

/** Goes to a replay that can be watched. */
export async function watch(page, id) {
  await page.goto(`/replays/${id}`)
  await byId(page, 'timeline').waitFor()
}

/** Where the playhead is, in milliseconds. */
export const playhead = async (page) => Number(await byId(page, 'timeline').getAttribute('data-ms'))
export const isPlaying = async (page) => (await byId(page, 'play-button').getAttribute('data-playing')) === 'true'

export async function pause(page) {
  if (await isPlaying(page)) await byId(page, 'play-button').click()
  await until('it to stand still', async () => !(await isPlaying(page)))
}

/** Clicks the timeline at a share of its width. */
export async function clickTimeline(page, share) {
  const { x, y, width, height } = await byId(page, 'timeline').boundingBox()
  await page.mouse.click(x + width * share, y + height * 0.4)
}
