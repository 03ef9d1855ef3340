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
})
