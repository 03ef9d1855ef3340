/** The overlay is a browser source: lines on nothing, for hours, whatever the server does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, flying } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

test('the overlay', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('A room')
  const page = await browser.visitor(t, server, { serverGoesAway: true, viewport: { width: 1920, height: 1080 } })
  // Before the stream is there a line would go unseen.
  const streaming = () => page.waitForResponse((response) => response.url().includes('/events'))
  const [stream] = await Promise.all([streaming(), page.goto(`/rooms/${room.id}/overlay?area=50&opacity=0.8&size=1.5`)])
  assert.equal(stream.status(), 200)
  await until('the viewer to be counted', async () => (await mei.ask('GET', `/rooms/${room.id}`)).viewers === 1)

  await t.test('it is transparent and has nothing but lines', async () => {
    const backgrounds = await page.evaluate(() =>
      [document.documentElement, ...document.body.querySelectorAll('*'), document.body].map((element) => getComputedStyle(element).backgroundColor))
    assert.deepEqual([...new Set(backgrounds)], ['rgba(0, 0, 0, 0)'])
    assert.equal(await page.locator('button, a, input, img, canvas, header').count(), 0)
    assert.equal((await page.locator('body').innerText()).trim(), '')
    const { share, opacity } = await byId(page, 'danmaku-layer').evaluate((layer) => ({ share: layer.clientHeight / innerHeight, opacity: getComputedStyle(layer).opacity }))
    assert.deepEqual([share, opacity], [0.5, '0.8'], 'its address says how')
    assert.deepEqual(await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]), [1920, 1080])
  })

  await t.test('lines fly', async () => {
    await mei.say(room, '飞过去')
    await flying(page, '飞过去').waitFor({ state: 'attached' })
  })

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await t.test(`it comes back by itself after ${signal}`, async () => {
      await server.restart(signal)
      await until('the viewer to be back', async () => (await mei.ask('GET', `/rooms/${room.id}`)).viewers === 1)
      await mei.say(room, `after ${signal}`)
      await flying(page, `after ${signal}`).waitFor({ state: 'attached' })
      assert.equal(await flying(page, '飞过去').count() <= 1, true, 'nothing flies twice')
    })
  }
})
