/** The list of a replay's danmaku where little was said, and the search where there is much to search. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId } from './support/browser.js'
import { bring, pause, ready, watch, xml } from './support/replays.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

/** A line every 400 s: each is a part of its own. */
const QUIET = Array.from({ length: 40 }, (_, n) => [n * 400, `line ${n}`])
const MOST_REQUESTS = 4

test('the list of a replay', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A room', { live: false })
  const { replay } = await bring(streamer, room, 'A quiet night', xml(QUIET))
  await ready(streamer, replay.id)

  await t.test('where each part is one line, all in view are read, a few at a time', async (t) => {
    const page = await browser.visitor(t, server)
    let [open, most] = [0, 0]
    const isPart = (request) => request.url().includes('/parts/')
    page.on('request', (request) => isPart(request) && (most = Math.max(most, ++open)))
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => isPart(request) && open--)
    await watch(page, replay.id)
    await pause(page)
    const list = byId(page, 'danmaku-list')
    const isWhole = async () => {
      const [rows, read] = [await list.locator('li').count(), await list.getByTestId('danmaku-row').count()]
      return rows > 20 && read === rows
    }
    await until('all rows', isWhole)
    const first = await list.getByTestId('row-text').first().textContent()
    await list.hover()
    await page.mouse.wheel(0, 5000)
    await list.getByText('line 39', { exact: true }).waitFor()
    await until('all rows', isWhole)
    await page.mouse.wheel(0, -5000)
    await list.getByText(first, { exact: true }).waitFor()
    await until('all rows', isWhole)
    assert.ok(most <= MOST_REQUESTS, `${most} requests at once`)
  })

  await t.test('a search goes on through what holds nothing, until another is begun', async (t) => {
    const page = await browser.visitor(t, server)
    await watch(page, replay.id)
    const asked = []
    await page.route(/\/danmaku\?text=/, async (route) => {
      const { searchParams } = new URL(route.request().url())
      const [text, slice] = [searchParams.get('text'), Number(searchParams.get('cursor') ?? 0)]
      asked.push(`${text} ${slice}`)
      if (text === 'endless') return route.fulfill({ json: { items: [], next_cursor: String(slice + 1) } })
      if (text !== 'line 3') return route.continue()
      const item = { id: String(slice + 1), at_ms: slice * 1000, sent_at: '2026-01-01T12:00:00.000Z', mode: 'scroll', color: '#ffffff', size: 'standard', text: `line 3${slice}`, sender_hash: '00000000' }
      return route.fulfill({ json: { items: slice === 2 || slice === 5 ? [item] : [], next_cursor: slice < 6 ? String(slice + 1) : null } })
    })
    await byId(page, 'danmaku-search').fill('line 3')
    await byId(page, 'search-outcome').getByText('2 found', { exact: true }).waitFor()
    assert.deepEqual(await byId(page, 'search-results').getByTestId('row-text').allTextContents(), ['line 32', 'line 35'])
    await byId(page, 'danmaku-search').fill('endless')
    await until('many slices', () => asked.includes('endless 5'))
    assert.match(await byId(page, 'search-outcome').textContent(), /^Searching…/)
    assert.equal(await byId(page, 'search-results').getByTestId('row-text').count(), 0, 'what was found before is not under the new term')
    await byId(page, 'danmaku-search').fill('line 17')
    await byId(page, 'search-outcome').getByText('1 found', { exact: true }).waitFor()
    const { length } = asked
    await byId(page, 'danmaku-search').fill('line 18')
    await byId(page, 'search-outcome').getByText('1 found', { exact: true }).waitFor()
    assert.deepEqual(asked.slice(length), ['line 18 0'], 'nobody asks for what is not looked for any more')
  })

  await t.test('each line says when it was sent', async (t) => {
    const page = await browser.visitor(t, server, { timezoneId: 'UTC' })
    await watch(page, replay.id)
    const sent = byId(page, 'danmaku-row').first().getByTestId('row-sent')
    assert.equal(await sent.textContent(), '22:13')
    assert.ok(await sent.isVisible())
  })

  await t.test('a replay that is gone is not asked for any more, also if there was no answer before', async (t) => {
    const page = await browser.visitor(t, server, { serverGoesAway: true })
    let asked = 0
    await page.route(/\/api\/v1\/replays\/987654321$/, (route) => (++asked === 1 ? route.abort('connectionfailed') : route.continue()))
    await page.clock.install()
    await page.goto('/replays/987654321')
    await page.getByText('No answer from the server.').waitFor()
    await page.clock.runFor(3_000)
    await byId(page, 'replay-trouble').waitFor()
    await page.clock.runFor(60_000)
    await page.waitForLoadState('networkidle')
    assert.equal(asked, 2)
  })
})
