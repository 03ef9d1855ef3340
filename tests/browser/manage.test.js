/** The streamer's panel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, logIn, online } from './support/browser.js'
import { png } from './support/png.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

test('the streamer\'s panel', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('The old title')
  const page = await browser.visitor(t, server)
  const guest = await browser.visitor(t, server)
  await page.goto('/')
  await logIn(page, 'Streamer')
  await enter(page, room)
  await enter(guest, room)
  const panel = page.getByRole('dialog', { name: 'Manage room' })
  const open = () => byId(page, 'manage-button').click()
  const close = async () => {
    await page.keyboard.press('Escape')
    await panel.waitFor({ state: 'hidden' })
  }

  await t.test('a new title and description reach who is watching', async () => {
    await open()
    await panel.getByLabel('Title').fill('The new title')
    await panel.getByLabel('Category').fill('night talk')
    await panel.getByLabel('Description').fill('About the night.')
    await panel.getByRole('button', { name: 'Save', exact: true }).click()
    await panel.getByText('Saved').waitFor()
    await guest.getByRole('heading', { level: 1, name: 'The new title' }).waitFor()
    await guest.getByText('About the night.').waitFor()
    await guest.getByText('night talk').waitFor()
  })

  await t.test('rules hold as they are chosen, and who is watching is told', async () => {
    await panel.getByText('30 s', { exact: true }).click()
    await byId(guest, 'chat-notice').getByText('one line every 30 s').waitFor()
    await byId(page, 'rule-mute-all').check()
    await byId(guest, 'chat-notice').getByText('only the streamer and admins may post').waitFor()
    assert.deepEqual((await streamer.ask('GET', `/rooms/${room.id}`)).rules, { slow_mode_s: 30, mute_all: true, guests: true, danmaku_per_s: null })
    await byId(page, 'rule-mute-all').uncheck()
    await panel.getByText('Off', { exact: true }).click()
    await byId(guest, 'chat-notice').getByText('everybody may post').waitFor()
  })

  await t.test('how many lines a second fly: the site\'s default, or the streamer\'s own number', async () => {
    const rate = async () => (await streamer.ask('GET', `/rooms/${room.id}`)).rules.danmaku_per_s
    const field = byId(page, 'rule-rate-field')
    const part = byId(page, 'rule-rate')
    assert.equal(await field.count(), 0, 'the default needs no number')
    await part.getByText('At most', { exact: true }).click()
    assert.ok(await field.evaluate((field) => field === document.activeElement), 'the number can be typed at once')
    assert.equal(await rate(), null, 'nothing is set before there is one')
    for (const [wrong, detail] of [['1001', /1 to 1,000.*more than 1000/], ['0', /1 to 1,000/], ['2.5', /1 to 1,000/], ['-3', /1 to 1,000/]]) {
      await field.fill(wrong)
      await field.press('Tab')
      await part.getByRole('alert').getByText(detail).waitFor()
      assert.equal(await field.getAttribute('aria-invalid'), 'true')
      assert.equal(await field.inputValue(), wrong, 'what was typed stays, to be mended')
      assert.equal(await rate(), null)
    }
    await field.fill('20')
    await field.press('Tab')
    await byId(guest, 'chat-notice').getByText('at most 20 lines a second fly').waitFor()
    await part.getByRole('alert').waitFor({ state: 'detached' })
    assert.equal(await rate(), 20)
    // The other rules leave it as it is, and it is there after a reload.
    await byId(page, 'rule-mute-all').check()
    await byId(guest, 'chat-notice').getByText('only the streamer and admins may post · at most 20 lines a second fly').waitFor()
    await byId(page, 'rule-mute-all').uncheck()
    await page.reload()
    await online(page)
    await open()
    assert.equal(await field.inputValue(), '20')
    await part.getByText('Site default', { exact: true }).click()
    await field.waitFor({ state: 'detached' })
    await byId(guest, 'chat-notice').getByText('Rules changed: everybody may post', { exact: true }).last().waitFor()
    await until('the default to hold', async () => (await rate()) === null)
  })

  await t.test('the room\'s rate and the visitor\'s own are chosen apart', async () => {
    const chosen = byId(page, 'stage').locator('.settings input[type=radio]:checked')
    await close()
    await byId(page, 'settings-button').click()
    const before = await chosen.evaluateAll((radios) => radios.map(({ name }) => name))
    // By keyboard: a click would close the settings.
    await byId(page, 'manage-button').press('Enter')
    await byId(page, 'rule-rate').getByRole('radio', { name: 'At most' }).press('Space')
    await byId(page, 'rule-rate-field').waitFor()
    assert.equal(before.length, 2)
    assert.deepEqual(await chosen.evaluateAll((radios) => radios.map(({ name }) => name)), before)
    await page.reload()
    await online(page)
    await open()
  })

  await t.test('a cover is taken, and shown in the list', async () => {
    await byId(page, 'cover-input').setInputFiles({ name: 'cover.png', mimeType: 'image/png', buffer: png(320, 180, [200, 60, 20]) })
    await panel.locator('img.cover').waitFor()
    await guest.goto('/')
    const cover = byId(guest, 'room-card').locator('img.cover')
    await cover.waitFor()
    await guest.waitForFunction(() => [...document.querySelectorAll('img.cover')].every((image) => image.naturalWidth >= 320))
  })

  await t.test('what is no picture is refused in words', async () => {
    await byId(page, 'cover-input').setInputFiles({ name: 'cover.png', mimeType: 'image/png', buffer: Buffer.from('no picture') })
    await panel.locator('.refused').waitFor()
    await byId(page, 'cover-input').setInputFiles({ name: 'large.png', mimeType: 'image/png', buffer: Buffer.alloc(2 * 1024 * 1024 + 1) })
    await panel.getByText('larger than 2 MB').waitFor()
  })

  await t.test('the stream key is shown once', async () => {
    await byId(page, 'rotate-key').click()
    const key = await byId(page, 'stream-key').inputValue()
    assert.ok(key.length >= 16, `a key of ${key.length} characters`)
    await close()
    await byId(page, 'stream-key').waitFor({ state: 'detached' })
    assert.ok(!(await page.content()).includes(key), 'it is gone with the panel')
    await open()
    await byId(page, 'rotate-key').waitFor()
    assert.equal(await byId(page, 'stream-key').count(), 0)
    await byId(page, 'rotate-key').click()
    assert.notEqual(await byId(page, 'stream-key').inputValue(), key)
    await close()
  })

  await t.test('a person is made admin, muted and unmuted from the chat', async () => {
    await mei.say(room, 'hello from Mei')
    await byId(page, 'chat-line').getByRole('button', { name: 'Mei' }).click()
    const card = byId(page, 'person-card')
    await card.getByRole('button', { name: '1 hour' }).click()
    await card.getByText('Done').waitFor()
    await assert.rejects(mei.say(room, 'am I heard?'), { status: 403 })
    await open()
    await panel.getByRole('listitem').filter({ hasText: 'Mei' }).getByRole('button', { name: 'Unmute' }).click()
    await panel.getByText('Nobody is muted').waitFor()
    await close()
    await mei.say(room, 'I am back')
    await card.getByRole('button', { name: 'Make admin' }).click()
    await card.getByText('Done').waitFor()
    await mei.say(room, 'as an admin')
    await byId(page, 'chat-line').filter({ hasText: 'as an admin' }).getByText('Admin', { exact: true }).waitFor()
    await open()
    await panel.getByRole('listitem').filter({ hasText: 'Mei' }).getByRole('button', { name: 'Remove' }).click()
    await panel.getByText('No admins').waitFor()
    await close()
  })

  await t.test('a line that is deleted goes everywhere', async () => {
    await enter(guest, room)
    await chatLine(guest, 'I am back').waitFor()
    const line = byId(page, 'chat-line').filter({ hasText: 'I am back' })
    await line.hover()
    await line.getByTestId('chat-remove').click()
    await line.waitFor({ state: 'detached' })
    await chatLine(guest, 'I am back').waitFor({ state: 'detached' })
    await guest.reload()
    await online(guest)
    await chatLine(guest, 'as an admin').waitFor()
    assert.equal(await chatLine(guest, 'I am back').count(), 0)
  })

  await t.test('nobody else has the panel', async () => {
    assert.equal(await byId(guest, 'manage-button').count(), 0)
  })

  await t.test('my rooms lists it', async () => {
    await page.goto('/mine')
    await byId(page, 'room-card').filter({ hasText: 'The new title' }).waitFor()
  })
})
