/** Replays as they are watched: in time, sought, listed, searched and taken away. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, fits, flying } from './support/browser.js'
import { bring, clickTimeline, isPlaying, pause, playhead, ready, watch, xml } from './support/replays.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

/** Half an hour: a line every two seconds, and a crowd in the 20th minute. */
const LINES = Array.from({ length: 900 }, (_, n) => [n * 2, `said at ${n * 2} s`])
const CROWD = Array.from({ length: 300 }, (_, n) => [1200 + n / 10, `crowd ${n}`])
/** Until ten seconds after the last line. */
const DURATION_MS = 1_808_000
/** A line is on the stage for nine seconds. */
const LIFE_S = 9.5
/** The most that a seek may take until it shows what was said then. */
const SEEK_MS = 1_000

const flyingTexts = (page) => byId(page, 'danmaku-layer').locator('[data-id]').allTextContents()
const rowTexts = (page) => byId(page, 'danmaku-list').getByTestId('row-text').allTextContents()
const currentRow = (page) => byId(page, 'danmaku-list').locator('li[aria-current=true]')
const secondOf = (text) => Number(/^said at (\d+) s$/.exec(text)?.[1])

/** The stage shows what was said at this moment and nothing else, within a second. */
async function showsItsMoment(page, what) {
  const startedAt = Date.now()
  const seen = await until(`${what}: danmaku of that time`, async () => {
    const [texts, ms] = [await flyingTexts(page), await playhead(page)]
    const seconds = texts.map(secondOf).filter((s) => !Number.isNaN(s))
    const isOfNow = (s) => s * 1000 <= ms + 500 && s * 1000 >= ms - LIFE_S * 1000
    return seconds.length >= 3 && seconds.every(isOfNow) && seconds
  }, SEEK_MS)
  assert.ok(Date.now() - startedAt <= SEEK_MS, what)
  return seen
}

