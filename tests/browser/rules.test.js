/** What a room forbids is told at the box, before and after it is tried. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, logIn, online, say } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

test('rules at the send box', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('A room')
  const page = await browser.visitor(t, server)
  const input = byId(page, 'send-input')
  const button = byId(page, 'send-button')
  await page.goto('/')
  await logIn(page, 'Mei')
  await enter(page, room)

  await t.test('slow mode: the button counts down, the next text is kept, and then goes out', async () => {
    await streamer.rules(room, { slow_mode_s: 3 })
    await page.getByPlaceholder('Slow mode: every 3 s').waitFor()
    await say(page, 'the first')
    await chatLine(page, 'the first').waitFor()
    await button.getByText(/^[123] s$/).waitFor()
    await input.fill('the second')
    await input.press('Enter')
    assert.ok(await button.isDisabled())
    assert.equal(await input.inputValue(), 'the second')
    await button.getByText('Send').waitFor()
    await input.press('Enter')
    await chatLine(page, 'the second').waitFor()
  })

  await t.test('slow mode that the page does not know of: refused with the wait, the text is kept', async () => {
    await button.getByText('Send').waitFor()
    await mei.say(room, 'from another device')
    await say(page, 'too early')
    await byId(page, 'send-refused').getByText('Slow mode').waitFor()
    await button.getByText(/^[123] s$/).waitFor()
    assert.equal(await input.inputValue(), 'too early')
    await button.getByText('Send').waitFor()
    await byId(page, 'send-refused').waitFor({ state: 'detached' })
    await button.click()
    await chatLine(page, 'too early').waitFor()
    await streamer.rules(room, {})
    await page.getByPlaceholder('Say something').waitFor()
  })

  await t.test('too many lines at once: the wait is told', async (t) => {
    const strict = await Server.start(t, { GOLIGOLI_GATEWAY__LIMITS__EXEMPT: '[]', GOLIGOLI_GATEWAY__LIMITS__DANMAKU_PER_USER__BURST: '1', GOLIGOLI_GATEWAY__LIMITS__DANMAKU_PER_USER__PER_MINUTE: '1' })
    const room = await (await Person.register(strict, 'Streamer')).room('A room')
    await Person.register(strict, 'Mei')
    const page = await browser.visitor(t, strict)
    await page.goto('/')
    await logIn(page, 'Mei')
    await enter(page, room)
    await say(page, 'one')
    await chatLine(page, 'one').waitFor()
    await say(page, 'two')
    await byId(page, 'send-refused').getByText('Too fast').waitFor()
    await byId(page, 'send-button').getByText(/ s$/).waitFor()
    assert.equal(await byId(page, 'send-input').inputValue(), 'two')
  })

  await t.test('staff only', async () => {
    await streamer.rules(room, { mute_all: true })
    await page.getByPlaceholder('Only staff may post').waitFor()
    assert.ok(await input.isDisabled())
    await byId(page, 'chat-notice').getByText('only the streamer and admins may post').waitFor()
    await streamer.rules(room, {})
    await page.getByPlaceholder('Say something').waitFor()
  })

  await t.test('muted while in the room: told at once why; unmuted: free again', async () => {
    await streamer.mute(room, mei, { hours: 1 })
    await page.getByPlaceholder(/^Muted until/).waitFor()
    assert.ok(await input.isDisabled())
    await streamer.ask('DELETE', `/rooms/${room.id}/mutes/${mei.id}`)
    await page.getByPlaceholder('Say something').waitFor()
  })

  await t.test('muted before: told at the first try, the text is kept', async () => {
    await streamer.mute(room, mei, 'forever')
    await page.reload()
    await online(page)
    await say(page, 'hello?')
    await byId(page, 'send-refused').getByText('You are muted in this room').waitFor()
    assert.equal(await input.inputValue(), 'hello?')
    await streamer.ask('DELETE', `/rooms/${room.id}/mutes/${mei.id}`)
    await until('the box to be free', () => input.isEnabled())
  })

  await t.test('off air: told on the stage and at the box; on air again: free', async () => {
    await streamer.close(room)
    await page.getByRole('heading', { name: 'The broadcast has ended' }).waitFor()
    await page.getByPlaceholder('Off air: chat closed').waitFor()
    assert.ok(await input.isDisabled())
    await page.reload()
    await page.getByPlaceholder('Off air: chat closed').waitFor()
    await byId(page, 'stage').getByRole('heading').waitFor()
    await streamer.open(room)
    await page.getByPlaceholder('Say something').waitFor()
    assert.ok(await input.isEnabled())
  })

  await t.test('no guests: a guest is asked to log in, also while watching', async (t) => {
    const guest = await browser.visitor(t, server)
    await enter(guest, room)
    await streamer.rules(room, { guests: false })
    await guest.getByRole('heading', { name: 'This room is open to members only' }).waitFor()
    await guest.reload()
    await guest.getByRole('heading', { name: 'This room is open to members only' }).waitFor()
    await guest.getByRole('main').getByRole('button', { name: 'Log in' }).click()
    await byId(guest, 'auth-name').fill('Mei')
    await byId(guest, 'auth-password').fill('a long enough password')
    await byId(guest, 'auth-submit').click()
    await online(guest)
    await streamer.rules(room, {})
  })

  await t.test('no guests, which the page learns only when it reads the history', async (t) => {
    const guest = await browser.visitor(t, server)
    await enter(guest, room)
    await guest.route(`**/rooms/${room.id}/danmaku?*`, (route) =>
      route.fulfill({ status: 401, contentType: 'application/problem+json', json: { code: 'not-signed-in', detail: 'log in first' } }))
    await guest.route(`**/rooms/${room.id}`, async (route) => {
      const answer = await route.fetch()
      const now = await answer.json()
      await route.fulfill({ response: answer, json: { ...now, rules: { ...now.rules, guests: false } } })
    })
    await guest.getByRole('button', { name: 'Load earlier lines' }).click()
    await guest.getByRole('heading', { name: 'This room is open to members only' }).waitFor()
  })

  await t.test('a room that is not there', async () => {
    await page.goto('/rooms/987654321')
    await page.getByText('This room does not exist').waitFor()
    await page.goto('/nowhere')
    await page.getByText('There is nothing at this address').waitFor()
  })
})
