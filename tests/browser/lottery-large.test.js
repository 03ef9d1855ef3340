/** A draw that is too large to be recomputed in a browser: what is checked of it, and what the page says of the rest. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, fits, logIn } from './support/browser.js'
import { card, drawn, handedOut, joined, lottery, put, shot } from './support/lottery.js'
import { Server } from './support/server.js'

const MANY_ENTRIES = fileURLToPath(new URL('support/many_entries.py', import.meta.url))
const PYTHON = process.env.CLIENTS_PYTHON ?? 'python3'

/** The page recomputes up to 50,000; three people enter through the API or the page. */
const MORE = 50_000
const ENTRIES = MORE + 3
/** The page looks at the places of the first ten. */
const PRIZES = 12
const CHECKED = 10
/** Time to put the entries in and to enter the room. */
const OPEN_S = 25

const WORDS = {
  'en-US': {
    join: 'Enter',
    outcome: 'What was checked agrees with what was signed at the time.',
    consistent: 'What was checked is consistent in itself.',
    note: 'With 50,003 entries this page checks the announcements, the first winners, and your own place and key if you are in. For all of it use the command below.',
    receipt: 'Your own entry has its place under the signed root.',
    winners: 'The winners are in the order of their keys, the first of them have their places under the signed root, and nobody with a key behind yours got a prize.',
    winnersOfOthers: 'The winners are in the order of their keys, and the first of them have their places under the signed root.',
    trust: ['this page has not read the other entries', 'The operator is trusted', 'That accounts are different people'],
  },
  'zh-CN': {
    join: '参与抽奖',
    outcome: '检查过的部分与当时签名公布的内容一致。',
    note: '共有 50,003 条报名，本页面只检查公告、排在最前的中奖者，以及你自己的位置和键值；完整验证请用下面的命令。',
    receipt: '你的报名确实在签名的根之下。',
    winners: '中奖者按键值排列，排在最前的确实在签名的根之下，没有人键值排在你之后却中奖。',
    trust: ['本页面没有读取其他人的报名', '需要信任平台', '每个账号是不是不同的人'],
  },
}

/** A debug build on a busy machine takes seconds for the places. */
const VERIFIED_WITHIN_MS = 60_000

const verified = (page, outcome) => page.locator(`[data-testid=verify-drawer][data-outcome=${outcome}]`).waitFor({ timeout: VERIFIED_WITHIN_MS })
const step = (page, check) => page.locator(`[data-check=${check}]`)

/** Somebody who is logged in, and away while the server is. */
async function away(t, browser, server, { name }, options) {
  const page = await browser.visitor(t, server, { serverGoesAway: true, ...options })
  await page.goto('/')
  await logIn(page, name)
  await page.goto('about:blank')
  return page
}

/** A lottery with more entries than the page recomputes. */
async function large(server, streamer, room, early) {
  const made = await lottery(streamer, room, { prizes: [{ name: 'tea', count: PRIZES }], duration_s: OPEN_S })
  await put(early, made)
  await server.down()
  const ran = spawnSync(PYTHON, [MANY_ENTRIES, join(server.folder, 'data', 'lottery.db'), made.id, String(MORE)], { encoding: 'utf8' })
  assert.equal(ran.status, 0, ran.stderr)
  await server.up()
  return made
}

async function enters(page, room, words) {
  await enter(page, room)
  await card(page, 'open').waitFor()
  await page.getByRole('button', { name: words.join, exact: true }).click()
  await joined(page).waitFor()
}

/** Somebody may have won, which they are told first. */
async function opens(page, isWinner) {
  await drawn(page)
  if (isWinner) await byId(page, 'winner-close').click()
  await byId(page, 'lottery-open').click()
  await byId(page, 'lottery-verify').click()
}

/** The server's answer as somebody has changed it on the way; `change` gives the new one. */
async function tampered(page, path, change, holds) {
  const url = `**/api/v1/lotteries/${path}`
  await page.route(url, async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, json: change(await response.json()) })
  })
  await byId(page, 'verify-again').click()
  await verified(page, 'disagrees')
  await holds()
  await page.unroute(url)
}

/** Another hash of the same form. */
const other = (hash) => (hash.startsWith('0') ? '1' : '0') + hash.slice(1)

