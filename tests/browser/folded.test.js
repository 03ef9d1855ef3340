/** Where many say the same at the same moment, it flies once, with how many they were. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, fits, logIn, say } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const LONG = 'W'.repeat(99)

/** Line by line: what it says, and for how many. */
const lines = (page) =>
  byId(page, 'chat-line').evaluateAll((lines) =>
    lines.map((line) => ({
      text: line.querySelector('[data-testid=chat-text]').textContent,
      count: Number(line.querySelector('[data-testid=chat-times] > [aria-hidden]')?.textContent.slice(1) ?? 1),
      own: line.classList.contains('own'),
    })))
const flying = (layer) => layer.evaluateAll((lines) => lines.map((line) => line.textContent))

test('a chorus', async (t) => {
  const server = await Server.start(t, { GOLIGOLI_PUSH__RATE_PER_S: '1', GOLIGOLI_PUSH__BURST: '4', GOLIGOLI_PUSH__TICK_MS: '500' })
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const people = []
  for (let n = 0; n < 36; n++) people.push(await Person.register(server, `Singer${n}`))
  await Person.register(server, 'Mei')
  const room = await streamer.room('A choir')
  const visit = async (options) => {
    const page = await browser.visitor(t, server, options)
    await page.goto('/')
    await logIn(page, 'Mei')
    await enter(page, room)
    return page
  }
  const page = await visit({})
  const narrow = await visit({ locale: 'zh-CN', viewport: { width: 320, height: 640 } })
  const overlay = await browser.visitor(t, server)
  const streaming = overlay.waitForResponse((response) => response.url().includes('/events'))
  await overlay.goto(`/rooms/${room.id}/overlay`)
  await streaming
  await until('all three to be counted', async () => (await streamer.ask('GET', `/rooms/${room.id}`)).viewers === 3)
  /** Sung by all until one event stands for at least ten. */
  const sing = async (text, more = () => {}) => {
    await until(`a chorus of ${text}`, async () => {
      await Promise.all([...people.map((person) => person.say(room, text)), more()])
      await until('the line', async () => (await lines(page)).some((line) => line.text === text))
      return (await lines(page)).some((line) => line.text === text && line.count >= 10)
    }, 30_000)
  }

  await t.test('is one line with a count: in the list, over the picture, and in the overlay', async () => {
    const layers = [page, overlay].map((page) => byId(page, 'danmaku-layer'))
    const seen = layers.map((layer) => layer.locator('[data-id]', { hasText: /^666×\d\d/ }).first().waitFor({ state: 'attached' }))
    await sing('666')
    await Promise.all(seen)
    const [line] = (await lines(page)).filter(({ text, count }) => text === '666' && count >= 10)
    assert.ok(line.count <= 36)
    const times = byId(page, 'chat-times').filter({ hasText: `×${line.count}` }).first()
    assert.equal(await times.getAttribute('title'), `${line.count} people said this at the same moment`)
    await page.getByRole('log').getByText(`${line.count} people said this at the same moment`).first().waitFor({ state: 'attached' })
    await narrow.getByRole('log').getByText(`${line.count} 人同时说了这句话`).first().waitFor({ state: 'attached' })
    for (const layer of layers) {
      const heights = await layer.locator('[data-id]').evaluateAll((lines) => lines.map((line) => ({ text: line.textContent, height: line.offsetHeight })))
      const chorus = heights.filter(({ text }) => text === `666×${line.count}`)
      const alone = heights.filter(({ text }) => text === '666')
      for (const { height } of alone) assert.ok(chorus.every((line) => line.height > height && line.height < 1.6 * height), 'said by many, it is somewhat larger')
    }
  })

  await t.test('is not counted as lost', async () => {
    // Each says something else now, so most of it is.
    await Promise.all(people.map((person) => person.say(room, `${person.name} alone`)))
    await byId(page, 'flow-note').click()
    const part = async (name) => Number(await byId(page, 'flow-why').locator(`.${name} dd`).textContent())
    await until('the account to be the room\'s', async () => {
      const { totals } = await hello(server, room)
      const more = Number(/^\d+/.exec(await byId(page, 'flow-note').textContent())[0])
      return more === totals.suppressed && (await part('folded')) === totals.folded && (await part('shown')) === totals.shown && totals.folded > 0
    })
    await byId(page, 'flow-why').getByText('Said the same and flew as one line, with a count').waitFor()
    await page.keyboard.press('Escape')
  })

  await t.test('takes one\'s own line along: the echo stays, and is marked as shown', async () => {
    const mark = (text) => byId(page, 'chat-line').filter({ hasText: text }).getByTestId('chat-delivery')
    let text = ''
    let n = 0
    await until('to be counted in', async () => {
      text = `all together ${++n}`
      await Promise.all([...people.map((person) => person.say(room, text)), say(page, text)])
      await mark(text).waitFor()
      const own = (await lines(page)).filter((line) => line.own && line.text === text)
      assert.equal(own.length, 1, 'one\'s own line is there, once')
      return own[0].count === 1 && /^It flew by for everybody, as one line with those who said the same: ×\d+/.test(await mark(text).getAttribute('title'))
    }, 60_000)
    assert.equal(await mark(text).getAttribute('data-delivery'), 'live')
  })

  await t.test('or has one\'s own line stand for it, with the count', async () => {
    let n = 0
    await until('Mei to stand for others', async () => {
      const text = `led by Mei, take ${++n}`
      await Promise.all([say(page, text), ...people.slice(0, 3).map((person) => person.say(room, text))])
      await byId(page, 'chat-line').filter({ hasText: text }).getByTestId('chat-delivery').first().waitFor()
      return (await lines(page)).some((line) => line.own && line.text === text && line.count > 1)
    }, 60_000)
  })

  await t.test('of a word without a break fits a narrow list', async () => {
    await sing(LONG)
    await byId(narrow, 'chat-times').last().waitFor()
    await fits(narrow)
    const list = await byId(narrow, 'chat-list').evaluate((list) => ({ content: list.scrollWidth, width: list.clientWidth }))
    assert.ok(list.content <= list.width, `the list is ${list.width} px wide, its content ${list.content}`)
    const badges = await byId(narrow, 'chat-times').evaluateAll((badges) => badges.map((badge) => badge.getBoundingClientRect().right))
    assert.ok(badges.length > 0 && badges.every((right) => right <= 320))
  })

  await t.test('is still one line, with its count, for who comes later', async (t) => {
    const late = await browser.visitor(t, server)
    await enter(late, room)
    await byId(late, 'chat-times').first().waitFor()
    assert.deepEqual(await flying(byId(late, 'danmaku-layer').locator('[data-id]')), [])
  })
})

/** What a stream that begins now is told of the room. */
async function hello(server, room) {
  const answer = await fetch(`${server.url}/api/v1/rooms/${room.id}/events?max_events=2`)
  return JSON.parse(/^event: ?hello\ndata: ?(.*)$/m.exec(await answer.text())[1])
}
