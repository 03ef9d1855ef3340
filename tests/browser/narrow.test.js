/** Every page on a phone and on a tablet, in both languages, with texts as long as they may be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, fits, logIn } from './support/browser.js'
import { bring, ready, watch, xml } from './support/replays.js'
import { Server } from './support/server.js'

const LONG = 'Wettermaschinenmechanikergewerkschaftsversammlungssaal59'

/** Nothing is wider than what it is in. */
async function inside(page, what, where = 'dialog[open]') {
  const wide = await page.locator(where).first().evaluate((outer) =>
    outer.scrollWidth <= outer.clientWidth ? [] : [...outer.querySelectorAll('*')].filter((element) => element.getBoundingClientRect().right > outer.getBoundingClientRect().right).map((element) => element.outerHTML.slice(0, 120)))
  assert.deepEqual(wide, [], `${what} has nothing that is too wide`)
}

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
    const prizes = Array.from({ length: 10 }, () => ({ name: LONG, count: 100 }))
    await streamer.ask('POST', `/rooms/${room.id}/lotteries`, { title: LONG, prizes, keyword: 'W'.repeat(20), posted: true, claim_s: 2_592_000, duration_s: 604_800 })
    await byId(page, 'lottery-open').click()
    await byId(page, 'lottery-dialog').waitFor()
    await fits(page)
    await inside(page, 'the lottery')
    await page.keyboard.press('Escape')
    await inside(page, 'the lottery\'s card', '[data-testid=lottery-card]')
    await byId(page, 'manage-button').click()
    await byId(page, 'rotate-key').click()
    await byId(page, 'stream-key').waitFor()
    await fits(page)
    await byId(page, 'desk-lottery').waitFor()
    await byId(page, 'lottery-title').fill(LONG)
    await byId(page, 'lottery-prize').fill(LONG)
    await inside(page, 'the streamer\'s panel')
    await page.keyboard.press('Escape')
    for (const path of ['/account', '/mine', '/rooms/987654321', '/nowhere']) {
      await page.goto(path)
      await page.locator('main > *').first().waitFor()
      await page.waitForLoadState('networkidle')
      await fits(page)
    }
    const { replay } = await bring(streamer, room, LONG, xml([[1, 'W'.repeat(100)], [2, 'W'.repeat(100), 5]]))
    await ready(streamer, replay.id)
    await watch(page, replay.id)
    await byId(page, 'danmaku-row').first().waitFor()
    await fits(page)
    await byId(page, 'replay-rename').click()
    await fits(page)
    await page.keyboard.press('Escape')
    await byId(page, 'replay-delete').click()
    await fits(page)
    await byId(page, 'danmaku-search').fill('W')
    await byId(page, 'search-results').getByTestId('danmaku-row').first().waitFor()
    await fits(page)
    await enter(page, room)
    await byId(page, 'replay-card').first().waitFor()
    await byId(page, 'replay-manage').first().click()
    await fits(page)
    await byId(page, 'import-button').click()
    await byId(page, 'import-file').setInputFiles({ name: `${LONG}.xml`, mimeType: 'text/xml', buffer: Buffer.from(xml([[1, ' ']])) })
    await inside(page, 'the dialog for a file')
    await byId(page, 'import-submit').click()
    await byId(page, 'import-report').waitFor()
    await inside(page, 'the report about a file')
    await page.goto(`/rooms/${room.id}/overlay`)
    await byId(page, 'stage').waitFor({ state: 'attached' })
    await fits(page)
  })
}
