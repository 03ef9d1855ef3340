/** How lines fly is the visitor's own choice. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, flying } from './support/browser.js'
import { Server } from './support/server.js'

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
})
