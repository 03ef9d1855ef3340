/** Replays as their owner looks after them: brought, renamed, hidden, mended, indexed again, deleted. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { atEnd } from './support/at-end.js'
import { Browser, byId, enter, flying, logIn } from './support/browser.js'
import { bring, clickTimeline, pause, ready, watch, xml } from './support/replays.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const rowTexts = (page) => byId(page, 'danmaku-list').getByTestId('row-text').allTextContents()
const focused = (page) => page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.tagName)

test('the owner looks after replays', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A room', { live: false })
  const page = await browser.visitor(t, server)
  const guest = await browser.visitor(t, server)
  await page.goto('/')
  await logIn(page, 'Streamer')
  await enter(page, room)
  const card = byId(page, 'replay-card')

  await t.test('a file is brought, and what became of its lines is said', async () => {
    const file = xml([[1, 'one'], [2, '  two  '], [3, 'a script', 8], [4, ' '], [5, 'five', 5, 16765698]])
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles({ name: 'An evening.xml', mimeType: 'text/xml', buffer: Buffer.from(file) })
    assert.equal(await byId(page, 'import-title').inputValue(), 'An evening')
    await byId(page, 'import-title').fill('Brought from elsewhere')
    await byId(page, 'import-submit').click()
    await byId(page, 'import-accepted').getByText('3 danmaku were imported.').waitFor()
    await byId(page, 'import-skipped').getByText('2 lines were left out:').waitFor()
    await byId(page, 'import-skipped').getByText('positioned or scripted danmaku (modes 7 to 9): 1').waitFor()
    await byId(page, 'import-skipped').getByText('no text: 1').waitFor()
    await byId(page, 'import-changed').getByText('blanks around the text, left out: 1').waitFor()
    await page.keyboard.press('Escape')
    await page.locator('[data-testid=replay-card][data-state=ready]').getByText('Brought from elsewhere').waitFor({ timeout: 30_000 })
  })

  await t.test('a file that is none is refused, with its line', async () => {
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles({ name: 'broken.xml', mimeType: 'text/xml', buffer: Buffer.from('<i>\n<d p="1,1,25,16777215,0,0,0,0">cut') })
    await byId(page, 'import-submit').click()
    await byId(page, 'import-refused').getByText(/This is no danmaku file that can be read\. \(line \d+/).waitFor()
    await page.keyboard.press('Escape')
    assert.equal(await card.count(), 1)
  })

  await t.test('it is renamed and hidden; others do not find it, the owner sees a mark', async () => {
    const id = await card.getAttribute('data-id')
    await byId(page, 'replay-manage').click()
    await byId(page, 'replay-rename').click()
    await byId(page, 'replay-title').fill('Another name')
    await byId(page, 'replay-rename-save').click()
    await card.getByText('Another name').waitFor()
    await until('the focus to be where it began', async () => (await focused(page)) === 'replay-rename')
    await byId(page, 'replay-delete').click()
    await page.keyboard.press('Escape')
    await until('the focus to be where it began', async () => (await focused(page)) === 'replay-delete')
    await byId(page, 'replay-visibility').click()
    await page.locator('[data-testid=replay-card][data-visibility=hidden]').waitFor()
    await guest.goto(`/replays/${id}`)
    await byId(guest, 'replay-trouble').waitFor()
    await guest.goto(`/rooms/${room.id}`)
    await byId(guest, 'room-replays').waitFor()
    assert.equal(await byId(guest, 'replay-card').count(), 0)
    await watch(page, id)
    await byId(page, 'replay-hidden').waitFor()
  })

  await t.test('a line is deleted after a question: from the stage, the list and the server', async () => {
    const id = new URL(page.url()).pathname.split('/').at(-1)
    await pause(page)
    await byId(page, 'timeline').press('Home')
    await byId(page, 'timeline').press('ArrowRight')
    await flying(page, 'two').waitFor({ state: 'attached' })
    const row = byId(page, 'danmaku-list').getByTestId('danmaku-row').filter({ hasText: 'two' })
    await row.hover()
    await row.getByTestId('row-remove').click()
    await page.keyboard.press('Escape')
    await row.getByTestId('row-remove').press('Enter')
    await byId(page, 'row-remove-yes').click()
    await flying(page, 'two').waitFor({ state: 'detached' })
    await byId(page, 'danmaku-list').getByText('deleted', { exact: true }).waitFor()
    assert.ok(await byId(page, 'danmaku-list').evaluate((list) => list.contains(document.activeElement)), 'the focus stays in the list')
    await until('it to be gone everywhere', async () => {
      const { items } = await streamer.ask('GET', `/replays/${id}/danmaku?limit=100`)
      return items.length === 2 && (await streamer.ask('GET', `/replays/${id}`)).danmaku_count === 2
    }, 30_000)
    await until('the new index', async () => /2\sdanmaku/.test(await byId(page, 'replay-facts').textContent()), 20_000)
    await byId(page, 'danmaku-list').getByText('deleted', { exact: true }).waitFor({ state: 'detached' })
    await until('its rows', async () => (await rowTexts(page)).join() === 'one,five')
    assert.ok(await byId(page, 'danmaku-list').evaluate((list) => list.contains(document.activeElement)), 'the focus is still in the list')
  })

  await t.test('it is indexed again, and deleted after a question', async () => {
    const id = new URL(page.url()).pathname.split('/').at(-1)
    const { version } = await streamer.ask('GET', `/replays/${id}`)
    const shown = page.waitForResponse((response) => new URL(response.url()).search === `?v=${version + 1}` && response.url().includes('/manifest'), { timeout: 30_000 })
    await byId(page, 'replay-index').click()
    await page.getByText('It is being indexed again.').waitFor()
    await until('a new version', async () => (await streamer.ask('GET', `/replays/${id}`)).version > version, 30_000)
    await shown
    await byId(page, 'replay-delete').click()
    await byId(page, 'replay-delete-yes').click()
    await page.waitForURL(`**/rooms/${room.id}`)
    await byId(page, 'room-replays').getByText('No replay yet.').waitFor()
  })
})

test('the outcome of an import is not lost', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A room', { live: false })
  // A file that changes while it is sent is what one of the tests is about.
  const page = await browser.visitor(t, server, { serverGoesAway: true })
  await page.goto('/')
  await logIn(page, 'Streamer')
  await enter(page, room)
  const folder = await mkdtemp(join(tmpdir(), 'goligoli-import-'))
  atEnd(t, () => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'evening.xml')
  const whole = xml([[1, 'one'], [2, 'two']])
  const cut = '<i>\n<d p="1,1,25,16777215,0,0,0,0">cut'

  await t.test('when its dialog is closed meanwhile', async () => {
    for (const [file, outcome, told] of [[whole, 'import-accepted', '2 danmaku were imported.'], [cut, 'import-refused', 'This is no danmaku file']]) {
      await writeFile(path, file)
      let letGo
      const waits = new Promise((go) => (letGo = go))
      await page.route(/\/replays\?title=/, async (route) => {
        await waits
        await route.continue()
      })
      await byId(page, 'import-button').click()
      await byId(page, 'import-file').setInputFiles(path)
      await byId(page, 'import-submit').click()
      await page.getByText('Importing… Keep this page open.').waitFor()
      await page.keyboard.press('Escape')
      await byId(page, 'import-submit').waitFor({ state: 'detached' })
      letGo()
      await byId(page, 'import-outcome').getByText(told).waitFor()
      await page.unroute(/\/replays\?title=/)
      await byId(page, 'import-button').click()
      await byId(page, outcome).getByText(told).waitFor()
      await page.keyboard.press('Escape')
      await byId(page, 'import-outcome').waitFor({ state: 'detached' })
      await byId(page, 'import-button').click()
      await byId(page, 'import-submit').waitFor()
      assert.equal(await byId(page, outcome).count(), 0, 'the next one begins anew')
      await page.keyboard.press('Escape')
    }
  })

  await t.test('when the file was mended: it has to be chosen again, and can be', async () => {
    await writeFile(path, cut)
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles(path)
    await byId(page, 'import-submit').click()
    await byId(page, 'import-refused').waitFor()
    await writeFile(path, xml([[1, 'mended, and longer than it was before']]))
    await byId(page, 'import-submit').click()
    await byId(page, 'import-refused').getByText('The file has changed. Choose it again.').waitFor()
    assert.equal(await byId(page, 'import-file').inputValue(), '', 'the same file is a choice')
    await byId(page, 'import-file').setInputFiles(path)
    await byId(page, 'import-submit').click()
    await byId(page, 'import-accepted').getByText('1 danmaku was imported.').waitFor()
    await page.keyboard.press('Escape')
  })

  await t.test('when the answer is lost: the next try finds what was made', async () => {
    const name = { name: 'Lost.xml', mimeType: 'text/xml', buffer: Buffer.from(whole) }
    const keys = []
    await page.route(/\/replays\?title=Lost/, async (route) => {
      keys.push(route.request().headers()['idempotency-key'])
      if (keys.length > 1) return route.continue()
      await route.fetch()
      return route.abort('connectionfailed')
    })
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles(name)
    await byId(page, 'import-submit').click()
    await byId(page, 'import-refused').waitFor()
    await byId(page, 'import-submit').click()
    await byId(page, 'import-accepted').getByText('The file has been imported.').waitFor()
    assert.ok(keys[0] && keys[0] === keys[1], keys.join())
    const { items } = await streamer.ask('GET', `/rooms/${room.id}/replays`)
    assert.equal(items.filter(({ title }) => title === 'Lost').length, 1)
    await page.keyboard.press('Escape')
    // The same file once more is another replay.
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles(name)
    await byId(page, 'import-submit').click()
    await byId(page, 'import-accepted').getByText('2 danmaku were imported.').waitFor()
    await page.keyboard.press('Escape')
  })

  await t.test('a title is guessed from the file that is chosen, unless one was typed', async () => {
    const choose = (name) => byId(page, 'import-file').setInputFiles({ name, mimeType: 'text/xml', buffer: Buffer.from(whole) })
    await byId(page, 'import-button').click()
    await choose('Monday.xml')
    await choose('Tuesday.xml')
    assert.equal(await byId(page, 'import-title').inputValue(), 'Tuesday')
    await byId(page, 'import-title').fill('A rainy one')
    await choose('Wednesday.xml')
    assert.equal(await byId(page, 'import-title').inputValue(), 'A rainy one')
    await page.keyboard.press('Escape')
  })

  await t.test('in Chinese, where it went wrong is said in Chinese', async (t) => {
    const page = await browser.visitor(t, server, { locale: 'zh-CN' })
    await page.goto('/')
    await logIn(page, 'Streamer')
    await enter(page, room)
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles({ name: 'a.xml', mimeType: 'text/xml', buffer: Buffer.from(cut) })
    await byId(page, 'import-submit').click()
    await byId(page, 'import-refused').getByText(/（第 2 行）$/).waitFor()
  })
})

test('an owner whose log-in has lapsed watches on what is hidden', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A room', { live: false })
  const { replay } = await bring(streamer, room, 'Hidden', xml(Array.from({ length: 900 }, (_, n) => [n * 4, `said at ${n * 4} s`])))
  await ready(streamer, replay.id)
  await streamer.ask('PATCH', `/replays/${replay.id}`, { visibility: 'hidden' })
  const page = await browser.visitor(t, server)
  await page.goto('/')
  await logIn(page, 'Streamer')
  const lapse = async () => {
    const { name } = (await page.context().cookies()).find(({ name }) => name.includes('access'))
    await page.context().clearCookies({ name })
  }
  await watch(page, replay.id)
  await byId(page, 'danmaku-row').first().waitFor()
  await lapse()
  await clickTimeline(page, 0.8)
  await until('lines of that time', async () => (await byId(page, 'danmaku-layer').locator('[data-id]').allTextContents()).some((text) => Number(/\d+/.exec(text)) > 2700))
  assert.equal(await byId(page, 'replay-trouble').count(), 0)
  await lapse()
  await byId(page, 'danmaku-search').fill('at 3200 s')
  await byId(page, 'search-outcome').getByText('1 found', { exact: true }).waitFor()
  await lapse()
  await byId(page, 'download-button').click()
  await until('the log-in', async () => (await page.context().cookies()).some(({ name }) => name.includes('access')))
  const [file] = await Promise.all([page.waitForEvent('download'), byId(page, 'download-json').click()])
  assert.match(file.suggestedFilename(), /\.json$/)
  assert.equal(await file.failure(), null)
  // What does not exist does not come into being by it.
  await page.goto('/replays/987654321')
  await byId(page, 'replay-trouble').getByText('This replay does not exist, or it is not public.').waitFor()
})

test('the room knows its broadcasts\' replays beside many files', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A night on air')
  await streamer.say(room, 'hello')
  await streamer.close(room)
  const items = async () => (await streamer.ask('GET', `/rooms/${room.id}/replays?limit=100`)).items
  await until('the replay', async () => (await items())[0]?.state === 'ready', 30_000)
  for (let n = 0; n < 3; n++) await bring(streamer, room, `File ${n}`, xml([[1, 'x']]))
  await until('the files', async () => (await items()).every(({ state }) => state === 'ready'), 30_000)
  const page = await browser.visitor(t, server)
  await enter(page, room)
  await byId(page, 'latest-replay').waitFor()
  assert.equal(await byId(page, 'latest-replay').getAttribute('title'), 'A night on air')
  for (let n = 3; n < 12; n++) await bring(streamer, room, `File ${n}`, xml([[1, 'x']]))
  await page.reload()
  await until('a full page', async () => (await byId(page, 'replay-card').count()) === 12)
  await page.waitForLoadState('networkidle')
  assert.equal(await page.getByText('Earlier broadcasts').count(), 0, 'its replay is on the next page of the list')
  await byId(page, 'more-replays').click()
  await until('all of them', async () => (await byId(page, 'replay-card').count()) === 13)
  assert.equal(await page.getByText('Earlier broadcasts').count(), 0)
})
