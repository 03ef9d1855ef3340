/** Every page on a phone and on a tablet, in both languages, with texts as long as they may be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, fits, logIn } from './support/browser.js'
import { Server } from './support/server.js'

const LONG = 'Wettermaschinenmechanikergewerkschaftsversammlungssaal59'

for (const [locale, width] of [['en-US', 375], ['zh-CN', 375], ['en-US', 320], ['zh-CN', 820]]) {
  test(`nothing is wider than the window: ${locale}, ${width} px`, async (t) => {
    const server = await Server.start(t)
    const browser = await Browser.start(t)
    const streamer = await Person.register(server, 'W'.repeat(20))
    const room = await streamer.room(LONG, { category: LONG.slice(0, 20), description: LONG.repeat(10) })
    await streamer.close(room)
    await streamer.open(room)
    await streamer.rules(room, { slow_mode_s: 120 })
    await streamer.ask('PATCH', '/me', { bio: LONG.repeat(3) })
    await streamer.say(room, 'W'.repeat(100), { size: 'large' })
    const page = await browser.visitor(t, server, { locale, viewport: { width, height: 812 } })

    await page.goto('/')
    await byId(page, 'room-card').waitFor()
    await fits(page)
    await byId(page, 'login-button').click()
    await byId(page, 'auth-name').waitFor()
    await fits(page)
    await page.keyboard.press('Escape')
    await enter(page, room)
    await fits(page)
    await logIn(page, streamer.name)
    await enter(page, room)
    await byId(page, 'send-input').fill(LONG)
    await fits(page)
    for (const panel of ['settings-button', 'style-button']) {
      await byId(page, panel).click()
      await fits(page)
      const boxes = await page.locator('.panel[role=group]').evaluateAll((panels) => panels.map((panel) => panel.getBoundingClientRect().toJSON()))
      for (const box of boxes) assert.ok(box.left >= 0 && box.right <= width && box.top >= 0, `the panel of ${panel} is in view: ${JSON.stringify(box)}`)
      await page.keyboard.press('Escape')
    }
    await byId(page, 'chat-line').getByRole('button').first().click()
    await byId(page, 'person-card').waitFor()
    await fits(page)
    await byId(page, 'manage-button').click()
    await byId(page, 'rotate-key').click()
    await byId(page, 'stream-key').waitFor()
    await fits(page)
    const wide = await page.locator('dialog[open]').evaluate((dialog) =>
      dialog.scrollWidth <= dialog.clientWidth ? [] : [...dialog.querySelectorAll('*')].filter((element) => element.getBoundingClientRect().right > innerWidth).map((element) => element.outerHTML.slice(0, 120)))
    assert.deepEqual(wide, [], 'the streamer\'s panel has nothing that is too wide')
    await page.keyboard.press('Escape')
    for (const path of ['/account', '/mine', '/rooms/987654321', '/nowhere']) {
      await page.goto(path)
      await page.locator('main > *').first().waitFor()
      await page.waitForLoadState('networkidle')
      await fits(page)
    }
    await page.goto(`/rooms/${room.id}/overlay`)
    await byId(page, 'stage').waitFor({ state: 'attached' })
    await fits(page)
  })
}
