/** In a room where a thousand lines a second fly, the page stays small, and what is read stays in place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter } from './support/browser.js'
import { Flood } from './support/flood.js'
import { hideable } from './support/hideable.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const RATE = 1000
/** As in `chatLog.ts` and `lanes.ts`. */
const KEPT = 400
const KEPT_READING = 2000
const MOST_FLYING = 200

const number = (text) => Number(/^line (\d+)/.exec(text)?.[1] ?? -1)

test('a flood', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const crowd = []
  for (let n = 0; n < 50; n++) crowd.push(await Person.register(server, `Person${n}`))
  const room = await streamer.room('A room in flood')
  await streamer.rules(room, { danmaku_per_s: RATE })
  const page = await browser.visitor(t, server)
  const tab = await hideable(page)
  const cdp = await page.context().newCDPSession(page)
  await enter(page, room)
  const list = byId(page, 'chat-list')
  const rows = () => byId(page, 'chat-line').count()
  const newest = async () => number(await byId(page, 'chat-text').last().textContent())
  const fromEnd = () => list.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight)
  const heapMib = async () => {
    await cdp.send('HeapProfiler.collectGarbage')
    return (await cdp.send('Runtime.getHeapUsage')).usedSize / 2 ** 20
  }
  await countChanges(page)
  const flood = Flood.start(t, server, crowd, room, RATE)
  const further = async (lines) => {
    const from = flood.taken
    await until(`${lines} more lines`, () => flood.taken >= from + lines, 60_000)
  }
  await further(1_000)
  await until('the list to follow', async () => (await newest()) > 500)

  await t.test('leaves the list short and at its end, and the stage in bounds', async () => {
    const before = await heapMib()
    for (let part = 0; part < 5; part++) {
      const last = await newest()
      await further(800)
      await until('the list to follow', async () => (await newest()) > last + 200)
      assert.ok((await rows()) <= KEPT)
      assert.ok((await byId(page, 'danmaku-layer').locator('[data-id]').count()) <= MOST_FLYING)
      await until('the list to be at its end', async () => (await fromEnd()) < 2)
    }
    const after = await heapMib()
    assert.ok(after < 1.25 * before + 4, `4,000 lines later the heap is ${after.toFixed(1)} MiB after ${before.toFixed(1)}`)
  })

  await t.test('changes each part of the page once in a frame', async () => {
    const { list, stage, frames } = await page.evaluate(() => window.changes)
    assert.ok(frames > 60 && list.total > 5 && stage.total > 5, JSON.stringify({ list, stage, frames }))
    assert.equal(list.mostInFrame, 1)
    // Flying and standing lines are two layers.
    assert.ok(stage.mostInFrame <= 2, `${stage.mostInFrame} changes in one frame`)
  })

  await t.test('leaves what is read where it is, for as long as it is read', async () => {
    await list.hover()
    await page.mouse.wheel(0, -2_000)
    await byId(page, 'new-lines').waitFor()
    const inView = () =>
      list.evaluate((list) => {
        const { top } = list.getBoundingClientRect()
        const line = [...list.querySelectorAll('[data-testid=chat-line]')].find((line) => line.getBoundingClientRect().top >= top)
        return { text: line.querySelector('[data-testid=chat-text]').textContent, top: Math.round(line.getBoundingClientRect().top - top) }
      })
    const before = await inView()
    await further(3_500)
    await until('so many to be told of', async () => Number(/[\d,]+/.exec(await byId(page, 'new-lines').textContent())[0].replace(',', '')) > 2_000)
    assert.deepEqual(await inView(), before)
    assert.ok((await rows()) <= KEPT_READING)
    await byId(page, 'new-lines').click()
    await until('the list to be at its end', async () => (await fromEnd()) < 2)
    assert.ok((await rows()) <= KEPT)
    const last = await newest()
    await until('the list to follow', async () => (await newest()) > last + 200)
  })

  await t.test('costs a hidden tab nothing, and does not break out when it is shown again', async () => {
    const before = await heapMib()
    await tab.hide()
    const hiddenAt = flood.sent
    const { total } = await page.evaluate(() => window.changes.list)
    await further(4_000)
    assert.equal((await page.evaluate(() => window.changes.list)).total, total, 'nothing is drawn')
    const after = await heapMib()
    assert.ok(after < 1.25 * before + 4, `4,000 unseen lines later the heap is ${after.toFixed(1)} MiB after ${before.toFixed(1)}`)
    const shownAt = flood.taken
    await tab.show()
    await until('the list to show the newest', async () => (await newest()) >= shownAt - RATE)
    assert.ok((await rows()) <= KEPT)
    const flying = (await byId(page, 'danmaku-layer').locator('[data-id]').allTextContents()).map(number)
    const unseen = flying.filter((n) => n > hiddenAt + RATE && n < shownAt - RATE)
    assert.deepEqual(unseen, [], 'what was said meanwhile does not fly')
    await until('lines to fly again', async () => (await byId(page, 'danmaku-layer').locator('[data-id]').allTextContents()).some((text) => number(text) > shownAt))
  })
})

/** Counts how often the list and the stage change, and how often within one frame. */
async function countChanges(page) {
  await page.evaluate(() => {
    const changes = (window.changes = { frames: 0, list: { total: 0, inFrame: 0, mostInFrame: 0 }, stage: { total: 0, inFrame: 0, mostInFrame: 0 } })
    const watch = (part, selector) =>
      new MutationObserver(() => {
        part.total += 1
        part.inFrame += 1
        part.mostInFrame = Math.max(part.mostInFrame, part.inFrame)
      }).observe(document.querySelector(selector), { childList: true, subtree: true })
    watch(changes.list, '[data-testid=chat-list]')
    watch(changes.stage, '[data-testid=danmaku-layer]')
    const frame = () => {
      changes.frames += 1
      changes.list.inFrame = changes.stage.inFrame = 0
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
  })
}
