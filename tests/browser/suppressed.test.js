/** In a room that is too busy to read, viewers are shown a part, and told so. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, flying, logIn, say } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

test('what the limiter leaves out is counted on the stage; one\'s own line always shows', async (t) => {
  const server = await Server.start(t, { GOLIGOLI_PUSH__RATE_PER_S: '1', GOLIGOLI_PUSH__BURST: '1' })
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const crowd = []
  for (const name of ['Ann', 'Ben', 'Cai', 'Dan']) crowd.push(await Person.register(server, name))
  const room = await streamer.room('A crowded room')
  const page = await browser.visitor(t, server)
  await page.clock.install()
  await page.goto('/')
  await logIn(page, 'Ann')
  await enter(page, room)

  const shout = (n) => Promise.all(crowd.map((person) => person.say(room, `${person.name} shouts ${n}`)))
  for (let n = 0; n < 5; n++) await shout(n)
  await byId(page, 'suppressed-note').getByText(/\d+ more lines? (was|were) said than shown in the last minute/).waitFor()

  await say(page, 'and I see my own')
  await flying(page, 'and I see my own').waitFor({ state: 'attached' })
  await streamer.say(room, 'the streamer is always shown')
  await flying(page, 'the streamer is always shown').waitFor({ state: 'attached' })

  // 21 ordinary lines were said; what is shown and what is counted make all of them.
  await until('the account to be balanced', async () => {
    const lines = (await byId(page, 'chat-text').allTextContents()).filter((text) => text.includes('shouts')).length
    const note = Number(/^\d+/.exec(await byId(page, 'suppressed-note').textContent())?.[0])
    return lines + note === 20 || lines + note === 21
  })
  const history = await streamer.ask('GET', `/rooms/${room.id}/danmaku?limit=100`)
  assert.equal(history.items.length, 22, 'all of it is stored')

  // One's own line says so when it was not shown to all; only the server knows.
  let delivery = 'sampled'
  await page.route(`**/rooms/${room.id}/danmaku/*`, async (route) => {
    const answer = await route.fetch()
    await route.fulfill({ response: answer, json: { ...(await answer.json()), delivery } })
  })
  const sign = (text) => byId(page, 'chat-line').filter({ hasText: text }).getByTestId('chat-sampled')
  await say(page, 'seen by some')
  await sign('seen by some').waitFor()
  assert.equal(await sign('seen by some').getAttribute('title'), 'Not everybody saw it fly')
  delivery = undefined
  const asked = page.waitForResponse(`**/rooms/${room.id}/danmaku/*`)
  await say(page, 'on a server that does not tell')
  await asked
  assert.equal(await sign('on a server that does not tell').count(), 0)

  // After a quiet minute there is nothing to tell.
  await page.clock.fastForward(65_000)
  await byId(page, 'suppressed-note').waitFor({ state: 'detached' })
})