test('a replay is watched', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const room = await streamer.room('A room')
  await streamer.close(room)
  const { replay } = await bring(streamer, room, 'Half an hour', xml([...LINES, ...CROWD]))
  await ready(streamer, replay.id)
  const page = await browser.visitor(t, server)
  await watch(page, replay.id)

  await t.test('it says what it is, and plays', async () => {
    assert.equal(await page.title(), 'Half an hour · goligoli')
    assert.match(await byId(page, 'replay-facts').textContent(), /Length:\s30:08 · 1,200\sdanmaku · from\sa\sfile$/)
    assert.equal(await byId(page, 'replay-room').getAttribute('href'), `/rooms/${room.id}`)
    await until('it to go on', async () => (await playhead(page)) > 500)
    await flying(page, 'said at 0 s').waitFor({ state: 'attached' })
  })

  await t.test('seeking by click shows the danmaku of that time, in mid-flight, within a second', async () => {
    for (const share of [0.5, 0.9, 0.2, 0.35]) {
      await clickTimeline(page, share)
      await showsItsMoment(page, `a click at ${share}`)
      assert.ok(Math.abs((await playhead(page)) / DURATION_MS - share) < 0.02)
    }
    const { left, right, width } = await byId(page, 'danmaku-layer').evaluate((layer) => {
      const [box, lines] = [layer.getBoundingClientRect(), [...layer.querySelectorAll('[data-id]')].map((line) => line.getBoundingClientRect())]
      return { left: Math.min(...lines.map(({ left }) => left)), right: Math.max(...lines.map(({ right }) => right)), width: box.width }
    })
    assert.ok(right - left > width / 2, 'lines are all along their way, not all at its beginning')
  })

  await t.test('standing still, nothing moves; twice as fast is twice as far', async () => {
    await pause(page)
    const at = await playhead(page)
    const places = () => byId(page, 'danmaku-layer').locator('[data-id]').evaluateAll((lines) => lines.map((line) => line.style.transform))
    const before = await places()
    await page.evaluate(() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go))))
    assert.deepEqual([await places(), await playhead(page)], [before, at])
    const measure = () => page.evaluate(async () => {
      const bar = document.querySelector('[data-testid=timeline]')
      const now = () => [Number(bar.dataset.ms), performance.now()]
      const [fromMs, from] = now()
      await new Promise((go) => {
        const looking = setInterval(() => {
          if (Number(bar.dataset.ms) - fromMs <= 1500) return
          clearInterval(looking)
          go()
        }, 5)
      })
      const [toMs, to] = now()
      return (toMs - fromMs) / (to - from)
    })
    await byId(page, 'play-button').click()
    const normal = await measure()
    await byId(page, 'speed').selectOption('2')
    const twice = await measure()
    await byId(page, 'speed').selectOption('1')
    assert.ok(normal > 0.8 && normal < 1.2, `1×: ${normal}`)
    assert.ok(twice / normal > 1.6 && twice / normal < 2.4, `2×: ${twice}`)
  })

  await t.test('by keyboard: the slider, and keys that work anywhere', async () => {
    await pause(page)
    const bar = byId(page, 'timeline')
    await bar.focus()
    await page.keyboard.press('Home')
    await until('the beginning', async () => (await playhead(page)) === 0)
    await page.keyboard.press('PageUp')
    await page.keyboard.press('ArrowRight')
    await until('a minute and 5 s', async () => (await playhead(page)) === 65_000)
    assert.equal(await bar.getAttribute('aria-valuetext'), '1 minute 5 seconds of 30 minutes 8 seconds')
    assert.equal(await bar.getAttribute('aria-valuenow'), '65')
    await showsItsMoment(page, 'a key')
    await bar.evaluate((bar) => bar.blur())
    await page.keyboard.press('ArrowLeft')
    await until('5 s back', async () => (await playhead(page)) === 60_000)
    await page.keyboard.press('d')
    await until('no lines', async () => (await flyingTexts(page)).length === 0)
    await page.keyboard.press('d')
    await showsItsMoment(page, 'D')
    await page.keyboard.press(' ')
    await until('it to play', () => isPlaying(page))
    await page.keyboard.press(' ')
    await until('it to stand', async () => !(await isPlaying(page)))
    await page.keyboard.press('f')
    await page.waitForFunction(() => document.fullscreenElement?.dataset.testid === 'stage')
    await page.keyboard.press('f')
    await page.waitForFunction(() => document.fullscreenElement === null)
    // What is typed is no key.
    await byId(page, 'danmaku-search').focus()
    await page.keyboard.type('d d')
    assert.equal(await byId(page, 'danmaku-toggle').getAttribute('aria-pressed'), 'true')
    await page.keyboard.press('Escape')
  })

  await t.test('by drag: the playhead is where it is let go', async () => {
    const { x, y, width, height } = await byId(page, 'timeline').boundingBox()
    await page.mouse.move(x + width * 0.1, y + height / 2)
    await page.mouse.down()
    await page.mouse.move(x + width * 0.4, y + height / 2, { steps: 5 })
    await byId(page, 'timeline-hover').waitFor()
    await page.mouse.move(x + width * 0.7, y + height / 2, { steps: 5 })
    await page.mouse.up()
    await until('it to be there', async () => Math.abs((await playhead(page)) - 0.7 * DURATION_MS) < 20_000)
    await showsItsMoment(page, 'a drag')
  })

  await t.test('the heat curve rises where the crowd was, and tells how many', async () => {
    const peak = await page.locator('[data-testid=heat-curve] .all').evaluate((path) => {
      const points = Array.from({ length: 400 }, (_, n) => path.getPointAtLength((path.getTotalLength() * n) / 400))
      return points.reduce((best, point) => (point.y < best.y ? point : best)).x / 1000
    })
    assert.ok(Math.abs(peak - 1_215_000 / DURATION_MS) < 0.03, `the peak is at ${peak}`)
    const { x, y, width, height } = await byId(page, 'timeline').boundingBox()
    await page.mouse.move(x + (width * 1_215_000) / DURATION_MS, y + height / 2)
    await byId(page, 'timeline-hover').getByText(/^20:\d\d/).first().waitFor()
    const told = await byId(page, 'timeline-hover').textContent()
    assert.ok(Number(/(\d+) danmaku in 10 seconds/.exec(told)[1]) >= 100, told)
    await page.mouse.move(5, 300)
  })

  await t.test('the list follows, waits while somebody reads, and goes to a line\'s moment', async () => {
    await clickTimeline(page, 0.3)
    const list = byId(page, 'danmaku-list')
    const isInView = async () => {
      const ms = await playhead(page)
      const row = currentRow(page).getByTestId('danmaku-row')
      const at = (await row.count()) === 1 ? Number(await row.getAttribute('data-ms')) : -1
      return at <= ms && at > ms - 3000 && row.evaluate((row) => {
        const [box, list] = [row.getBoundingClientRect(), row.closest('[data-testid=danmaku-list]').getBoundingClientRect()]
        return box.top >= list.top && box.bottom <= list.bottom
      })
    }
    await until('the line that is played to be in view', isInView)
    await byId(page, 'play-button').click()
    const before = await currentRow(page).getAttribute('aria-posinset')
    await until('the next line', async () => (await currentRow(page).getAttribute('aria-posinset')) !== before)
    await until('it to be in view', isInView)
    assert.ok((await rowTexts(page)).length < 100, 'only what is in view is in the page')

    await list.hover()
    await page.mouse.wheel(0, -4000)
    await byId(page, 'follow').waitFor()
    await until('earlier lines', async () => (await rowTexts(page)).length > 5 && (await rowTexts(page)).every((text) => secondOf(text) < 500))
    const top = await list.evaluate((list) => list.scrollTop)
    const row = await currentRow(page).count()
    assert.equal(row, 0, 'what is played is elsewhere')
    const at = await playhead(page)
    await until('it to play on', async () => (await playhead(page)) > at + 2500)
    assert.equal(await list.evaluate((list) => list.scrollTop), top, 'what is read stays where it is')

    const line = list.getByTestId('danmaku-row').nth(12)
    const ms = Number(await line.getAttribute('data-ms'))
    await line.getByRole('button').first().click()
    await until('its moment', async () => Math.abs((await playhead(page)) - ms) < 2000)
    await showsItsMoment(page, 'a click in the list')
    await byId(page, 'follow').click()
    await until('the line that is played to be in view', isInView)
    await byId(page, 'follow').waitFor({ state: 'detached' })
  })

  await t.test('the search asks the server, and what it finds can be gone to', async () => {
    await byId(page, 'danmaku-search').fill('AT 1500')
    await byId(page, 'search-outcome').getByText('1 found', { exact: true }).waitFor()
    assert.deepEqual(await byId(page, 'search-results').getByTestId('row-text').allTextContents(), ['said at 1500 s'])
    await byId(page, 'search-results').getByRole('button').first().click()
    await until('its moment', async () => Math.abs((await playhead(page)) - 1_500_000) < 2000)
    await flying(page, 'said at 1500 s').waitFor({ state: 'attached', timeout: SEEK_MS })
    await byId(page, 'danmaku-search').fill('crowd')
    await byId(page, 'search-outcome').getByText('More than 100').waitFor()
    await byId(page, 'search-results').getByRole('button', { name: 'Load more' }).click()
    await until('the second page', async () => (await byId(page, 'search-results').getByTestId('row-text').count()) === 200)
    await byId(page, 'danmaku-search').fill('nobody said this')
    await byId(page, 'search-outcome').getByText('Nobody said that.').waitFor()
    await byId(page, 'danmaku-search').fill('')
    await byId(page, 'danmaku-list').waitFor()
  })

  await t.test('all danmaku can be taken away, in four formats', async () => {
    await byId(page, 'download-button').click()
    const beginnings = { xml: '<?xml', ass: '[Script Info]', json: '{', pb: '\n' }
    for (const [kind, beginning] of Object.entries(beginnings)) {
      const begun = page.waitForEvent('download')
      await byId(page, `download-${kind}`).click()
      const file = await begun
      assert.match(file.suggestedFilename(), new RegExp(`\\.${kind}$`))
      const content = await readFile(await file.path(), 'utf8')
      assert.ok(content.replace(/^\ufeff/, '').startsWith(beginning), `${kind}: ${content.slice(0, 40)}`)
      assert.ok(kind === 'pb' || content.includes('said at 1500 s'))
    }
    await byId(page, 'download-button').click()
  })

  await t.test('a part that does not come is said and tried again', async (t) => {
    const page = await browser.visitor(t, server)
    let refused = 0
    await page.route(/\/parts\/\d+/, (route) => {
      refused += 1
      return route.fulfill({ status: 429, contentType: 'application/problem+json', body: '{"code":"rate-limited","detail":"a test"}' })
    })
    await watch(page, replay.id)
    await page.getByText('Some danmaku could not be loaded').waitFor()
    await until('another try', () => refused > 3)
    await page.unroute(/\/parts\/\d+/)
    await byId(page, 'retry-part').click()
    await page.getByText('Some danmaku could not be loaded').waitFor({ state: 'detached' })
    await until('lines to fly', async () => (await flyingTexts(page)).length > 0)
  })

  await t.test('only what is around the playhead is loaded', async (t) => {
    const page = await browser.visitor(t, server)
    const asked = []
    page.on('request', (request) => /\/parts\/(\d+)/.test(request.url()) && asked.push(Number(/\/parts\/(\d+)/.exec(request.url())[1])))
    await watch(page, replay.id)
    await until('lines to fly', async () => (await flyingTexts(page)).length > 0)
    assert.deepEqual([...new Set(asked)].sort(), [1, 2])
    await clickTimeline(page, 0.95)
    await showsItsMoment(page, 'a far seek')
    assert.ok(!asked.includes(3), `parts that were passed over are not loaded: ${asked}`)
  })

  await t.test('who asks for less motion starts it themselves, without lines', async (t) => {
    const calm = await browser.visitor(t, server, { reducedMotion: 'reduce' })
    await watch(calm, replay.id)
    assert.equal(await isPlaying(calm), false)
    assert.equal(await byId(calm, 'danmaku-toggle').getAttribute('aria-pressed'), 'false')
    await byId(calm, 'play-button').click()
    await until('it to play', async () => (await playhead(calm)) > 300)
    assert.deepEqual(await flyingTexts(calm), [])
  })

  await t.test('it fits a small phone, in both languages', async (t) => {
    for (const locale of ['en-US', 'zh-CN']) {
      const phone = await browser.visitor(t, server, { locale, viewport: { width: 320, height: 640 } })
      await watch(phone, replay.id)
      await fits(phone)
      await byId(phone, 'download-button').click()
      await fits(phone)
      await byId(phone, 'settings-button').click()
      const panel = await phone.locator('.panel[role=group]').boundingBox()
      assert.ok(panel.x >= 0 && panel.x + panel.width <= 320 && panel.y >= 0, JSON.stringify(panel))
      await fits(phone)
    }
  })

  await t.test('an address without a replay says so', async (t) => {
    const page = await browser.visitor(t, server)
    await page.goto('/replays/987654321')
    await byId(page, 'replay-trouble').getByText('This replay does not exist, or it is not public.').waitFor()
  })
})

