/** The replay's page where there is little room: phones upright and on their side, many marks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, fits } from './support/browser.js'
import { bring, isPlaying, pause, playhead, ready, watch, xml } from './support/replays.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const LINES = Array.from({ length: 600 }, (_, n) => [n * 2, `said at ${n * 2} s`])
const LOTTERIES = 10
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }
const ON_ITS_SIDE = { viewport: { width: 740, height: 360 }, hasTouch: true, isMobile: true }

/** Marks as a broadcast with many lotteries has them. */
async function withMarks(page) {
  const marks = []
  await page.route(/\/manifest/, async (route) => {
    const response = await route.fetch()
    const json = await response.json()
    const step = json.replay.duration_ms / LOTTERIES
    json.marks = Array.from({ length: LOTTERIES }, (_, n) => [
      { kind: 'lottery_opened', at_ms: Math.floor(step * (n + 0.3)), lottery_id: String(n + 1), title: `Keyboard ${n}` },
      { kind: 'lottery_drawn', at_ms: Math.floor(step * (n + 0.7)), lottery_id: String(n + 1), title: `Keyboard ${n}` },
    ]).flat()
    marks.splice(0, marks.length, ...json.marks)
    await route.fulfill({ response, json })
  })
  return marks
}

/** A finger that moves up over the page. */
async function swipeUp(page, x, y) {
  const finger = await page.context().newCDPSession(page)
  const touch = (type, ...at) => finger.send('Input.dispatchTouchEvent', { type, touchPoints: at.map(([x, y]) => ({ x, y })) })
  await touch('touchStart', [x, y])
  for (let n = 1; n <= 15; n++) await touch('touchMove', [x, y - n * 12])
  await touch('touchEnd')
  await finger.detach()
}

test('a replay where there is little room', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A room', { live: false })
  const { replay } = await bring(streamer, room, 'Twenty minutes', xml(LINES))
  await ready(streamer, replay.id)

  await t.test('many marks leave the timeline to who goes along it', async (t) => {
    const page = await browser.visitor(t, server, { viewport: PHONE.viewport })
    const marks = await withMarks(page)
    await watch(page, replay.id)
    await pause(page)
    await until('the marks', async () => (await byId(page, 'replay-mark').count()) === marks.length)
    const { x, y, width, height } = await byId(page, 'timeline').boundingBox()
    const durationMs = Number(await byId(page, 'timeline').getAttribute('aria-valuemax')) * 1000
    const at = (ms, beside = 0) => [x + (ms / durationMs) * width + beside, y + height * 0.4]

    await page.mouse.move(...at(marks[5].at_ms, 3))
    await byId(page, 'timeline-hover').getByText('Lottery drawn: Keyboard 2').waitFor()
    await fits(page)
    await page.mouse.click(...at(marks[5].at_ms, 3))
    await until('the mark\'s moment', async () => (await playhead(page)) === marks[5].at_ms)
    await page.keyboard.press('Space')
    await until('it to play on from there', async () => (await isPlaying(page)) && (await playhead(page)) > marks[5].at_ms + 200)
    await page.keyboard.press('Space')
    await until('it to stand', async () => !(await isPlaying(page)))
    assert.ok((await playhead(page)) > marks[5].at_ms + 200)

    await page.mouse.move(...at(marks[9].at_ms))
    await page.mouse.down()
    await page.mouse.move(...at(durationMs * 0.9), { steps: 8 })
    await page.mouse.up()
    await until('where it was dragged to', async () => Math.abs((await playhead(page)) / durationMs - 0.9) < 0.02)

    // Half of the bar is between the marks.
    const missed = []
    for (let n = 0; n < 20; n++) {
      const ms = durationMs * ((n + 0.5) / 20)
      const isNear = marks.some(({ at_ms }) => Math.abs(at_ms - ms) * (width / durationMs) < 6)
      await page.mouse.click(...at(ms))
      await until('a seek', async () => Math.abs((await playhead(page)) - ms) < durationMs / 40)
      if (!isNear && Math.abs((await playhead(page)) - ms) > (durationMs / width) * 2) missed.push(n)
    }
    assert.deepEqual(missed, [])
  })

  await t.test('on a phone the page scrolls on where the list ends', async (t) => {
    const page = await browser.visitor(t, server, PHONE)
    await watch(page, replay.id)
    const list = byId(page, 'danmaku-list')
    await list.evaluate((list) => (list.scrollTop = list.scrollHeight))
    await byId(page, 'follow').waitFor()
    const scrolled = () => page.evaluate(() => scrollY)
    const before = await scrolled()
    await until('the page to scroll', async () => {
      await swipeUp(page, 200, 760)
      return (await scrolled()) > before + 50
    })
  })

  await t.test('on a phone on its side the controls are in view, and then the list', async (t) => {
    for (const viewport of [ON_ITS_SIDE.viewport, { width: 932, height: 430 }]) {
      const page = await browser.visitor(t, server, { ...ON_ITS_SIDE, viewport })
      await watch(page, replay.id)
      await fits(page)
      for (const control of ['timeline', 'play-button', 'fullscreen-button']) {
        const { y, height } = await byId(page, control).boundingBox()
        assert.ok(y + height <= viewport.height, `${control} ends at ${y + height} of ${viewport.height}`)
      }
      const picture = await byId(page, 'danmaku-layer').boundingBox()
      assert.ok(picture.height >= 60, `there is room for lines: ${picture.height} px`)
      await byId(page, 'settings-button').click()
      const panel = await page.locator('.panel[role=group]').boundingBox()
      assert.ok(panel.y >= 0 && panel.y + panel.height <= viewport.height, `the settings are at ${JSON.stringify(panel)}`)
      await byId(page, 'settings-button').press('Escape')
      await byId(page, 'danmaku-list').evaluate((list) => list.scrollIntoView({ block: 'end' }))
      const seen = await page.evaluate(() => {
        const [stage, list] = ['stage', 'danmaku-list'].map((id) => document.querySelector(`[data-testid=${id}]`).getBoundingClientRect())
        const above = list.left >= stage.right ? 0 : stage.bottom
        return Math.min(innerHeight, list.bottom) - Math.max(above, list.top)
      })
      assert.ok(seen >= 150, `${seen} px of the list are in view`)
    }
  })
})
