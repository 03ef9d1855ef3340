/** How lines fly is the visitor's own choice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, fits, flying } from './support/browser.js'
import { cuttable } from './support/cuttable.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const layerStyle = (page) =>
  byId(page, 'danmaku-layer').evaluate((layer) => {
    const { opacity, fontSize } = getComputedStyle(layer)
    return { opacity: Number(opacity), share: Math.round((layer.clientHeight / layer.parentElement.clientHeight) * 100), fontSize, letters: layer.style.getPropertyValue('--letters') }
  })
const stored = (page) => page.evaluate(() => JSON.parse(localStorage.getItem('goligoli.display')))
const slide = (page, name, value) => page.getByRole('slider', { name }).fill(String(value))
/** The boxes themselves are hidden behind their words. */
const choose = (page, name) => page.getByText(name, { exact: true }).click()

test('display settings', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const viewer = await Person.register(server, 'Viewer')
  const room = await streamer.room('A room')
  const page = await browser.visitor(t, server)
  await enter(page, room)

  await t.test('area, opacity, speed and size hold at once and after a reload', async () => {
    const before = await layerStyle(page)
    await byId(page, 'settings-button').click()
    await choose(page, '¼')
    await slide(page, 'Opacity', 0.5)
    await slide(page, 'Speed', 1.5)
    await slide(page, 'Text size', 1.6)
    const after = await layerStyle(page)
    assert.deepEqual([after.opacity, after.share], [0.5, 25])
    assert.ok(parseFloat(after.letters) > parseFloat(before.letters), `letters of ${after.letters} are larger than ${before.letters}`)
    await page.reload()
    assert.deepEqual(await layerStyle(page), after)
    const { area, opacity, speed, size } = await stored(page)
    assert.deepEqual({ area, opacity, speed, size }, { area: 25, opacity: 0.5, speed: 1.5, size: 1.6 })
  })

  await t.test('kinds that are hidden do not fly, also after a reload', async () => {
    await byId(page, 'settings-button').click()
    await choose(page, 'Reset')
    await choose(page, 'Top')
    await choose(page, 'Coloured')
    await enter(page, room)
    await viewer.say(room, 'at the top', { mode: 'top' })
    await viewer.say(room, 'in red', { color: '#FE0302' })
    await viewer.say(room, 'plain')
    await flying(page, 'plain').waitFor({ state: 'attached' })
    assert.equal(await flying(page, 'at the top').count(), 0)
    assert.equal(await flying(page, 'in red').count(), 0)
    await chatLine(page, 'at the top').waitFor()
    await chatLine(page, 'in red').waitFor()
  })

  await t.test('switched off, nothing flies; the list goes on; switched on, it flies again', async () => {
    await byId(page, 'danmaku-toggle').click()
    assert.equal(await byId(page, 'danmaku-toggle').getAttribute('aria-pressed'), 'false')
    await viewer.say(room, 'unseen')
    await chatLine(page, 'unseen').waitFor()
    assert.equal(await byId(page, 'danmaku-layer').locator('[data-id]').count(), 0)
    await enter(page, room)
    assert.equal(await byId(page, 'danmaku-toggle').getAttribute('aria-pressed'), 'false')
    await byId(page, 'danmaku-toggle').click()
    await viewer.say(room, 'seen')
    await flying(page, 'seen').waitFor({ state: 'attached' })
  })

  await t.test('who asks for less motion starts without flying lines', async (t) => {
    const calm = await browser.visitor(t, server, { reducedMotion: 'reduce' })
    await enter(calm, room)
    assert.equal(await byId(calm, 'danmaku-toggle').getAttribute('aria-pressed'), 'false')
  })

  await t.test('what is broken in the storage does no harm', async (t) => {
    const page = await browser.visitor(t, server)
    await page.addInitScript(() => localStorage.setItem('goligoli.display', '{"area":"<b>","opacity":-3,"speed":1e99,"size":null,"shown":"no"}'))
    await enter(page, room)
    assert.equal((await layerStyle(page)).opacity, 0.1)
  })

  await t.test('at most so many lines a second for oneself: from where one stands on, kept, and said why', async (t) => {
    const server = await Server.start(t, { GOLIGOLI_PUSH__RATE_PER_S: '1000', GOLIGOLI_PUSH__BURST: '1000' })
    const room = await (await Person.register(server, 'Streamer')).room('A busy room')
    const people = []
    for (let n = 0; n < 20; n++) people.push(await Person.register(server, `Person${n}`))
    const all = await browser.visitor(t, server)
    const page = await browser.visitor(t, server, { viewport: { width: 320, height: 640 } })
    const line = await cuttable(page)
    for (const visitor of [all, page]) await enter(visitor, room)
    const shown = (page) => byId(page, 'chat-text').allTextContents()
    const shout = async (n) => {
      await Promise.all(people.map((person) => person.say(room, `${person.name} says ${n}`)))
      await until('everybody else to see all', async () => (await shown(all)).length === 20 * n)
    }
    await shout(1)
    await until('all of it', async () => (await shown(page)).length === 20)
    assert.equal(await byId(page, 'flow-note').count(), 0)

    await byId(page, 'settings-button').click()
    await choose(page, '5')
    await until('a stream with the new rate', async () => (await line.asked()).length === 2)
    assert.match((await line.asked())[1], /^\?last_event_id=\d+-\d+&rate=5$/)
    assert.equal((await stored(page)).mostPerS, 5)
    await page.keyboard.press('Escape')
    await shout(2)
    await shout(3)
    // Others were shown 60 lines; what did not come was declined, and nothing was lost on the way over.
    const note = byId(page, 'flow-note')
    await note.getByText(/^At least \d+ more in the last minute, by your choice$/).waitFor()
    await until('each line to be here or declined', async () => {
      const declined = Number(/\d+/.exec(await note.textContent())[0])
      return declined > 0 && (await shown(page)).length + declined === 60
    })
    await note.click()
    await byId(page, 'flow-why').getByText('You asked for fewer lines than fly here.').waitFor()
    await byId(page, 'flow-why').getByText('Your own setting: at most 5 a second.').waitFor()
    assert.equal(await byId(page, 'flow-why').getByText('Left out of the sample').count(), 0)
    await fits(page)
    await page.keyboard.press('Escape')

    await enter(page, room)
    assert.match((await line.asked())[0], /^\?rate=5$/, 'a reload keeps it')
    await byId(page, 'settings-button').click()
    await choose(page, 'All')
    await until('a stream without a rate', async () => (await line.asked()).length === 2)
    assert.match((await line.asked())[1], /^\?last_event_id=\d+-\d+$/)
    await shout(4)
    await until('all of it again', async () => (await shown(page)).filter((text) => text.endsWith('says 4')).length === 20)
    assert.equal((await stored(page)).mostPerS, null)
  })

  await t.test('the overlay has its own rate, in its address', async (t) => {
    const page = await browser.visitor(t, server)
    const asked = page.waitForRequest((request) => request.url().includes('/events'))
    await page.goto(`/rooms/${room.id}/overlay?rate=7`)
    assert.equal(new URL((await asked).url()).search, '?rate=7')
    const wrong = page.waitForRequest((request) => request.url().includes('/events'))
    await page.goto(`/rooms/${room.id}/overlay?rate=<b>`)
    assert.equal(new URL((await wrong).url()).search, '')
  })
})