test('a draw with more than 50,000 entries', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const people = await Promise.all(['Streamer', 'Mei', 'Li', 'Early'].map((name) => Person.register(server, name)))
  const [streamer, mei, li, early] = people
  const room = await streamer.room('A large room')
  const viewers = {
    'en-US': { person: mei, page: await away(t, browser, server, mei, { locale: 'en-US', viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }) },
    'zh-CN': { person: li, page: await away(t, browser, server, li, { locale: 'zh-CN', viewport: { width: 1280, height: 860 } }) },
  }
  const made = await large(server, streamer, room, early)
  for (const [locale, { page }] of Object.entries(viewers)) await enters(page, room, WORDS[locale])
  await drawn(viewers['en-US'].page)
  const { winners, entrants, winners_total } = await streamer.ask('GET', `/lotteries/${made.id}`)
  assert.deepEqual([entrants, winners_total], [ENTRIES, PRIZES])
  const isWinner = ({ id }) => winners.some(({ user_id }) => user_id === id)

  for (const [locale, { person, page }] of Object.entries(viewers)) {
    const words = WORDS[locale]
    await t.test(`the page says what it has checked, and what remains trust: ${locale}`, async () => {
      const asked = []
      page.on('request', (request) => asked.push(new URL(request.url()).pathname.replace(`/api/v1/lotteries/${made.id}`, '')))
      await opens(page, isWinner(person))
      await verified(page, 'agrees')
      await byId(page, 'verify-outcome').getByText(words.outcome).waitFor()
      assert.equal(await byId(page, 'verify-light').innerText(), words.note)
      const checks = await page.locator('[data-check]').evaluateAll((steps) => steps.map(({ dataset }) => `${dataset.check} ${dataset.state}`))
      assert.deepEqual(checks, ['documents', 'opened', 'commitment', 'closed', 'receipt', 'winners'].map((check) => `${check} passed`), 'nothing is said of all entries')
      await step(page, 'receipt').getByText(words.receipt).waitFor()
      await step(page, 'winners').getByText(words.winners).waitFor()
      for (const trust of words.trust) await byId(page, 'verify-trust').getByText(trust).waitFor()
      const places = asked.filter((path) => /^\/entries\/\d+\/proof$/.test(path))
      assert.equal(places.length, CHECKED + 1, 'the first winners and oneself')
      assert.ok(!asked.includes('/entries'), 'not all of them')
      await fits(page)
      await shot(page, `large-${locale}`)
      await byId(page, 'verify-trust').scrollIntoViewIfNeeded()
      await shot(page, `large-${locale}-trust`)
    })
  }

  const { page } = viewers['en-US']

  await t.test('what was changed on the way is reported', async () => {
    const finding = (text) => byId(page, 'verify-finding').getByText(text, { exact: true }).waitFor()
    const failed = (check) => step(page, check).and(page.locator('[data-state=failed]')).waitFor()
    const [first] = winners
    const own = (await mei.ask('GET', `/lotteries/${made.id}/entries/me`)).receipt.n
    const somebody = winners.some(({ n }) => n === 7) ? 8 : 7
    const proofWith = (change, text, check = 'winners') => tampered(page, `${made.id}/proof`, (proof) => (change(proof), proof), async () => {
      await finding(text)
      await failed(check)
    })

    await proofWith((proof) => (proof.winners[0].n = somebody), 'The key of the winner in place 1 is wrong.')
    await shot(page, 'large-tampered')
    await proofWith((proof) => proof.winners.reverse(), 'The winner in place 2 is out of order.')
    await proofWith((proof) => (proof.root = other(proof.root)), 'What this browser kept when the entries were frozen has another “root”.', 'closed')

    await tampered(page, `${made.id}/entries/${first.n}/proof`, (place) => ({ ...place, path: [other(place.path[0]), ...place.path.slice(1)] }), async () => {
      await finding(`Entry ${(first.n + 1).toLocaleString('en-US')} has no place under the signed root.`)
      await failed('winners')
    })
    await tampered(page, `${made.id}/entries/${own}/proof`, (place) => ({ ...place, leaf: other(place.leaf) }), async () => {
      await finding(`Your receipt for entry ${(own + 1).toLocaleString('en-US')} is signed, and the entry is missing. This proves a fraud.`)
      await failed('receipt')
    })
    await byId(page, 'verify-again').click()
    await verified(page, 'agrees')
  })

  await t.test('who has no entry and came later is told less', async (t) => {
    const guest = await browser.visitor(t, server, { viewport: { width: 320, height: 640 } })
    await enter(guest, room)
    await opens(guest, false)
    await verified(guest, 'consistent')
    await byId(guest, 'verify-outcome').getByText(WORDS['en-US'].consistent).waitFor()
    assert.equal((await step(guest, 'winners').innerText()).trim(), WORDS['en-US'].winnersOfOthers)
    assert.equal(await step(guest, 'receipt').getAttribute('data-state'), 'open')
    await fits(guest)
  })

  await t.test('the command that the page shows checks all of it', async (t) => {
    const { texts, run } = await handedOut(t, page)
    assert.equal(texts.entries.split('\n').length, ENTRIES + 1)
    const { status, stdout, stderr } = run()
    assert.equal(status, 0, stdout + stderr)
  })
})
