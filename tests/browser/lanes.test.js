/** Where lines fly: in lanes of their own as long as there are any. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, flying, logIn, say } from './support/browser.js'
import { Server } from './support/server.js'

/** Which lines are printed over each other right now. */
const collisions = (page) =>
  byId(page, 'danmaku-layer').evaluate((layer) => {
    const lines = [...layer.querySelectorAll('[data-id]')].map((line) => ({ text: line.textContent, box: line.getBoundingClientRect() }))
    const apart = (a, b) => a.left >= b.right || b.left >= a.right || a.top > b.bottom - 1 || b.top > a.bottom - 1
    return lines.flatMap((one, at) => lines.slice(0, at).filter((other) => !apart(one.box, other.box)).map((other) => `${one.text} / ${other.text}`))
  })

test('lines of all ways and sizes fly apart, one\'s own among them', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const viewer = await Person.register(server, 'Viewer')
  await Person.register(server, 'Mei')
  const room = await streamer.room('A room')
  const page = await browser.visitor(t, server)
  await page.goto('/')
  await logIn(page, 'Mei')
  await enter(page, room)

  await viewer.say(room, 'it stands at the top', { mode: 'top', size: 'large' })
  await viewer.say(room, 'it scrolls', { size: 'large' })
  await viewer.say(room, 'it flies back', { mode: 'reverse' })
  await say(page, 'WWWWWWWW my own line 好的😀')
  await flying(page, 'WWWWWWWW my own line 好的😀').waitFor({ state: 'attached' })
  await streamer.say(room, 'the streamer flies back', { mode: 'reverse', size: 'small' })
  await viewer.say(room, 'a small one', { size: 'small' })
  await viewer.say(room, 'it stands at the bottom', { mode: 'bottom' })
  await viewer.say(room, 'a long one, which is faster than those before and must not run into them')
  const lines = byId(page, 'danmaku-layer').locator('[data-id]')
  await flying(page, /^a long one/).waitFor({ state: 'attached' })
  assert.equal(await lines.count(), 8)

  const [back, forth] = await Promise.all(['it flies back', 'it scrolls'].map((text) => flying(page, text).boundingBox()))
  assert.ok(back.y > forth.y + forth.height, 'who flies back comes in below')
  // Watched until the first of them is gone.
  let looks = 0
  for (; (await lines.count()) === 8; looks++) assert.deepEqual(await collisions(page), [])
  assert.ok(looks > 5)
})
