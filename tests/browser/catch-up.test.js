/** Who was away reads in the list what was said meanwhile, or how much of it is missing; it does not fly all at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, fits } from './support/browser.js'
import { cuttable } from './support/cuttable.js'
import { Flood } from './support/flood.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const UNLIMITED = { GOLIGOLI_PUSH__RATE_PER_S: '10000', GOLIGOLI_PUSH__BURST: '10000' }
/** Older lines do not fly; see `live.ts`. */
const FRESH_MS = 5_000

const texts = (page) => byId(page, 'chat-text').allTextContents()
/** Everything that ever flew on this page. */
async function watchFlying(page) {
  await byId(page, 'danmaku-layer').evaluate((layer) => {
    window.flown = []
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) for (const line of node.querySelectorAll?.('[data-id]') ?? []) window.flown.push(line.textContent)
    }).observe(layer, { childList: true, subtree: true })
  })
  return () => page.evaluate(() => window.flown)
}

test('what was said while the machine slept is in the list, and did not fly', async (t) => {
  const server = await Server.start(t, UNLIMITED)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('A room')
  const page = await browser.visitor(t, server)
  const line = await cuttable(page)
  await enter(page, room)
  const flown = await watchFlying(page)
  await mei.say(room, 'before')
  await chatLine(page, 'before').waitFor()
  await line.cut()
  const said = Array.from({ length: 150 }, (_, n) => `meanwhile ${n}`)
  for (const text of said) await mei.say(room, text)
  const saidAt = Date.now()
  await until('it to be old', () => Date.now() - saidAt > FRESH_MS + 500)
  await line.comeBack()
  await chatLine(page, said.at(-1)).waitFor()
  await mei.say(room, 'after')
  await chatLine(page, 'after').waitFor()
  assert.deepEqual(await texts(page), ['before', ...said, 'after'], 'all of it, in order, once')
  assert.equal(await byId(page, 'chat-gap').count(), 0)
  await until('the new line to fly', async () => (await flown()).includes('after'))
  assert.deepEqual(await flown(), ['before', 'after'])
  assert.match((await line.asked())[1], /^\?last_event_id=\d+-\d+$/)
})

for (const [locale, words] of [
  ['en-US', { missed: (n) => `${n} updates missed`, load: 'Load the lines' }],
  ['zh-CN', { missed: (n) => `错过了 ${n} 条动态`, load: '补上弹幕' }],
]) {
  test(`what is missing is told exactly, and can be loaded, ${locale}`, async (t) => {
    const server = await Server.start(t, { ...UNLIMITED, GOLIGOLI_PUSH__KEEP_EVENTS: '40' })
    const browser = await Browser.start(t)
    const streamer = await Person.register(server, 'Streamer')
    const mei = await Person.register(server, 'Mei')
    const room = await streamer.room('A forgetful room')
    const page = await browser.visitor(t, server, { locale, viewport: { width: 320, height: 640 } })
    const line = await cuttable(page)
    await enter(page, room)
    const flown = await watchFlying(page)
    const before = ['one', 'two', 'three']
    for (const text of before) await mei.say(room, text)
    await chatLine(page, before.at(-1)).waitFor()
    await line.cut()
    const said = Array.from({ length: 120 }, (_, n) => `meanwhile ${n}`)
    for (const text of said) await mei.say(room, text)
    await line.comeBack()
    const gap = byId(page, 'chat-gap')
    await gap.waitFor()
    await chatLine(page, said.at(-1)).waitFor()
    const here = (await texts(page)).filter((text) => text.startsWith('meanwhile'))
    const [n] = /\d+/.exec(await gap.textContent())
    // Totals are events of the feed as well: the gap counts those that fell out of it, the lines among them are what is not here.
    assert.ok(here.length < said.length && Number(n) >= said.length - here.length, `${n} missed, ${here.length} here`)
    await gap.getByText(words.missed(n)).waitFor()
    await fits(page)
    await gap.getByRole('button', { name: words.load }).click()
    await gap.waitFor({ state: 'detached' })
    assert.deepEqual(await texts(page), [...before, ...said], 'all of it, in order, once')
    for (const text of said.slice(0, -here.length)) assert.ok(!(await flown()).includes(text), `${text} was loaded, and did not fly`)
  })
}

test('a gap larger than a list is loaded from its beginning, part by part', async (t) => {
  const server = await Server.start(t, { ...UNLIMITED, GOLIGOLI_PUSH__KEEP_EVENTS: '40' })
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const crowd = []
  for (let n = 0; n < 20; n++) crowd.push(await Person.register(server, `Person${n}`))
  const room = await streamer.room('A forgetful room')
  const page = await browser.visitor(t, server)
  const line = await cuttable(page)
  await enter(page, room)
  await crowd[0].say(room, 'before')
  await chatLine(page, 'before').waitFor()
  await line.cut()
  const flood = Flood.start(t, server, crowd, room, 400)
  await until('more lines than are loaded at once', () => flood.taken > 1_300, 60_000)
  await flood.stop()
  await crowd[0].say(room, 'after')
  await line.comeBack()
  await chatLine(page, 'after').waitFor()
  const gap = byId(page, 'chat-gap')
  const load = () => gap.getByRole('button', { name: 'Load the lines' }).click()
  await load()
  await gap.getByText('Some updates were missed').waitFor()
  const read = await texts(page)
  assert.equal(read[0], 'before')
  assert.equal(read.filter((text) => text.includes('of a flood')).length >= 1_000, true)
  const box = await chatLine(page, 'before').boundingBox()
  assert.ok(box && box.y > 0, 'the list stands where the gap began')
  await load()
  await gap.waitFor({ state: 'detached' })
  const all = await texts(page)
  assert.equal(new Set(all).size, all.length, 'nothing is there twice')
  const numbers = all.map((text) => Number(/^line (\d+)/.exec(text)?.[1])).filter((n) => !Number.isNaN(n))
  assert.equal(numbers.length, flood.taken, 'all of it is there')
  assert.equal(all.at(-1), 'after')
})