test('a broadcast becomes a replay, which its room offers', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('A night on air')
  const page = await browser.visitor(t, server)
  await enter(page, room)
  await mei.say(room, 'hello replay', { color: '#FFD302' })
  const lottery = await streamer.ask('POST', `/rooms/${room.id}/lotteries`, { title: 'A draw', prizes: [{ name: 'tea', count: 1 }], duration_s: 5 })
  await mei.ask('PUT', `/lotteries/${lottery.id}/entries/me`)
  await until('the draw', async () => (await streamer.ask('GET', `/lotteries/${lottery.id}`)).phase === 'drawn', 30_000)
  await mei.say(room, 'congratulations to me')
  await streamer.close(room)

  await byId(page, 'latest-replay').waitFor({ timeout: 30_000 })
  const card = byId(page, 'replay-card')
  await card.getByText('A night on air').waitFor()
  assert.match(await card.textContent(), /2.danmaku/u)
  await byId(page, 'latest-replay').click()
  await byId(page, 'timeline').waitFor()
  await byId(page, 'danmaku-list').getByText('hello replay').waitFor()
  await byId(page, 'danmaku-list').getByText('Mei').first().waitFor()

  await until('the marks', async () => {
    if ((await byId(page, 'replay-mark').count()) === 2) return true
    await page.reload()
    await byId(page, 'timeline').waitFor()
    return false
  }, 30_000)
  assert.deepEqual(await byId(page, 'replay-mark').evaluateAll((marks) => marks.map((mark) => mark.dataset.kind)), ['lottery_opened', 'lottery_drawn'])
  await pause(page)
  await byId(page, 'moment').nth(1).click()
  await until('the draw\'s moment', async () => (await playhead(page)) > 4_000)
  await byId(page, 'moment-result').click()
  await byId(page, 'replay-lottery').getByText('Mei').waitFor()
})
