/** Whatever people write is text: it shows as it was typed, or it is refused; it never runs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PASSWORD, Person } from './support/api.js'
import { Browser, byId, chatLine, enter, fits, flying, logIn } from './support/browser.js'
import { Server } from './support/server.js'

const SHOWN = {
  'an image with a handler': '<img src=x onerror="window.ran=1">',
  'a script': '<script>window.ran=1</script>',
  'an end of everything': '"\'></textarea></title></svg><svg onload=window.ran=1>',
  'a template': '{{constructor.constructor("window.ran=1")()}}',
  'a link': 'javascript:window.ran=1',
  'an entity': '&lt;b&gt; &amp;amp; &#x202e;',
  'right-to-left words': 'مرحبا بالعالم שלום',
  'a family of one glyph': '👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽',
  'letters beyond the BMP': '𠮷野家 𪚥 𠀋',
  'one long word': 'W'.repeat(100),
  'SQL': "Robert'); DROP TABLE danmaku;--",
  'a stream frame': 'data: x event: bye id: 1-1',
}
const REFUSED = {
  'a line break': 'a\nb',
  'a null': 'a\u0000b',
  'an escape': '\u001b[31mred',
  'nothing but spaces': ' \u3000\u00a0 ',
  'letters with piles of marks': 'Z\u0351\u036b\u0353\u032a\u0302\u0306algo',
  'a text of 101 characters': 'x'.repeat(101),
}

test('hostile texts', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const viewer = await Person.register(server, 'Viewer')
  const page = await browser.visitor(t, server, { viewport: { width: 375, height: 812 } })
  const nothingRan = async () => {
    assert.equal(await page.evaluate(() => window.ran), undefined, 'no text became a program')
    assert.equal(await page.locator('#goligoli :is(script, iframe, img[src=x], [onerror], [onload])').count(), 0)
    await fits(page)
  }

  await t.test('as danmaku', async () => {
    const room = await streamer.room('A room')
    await enter(page, room)
    for (const [what, text] of Object.entries(SHOWN)) {
      // The streamer's lines fly however full the stage is.
      await streamer.say(room, text)
      const seen = [chatLine(page, text).waitFor(), flying(page, text).waitFor({ state: 'attached' })]
      await Promise.all(seen).catch((error) => assert.fail(`${what}: ${error.message}`))
    }
    for (const [what, text] of Object.entries(REFUSED)) {
      await assert.rejects(viewer.say(room, text), { status: 422 }, what)
    }
    assert.equal(await byId(page, 'chat-line').count(), Object.keys(SHOWN).length)
    await nothingRan()
  })

  await t.test('typed into the page', async (t) => {
    const typist = await browser.visitor(t, server)
    const room = await streamer.room('Another room')
    await typist.goto('/')
    await logIn(typist, 'Viewer')
    await enter(typist, room)
    await byId(typist, 'send-input').fill(SHOWN['an image with a handler'])
    await byId(typist, 'send-input').press('Enter')
    await flying(typist, SHOWN['an image with a handler']).waitFor({ state: 'attached' })
    assert.equal(await typist.evaluate(() => window.ran), undefined)
    await byId(typist, 'send-input').fill('y'.repeat(101))
    assert.ok(await byId(typist, 'send-button').isDisabled(), 'a text that is too long can\'t be sent')
  })

  await t.test('as a room\'s title, category and description', async (t) => {
    const writer = await Person.register(server, 'Writer')
    for (const [what, text] of Object.entries(SHOWN).slice(0, 5)) {
      const room = await writer.room(text.slice(0, 60), { category: text.slice(0, 20), description: text, live: false })
      await page.goto(`/rooms/${room.id}`)
      await page.getByRole('heading', { level: 1, name: text.slice(0, 60), exact: true }).waitFor().catch((error) => assert.fail(`${what}: ${error.message}`))
      await page.getByText(text, { exact: true }).first().waitFor()
      await page.waitForFunction((title) => document.title === title, `${text.slice(0, 60).trim()} · goligoli`)
      await nothingRan()
    }
    await page.goto('/')
    await byId(page, 'room-card').filter({ hasText: '<script>' }).waitFor()
    await nothingRan()
  })

  await t.test('as somebody\'s words about themselves', async () => {
    const room = await streamer.room('A third room')
    await enter(page, room)
    await viewer.ask('PATCH', '/me', { bio: Object.values(SHOWN).slice(0, 2).join(' ') })
    await viewer.say(room, 'who am I?')
    await byId(page, 'chat-line').getByRole('button', { name: 'Viewer' }).click()
    await byId(page, 'person-card').getByText('<script>').waitFor()
    await nothingRan()
  })

  await t.test('as a device\'s name', async () => {
    for (const device_name of Object.values(SHOWN)) {
      await viewer.ask('POST', '/auth/login', { name: 'Viewer', password: PASSWORD, device_name })
    }
    await page.goto('/')
    await logIn(page, 'Viewer')
    await page.goto('/account')
    for (const name of Object.values(SHOWN).slice(0, 4)) await page.getByText(name).first().waitFor()
    await nothingRan()
  })

  await t.test('as an account\'s name it is refused', async () => {
    for (const name of ['<b>bold</b>', 'a b', '‮evil', 'x', 'аdmin'/* Cyrillic */]) {
      await assert.rejects(Person.register(server, name), (error) => error.status === 422 || error.status === 409, name)
    }
  })

  await t.test('in an address', async () => {
    for (const path of ['/rooms/<img src=x onerror=alert(1)>', '/rooms/1/../../etc', '/rooms/99999999999999999999', '/rooms/1%2Foverlay']) {
      await page.goto(path)
      await page.getByText('There is nothing at this address').waitFor()
      await nothingRan()
    }
  })
})
