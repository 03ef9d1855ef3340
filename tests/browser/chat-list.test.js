/** The chat list: it follows, it waits while somebody reads, it goes back as far as they like. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

test('the chat list', async (t) => {
  // The limiter must leave nothing out: what was not shown live is not put between what was.
  const server = await Server.start(t, { GOLIGOLI_PUSH__RATE_PER_S: '1000', GOLIGOLI_PUSH__BURST: '1000' })
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('A room')
  const said = Array.from({ length: 240 }, (_, n) => `line ${n + 1}`)
  for (const text of said) await mei.say(room, text)
  const page = await browser.visitor(t, server)
  const list = byId(page, 'chat-list')
  const shown = () => byId(page, 'chat-text').allTextContents()
  const fromEnd = () => list.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight)
  await enter(page, room)

  await t.test('it starts at the newest line', async () => {
    await chatLine(page, 'line 240').waitFor()
    await until('the list to be at its end', async () => (await fromEnd()) < 2)
  })

  await t.test('who scrolls up stays where they are, and is told of new lines', async () => {
    await list.hover()
    await page.mouse.wheel(0, -300)
    await until('the list to be scrolled', async () => (await fromEnd()) > 200)
    const before = await fromEnd()
    await mei.say(room, 'while you read, 1')
    await byId(page, 'new-lines').getByText('1 new line', { exact: true }).waitFor()
    await mei.say(room, 'while you read, 2')
    await byId(page, 'new-lines').getByText('2 new lines').waitFor()
    assert.ok((await fromEnd()) > before, 'what is read did not move')
    await byId(page, 'new-lines').click()
    await until('the list to be at its end', async () => (await fromEnd()) < 2)
    await byId(page, 'new-lines').waitFor({ state: 'detached' })
    await mei.say(room, 'now it follows again')
    await chatLine(page, 'now it follows again').waitFor()
    await until('the list to be at its end', async () => (await fromEnd()) < 2)
  })

  await t.test('scrolling up loads all that was ever said, each line once and in order', async () => {
    const beginning = page.getByText('This is where the room begins')
    await until('the first line', async () => {
      const button = page.getByRole('button', { name: 'Load earlier lines' })
      if (await button.isVisible()) await button.click({ timeout: 2_000 }).catch(() => {})
      return beginning.isVisible()
    })
    const all = await shown()
    assert.deepEqual(all, [...said, 'while you read, 1', 'while you read, 2', 'now it follows again'])
  })
})
