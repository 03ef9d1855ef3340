/** In a room that is too busy to read, viewers are shown a part, and told so. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, fits, flying, logIn, say } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const NARROW = { width: 320, height: 640 }
const note = (page) => byId(page, 'flow-note')
const why = (page) => byId(page, 'flow-why')
const delivery = (page, text) => byId(page, 'chat-line').filter({ hasText: text }).getByTestId('chat-delivery')

async function crowd(server, names = ['Ann', 'Ben', 'Cai', 'Dan']) {
  const people = []
  for (const name of names) people.push(await Person.register(server, name))
  return people
}

async function comeIn(page, room, name) {
  await page.goto('/')
  await logIn(page, name)
  await enter(page, room)
}

test('what the limiter leaves out is counted on the stage; one\'s own line always shows', async (t) => {
  const server = await Server.start(t, { GOLIGOLI_PUSH__RATE_PER_S: '1', GOLIGOLI_PUSH__BURST: '1' })
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const people = await crowd(server)
  const room = await streamer.room('A crowded room')
  const page = await browser.visitor(t, server)
  await page.clock.install()
  await comeIn(page, room, 'Ann')

  const shout = (n) => Promise.all(people.map((person) => person.say(room, `${person.name} shouts ${n}`)))
  for (let n = 0; n < 5; n++) await shout(n)
  await note(page).getByText(/^\d+ more in the last minute$/).waitFor()

  await say(page, 'and I see my own')
  await flying(page, 'and I see my own').waitFor({ state: 'attached' })
  await streamer.say(room, 'the streamer is always shown')
  await flying(page, 'the streamer is always shown').waitFor({ state: 'attached' })

  // 21 ordinary lines were said; what is shown and what is counted make all of them.
  await until('the account to be balanced', async () => {
    const lines = (await byId(page, 'chat-text').allTextContents()).filter((text) => text.includes('shouts')).length
    const more = Number(/^\d+/.exec(await note(page).textContent())?.[0])
    return lines + more === 20 || lines + more === 21
  })
  const history = await streamer.ask('GET', `/rooms/${room.id}/danmaku?limit=100`)
  assert.equal(history.items.length, 22, 'all of it is stored')

  // After a quiet minute there is nothing to tell.
  await page.clock.fastForward(65_000)
  await note(page).waitFor({ state: 'detached' })
})

test('why not all of it flies is told in words, by mouse, keyboard and finger', async (t) => {
  const server = await Server.start(t, { GOLIGOLI_PUSH__BURST: '2' })
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const people = await crowd(server)
  const room = await streamer.room('A crowded room')
  await streamer.rules(room, { danmaku_per_s: 1 })
  const wide = await browser.visitor(t, server)
  const phone = await browser.visitor(t, server, { locale: 'zh-CN', viewport: NARROW, hasTouch: true, isMobile: true })
  for (const page of [wide, phone]) await enter(page, room)
  for (let n = 0; n < 5; n++) await Promise.all(people.map((person) => person.say(room, `${person.name} shouts ${n}`)))
  for (const page of [wide, phone]) await note(page).waitFor()

  await note(wide).hover()
  await why(wide).getByText('More is said here than anyone can read. A fair sample flies by; everything is in the history and the replay.').waitFor()
  await why(wide).getByText('The streamer lets at most one line a second fly').waitFor()
  const account = async () => Object.fromEntries(await why(wide).locator('dl > div').evaluateAll((rows) => rows.map((row) => [row.className, Number(row.querySelector('dd').textContent)])))
  await until('all 20 to be accounted for', async () => (await account()).said === 20)
  const { said, shown, folded = 0, leftOut } = await account()
  assert.equal(said, shown + folded + leftOut)
  await why(wide).hover()
  assert.equal(await why(wide).count(), 1, 'it stays while it is read')
  await byId(wide, 'chat-list').hover()
  await why(wide).waitFor({ state: 'detached' })
  await note(wide).focus()
  await wide.keyboard.press('Enter')
  await why(wide).waitFor()
  assert.equal(await note(wide).getAttribute('aria-expanded'), 'true')
  await wide.keyboard.press('Escape')
  await why(wide).waitFor({ state: 'detached' })

  await note(phone).tap()
  await why(phone).getByText('弹幕多到谁也看不过来').waitFor()
  await fits(phone)
  const box = await why(phone).boundingBox()
  assert.ok(box.x >= 0 && box.x + box.width <= NARROW.width && box.y >= 0 && box.y + box.height <= NARROW.height, `the words are in view: ${JSON.stringify(box)}`)
  const list = await byId(phone, 'chat-list').boundingBox()
  await phone.touchscreen.tap(list.x + 8, list.y + list.height - 8)
  await why(phone).waitFor({ state: 'detached' })
})

for (const [locale, marks] of [
  ['en-US', { live: ['live', /^It flew by for everybody/], sampled: ['sampled', /not in the sample that flew by/], stored: ['stored', /not delivered to the live stream/] }],
  ['zh-CN', { live: ['已展示', /所有人的画面上飞过/], sampled: ['未抽中', /没有被抽中/], stored: ['仅存档', /没有送达直播画面/] }],
]) {
  test(`one's own line says what became of it, ${locale}`, async (t) => {
    const server = await Server.start(t, { GOLIGOLI_PUSH__RATE_PER_S: '1', GOLIGOLI_PUSH__BURST: '1' })
    const browser = await Browser.start(t)
    const streamer = await Person.register(server, 'Streamer')
    const people = await crowd(server, ['Ben', 'Cai', 'Dan', 'Eve', 'Fay', 'Gus', 'Hal', 'Ida'])
    const room = await streamer.room('A crowded room')
    await Person.register(server, 'Ann')
    const page = await browser.visitor(t, server, { locale, viewport: NARROW })
    const asked = []
    page.on('request', (request) => /\/danmaku\/\d+$/.test(request.url()) && asked.push(request.url()))
    await comeIn(page, room, 'Ann')
    const told = async (text, name) => {
      const mark = delivery(page, text)
      await mark.waitFor()
      assert.equal(await mark.getAttribute('data-delivery'), name)
      const [word, hint] = marks[name]
      assert.equal((await mark.textContent()).trim(), word)
      assert.match(await mark.getAttribute('title'), hint)
      await mark.click()
      await byId(page, 'chat-line').filter({ hasText: text }).getByTestId('chat-delivery-hint').getByText(hint).waitFor()
      await fits(page)
      await mark.click()
    }

    await t.test('live: the stream brought it back, nobody else is asked', async () => {
      await say(page, 'in a calm room')
      await told('in a calm room', 'live')
      assert.deepEqual(asked, [])
    })

    await t.test('sampled', async () => {
      let n = 0
      await until('a line of one\'s own that was left out', async () => {
        const text = `lost in the crowd ${++n}`
        await Promise.all([...people.map((person) => person.say(room, `${person.name} ${n}`)), say(page, text)])
        await delivery(page, text).waitFor()
        return (await delivery(page, text).getAttribute('data-delivery')) === 'sampled'
      }, 60_000)
      await told(`lost in the crowd ${n}`, 'sampled')
    })

    await t.test('stored: the server knows of nothing else, also when asked again', async () => {
      // Push must not have taken it. From outside this cannot be brought about, so the two answers are changed on the way.
      let answers = 0
      await page.route(`**/rooms/${room.id}/danmaku/*`, async (route) => {
        const answer = await route.fetch()
        answers += 1
        await route.fulfill({ response: answer, json: { ...(await answer.json()), delivery: 'stored' } })
      })
      let n = 0
      await until('a line that the stream does not bring', async () => {
        const text = `into the void ${++n}`
        await Promise.all([...people.map((person) => person.say(room, `${person.name}, ${n}`)), say(page, text)])
        await delivery(page, text).waitFor()
        return (await delivery(page, text).getAttribute('data-delivery')) === 'stored'
      }, 60_000)
      assert.equal(answers, 2, 'asked once more before it is said')
      await told(`into the void ${n}`, 'stored')
      await page.unroute(`**/rooms/${room.id}/danmaku/*`)
    })

    await t.test('unknown: nothing is said', async () => {
      await page.route(`**/rooms/${room.id}/danmaku/*`, async (route) => {
        const answer = await route.fetch()
        const { delivery: _, ...danmaku } = await answer.json()
        await route.fulfill({ response: answer, json: danmaku })
      })
      let n = 0
      for (let told = true; told; ) {
        const text = `a server that does not tell ${++n}`
        const answered = page.waitForResponse(`**/rooms/${room.id}/danmaku/*`, { timeout: 4_000 }).then(() => true, () => false)
        await Promise.all([...people.map((person) => person.say(room, `${person.name}; ${n}`)), say(page, text)])
        // It may be one of those that are shown: then nobody is asked.
        told = !(await answered)
        if (!told) assert.equal(await delivery(page, text).count(), 0)
      }
      await chatLine(page, `a server that does not tell ${n}`).waitFor()
    })

    await t.test('others are told nothing', async (t) => {
      const other = await browser.visitor(t, server, { locale })
      await enter(other, room)
      await byId(other, 'chat-line').first().waitFor()
      assert.equal(await byId(other, 'chat-delivery').count(), 0)
    })
  })
}
