/** The page by keyboard, and what a screen reader is told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, logIn } from './support/browser.js'
import { bring, ready, watch, xml } from './support/replays.js'
import { Server } from './support/server.js'

const CONTROLS = ['button', 'link', 'textbox', 'searchbox', 'checkbox', 'radio', 'slider', 'combobox', 'spinbutton']

/** Every control has a name, as the browser itself computes it. */
async function named(page, where) {
  const nameless = []
  let found = 0
  for (const role of CONTROLS) {
    found += await page.getByRole(role).count()
    for (const control of await page.getByRole(role, { name: /^\s*$/ }).all()) {
      nameless.push(await control.evaluate((element) => element.outerHTML.slice(0, 160)))
    }
  }
  assert.ok(found > 0, `there are controls on ${where}`)
  assert.deepEqual(nameless, [], `controls without a name on ${where}`)
}

/** Presses Tab until the element has the focus; the way there is what a person goes. */
async function tabTo(page, locator, what) {
  for (let pressed = 0; pressed < 40; pressed++) {
    await page.keyboard.press('Tab')
    if (await locator.evaluate((element) => element === document.activeElement)) return
  }
  assert.fail(`Tab does not reach ${what}`)
}

for (const locale of ['en-US', 'zh-CN']) {
  test(`by keyboard and with names, ${locale}`, async (t) => {
    const server = await Server.start(t)
    const browser = await Browser.start(t)
    const streamer = await Person.register(server, 'Streamer')
    const room = await streamer.room('A room')
    await streamer.say(room, 'a line with a name to click')
    const page = await browser.visitor(t, server, { locale })

    await t.test('every control has a name', async () => {
      await page.goto('/')
      await byId(page, 'room-card').waitFor()
      await named(page, 'the list of rooms')
      await byId(page, 'login-button').click()
      await byId(page, 'auth-name').waitFor()
      await named(page, 'the log-in dialog')
      await byId(page, 'auth-switch').click()
      await named(page, 'the registration dialog')
      await byId(page, 'auth-switch').click()
      await page.keyboard.press('Escape')
      await logIn(page, 'Streamer')
      await byId(page, 'create-room').first().click()
      await byId(page, 'room-title-input').waitFor()
      await named(page, 'the dialog for a new room')
      await page.keyboard.press('Escape')
      await enter(page, room)
      await chatLine(page, 'a line with a name to click').waitFor()
      await byId(page, 'style-button').click()
      await named(page, 'the room with the style panel')
      await byId(page, 'settings-button').click()
      await named(page, 'the room with display settings')
      await byId(page, 'manage-button').click()
      await byId(page, 'rotate-key').click()
      await byId(page, 'stream-key').waitFor()
      await byId(page, 'lottery-form').waitFor()
      await byId(page, 'lottery-add-prize').click()
      await named(page, 'the streamer\'s panel')
      await page.keyboard.press('Escape')
      await page.goto('/account')
      await byId(page, 'logout-button').waitFor()
      await byId(page, 'kept').waitFor()
      await named(page, 'the account page')
      await page.goto('/mine')
      await byId(page, 'room-card').waitFor()
      await named(page, 'my rooms')
    })

    await t.test('a replay has names for all it has, and is played, sought and read by keyboard', async () => {
      const { replay } = await bring(streamer, room, 'An evening', xml(Array.from({ length: 40 }, (_, n) => [n * 10, `line ${n}`])))
      await ready(streamer, replay.id)
      await enter(page, room)
      await byId(page, 'replay-manage').click()
      await byId(page, 'import-button').click()
      await byId(page, 'import-title').waitFor()
      await named(page, 'the room with its replays')
      await page.keyboard.press('Escape')
      await watch(page, replay.id)
      await byId(page, 'danmaku-row').first().waitFor()
      await byId(page, 'settings-button').click()
      await byId(page, 'download-button').click()
      await named(page, 'a replay')
      await byId(page, 'settings-button').press('Escape')
      const slider = byId(page, 'timeline')
      await page.reload()
      await slider.waitFor()
      await tabTo(page, slider, 'the timeline')
      const before = await slider.getAttribute('aria-valuetext')
      await page.keyboard.press('End')
      assert.notEqual(await slider.getAttribute('aria-valuetext'), before)
      await tabTo(page, byId(page, 'play-button'), 'the play button')
      await page.keyboard.press('Enter')
      await page.locator('[data-testid=play-button][data-playing=true]').waitFor()
      await tabTo(page, byId(page, 'danmaku-search'), 'the search')
      await tabTo(page, byId(page, 'danmaku-row').first().getByRole('button').first(), 'a line')
      await page.keyboard.press('Enter')
      await byId(page, 'danmaku-list').locator('li[aria-current=true]').waitFor()
    })

    await t.test('Tab reaches the box, Enter sends, the focus stays', async () => {
      await enter(page, room)
      await tabTo(page, byId(page, 'send-input'), 'the send box')
      await page.keyboard.type('typed without a mouse')
      await page.keyboard.press('Enter')
      await chatLine(page, 'typed without a mouse').waitFor()
      await page.keyboard.type('and another')
      await page.keyboard.press('Enter')
      await chatLine(page, 'and another').waitFor()
    })

    await t.test('a panel opens and closes by keyboard, and gives the focus back', async () => {
      await enter(page, room)
      const settings = byId(page, 'settings-button')
      await tabTo(page, settings, 'the settings')
      await page.keyboard.press('Enter')
      await page.getByRole('slider').first().waitFor()
      assert.equal(await settings.getAttribute('aria-expanded'), 'true')
      await tabTo(page, page.getByRole('slider').first(), 'a slider')
      await page.keyboard.press('Escape')
      await page.getByRole('slider').first().waitFor({ state: 'detached' })
      assert.ok(await settings.evaluate((element) => element === document.activeElement))
    })

    await t.test('a dialog keeps the focus inside, and Escape closes it', async () => {
      const manage = byId(page, 'manage-button')
      await manage.focus()
      await page.keyboard.press('Enter')
      const dialog = page.locator('dialog[open]')
      await dialog.waitFor()
      for (let pressed = 0; pressed < 8; pressed++) {
        await page.keyboard.press('Tab')
        assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null))
      }
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' }).catch(() => dialog.waitFor({ state: 'hidden' }))
      assert.ok(await manage.evaluate((element) => element === document.activeElement), 'the focus is back where it was')
    })

    await t.test('a lottery is announced, has names, and is entered and verified by keyboard', async () => {
      const mei = await Person.register(server, 'Mei')
      const [made] = await Promise.all([
        streamer.ask('POST', `/rooms/${room.id}/lotteries`, { title: 'A draw', prizes: [{ name: 'tea', count: 1 }], duration_s: 8 }),
        (async () => {
          await page.goto('/account')
          await byId(page, 'logout-button').click()
          await page.waitForURL((url) => url.pathname === '/')
          await logIn(page, mei.name)
          await enter(page, room)
        })(),
      ])
      await byId(page, 'lottery-voice').getByText('A draw').waitFor({ state: 'attached' })
      await tabTo(page, byId(page, 'lottery-join-button'), 'the way in')
      await page.keyboard.press('Enter')
      await page.locator('[data-testid=lottery-join][data-state=joined]').waitFor()
      await byId(page, 'winner-dialog').waitFor({ timeout: 30_000 })
      await named(page, 'the winner\'s dialog')
      await page.keyboard.press('Escape')
      await byId(page, 'lottery-open').focus()
      await page.keyboard.press('Enter')
      await byId(page, 'lottery-dialog').waitFor()
      await named(page, 'a lottery')
      await tabTo(page, byId(page, 'lottery-verify'), 'the verification')
      await page.keyboard.press('Enter')
      await byId(page, 'verify-outcome').waitFor()
      await named(page, 'the verification')
      await page.keyboard.press('Escape')
      await byId(page, 'verify-drawer').waitFor({ state: 'detached' })
      await page.keyboard.press('Escape')
      assert.equal((await streamer.ask('GET', `/lotteries/${made.id}`)).winners[0].name, 'Mei')
    })

    await t.test('what is said is in the document as a log, and flying lines are hidden from screen readers', async () => {
      await page.getByRole('log').getByText('typed without a mouse').waitFor()
      assert.equal(await byId(page, 'danmaku-layer').getAttribute('aria-hidden'), 'true')
      assert.equal(await page.locator('html').getAttribute('lang'), locale === 'zh-CN' ? 'zh-CN' : 'en')
    })
  })
}
