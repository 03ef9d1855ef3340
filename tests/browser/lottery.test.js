/** A streamer and viewers, each in a browser of their own: from the countdown to the verified result. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, chatLine, enter, fits, logIn, online, say } from './support/browser.js'
import { DRAWN_WITHIN_MS, card, dialog, drawn, handedOut, joined, lottery, put, saved, shot } from './support/lottery.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const DESKTOP = { viewport: { width: 1280, height: 860 } }
const PHONE = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }
const SMALL = { viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }

async function people(t, server, names) {
  return Promise.all(names.map((name) => Person.register(server, name)))
}

/** A visitor who is logged in and in the room. */
async function inRoom(t, browser, server, room, name, options) {
  const page = await browser.visitor(t, server, options)
  await page.goto('/')
  await logIn(page, name)
  await enter(page, room)
  return page
}

for (const [locale, options, words] of [
  ['en-US', PHONE, { agrees: 'It agrees with what was signed at the time.', trust: 'The operator is trusted', drawn: 'was drawn', join: 'Enter' }],
  ['zh-CN', DESKTOP, { agrees: '验证通过，与当时签名公布的内容一致。', trust: '需要信任平台', drawn: '已开奖', join: '参与抽奖' }],
]) {
  test(`from the countdown to the verified result: ${locale}, ${options.viewport.width} px`, async (t) => {
    const server = await Server.start(t)
    const browser = await Browser.start(t)
    const [streamer, , guestToBe] = await people(t, server, ['Streamer', 'Mei', 'Li'])
    const room = await streamer.room('The evening show')
    const host = await inRoom(t, browser, server, room, 'Streamer', { locale, viewport: { width: 1280, height: 860 } })
    const viewer = await inRoom(t, browser, server, room, 'Mei', { locale, ...options })
    let id

    await t.test('the streamer fills in the form and starts it', async () => {
      await byId(host, 'manage-button').click()
      await byId(host, 'lottery-title').fill('Midnight draw 午夜')
      await byId(host, 'lottery-prize').first().fill('机械键盘 keyboard')
      await byId(host, 'lottery-add-prize').click()
      await byId(host, 'lottery-prize').nth(1).fill('tea')
      await byId(host, 'lottery-prize-count').nth(1).fill('2')
      await host.locator('input[name=lottery-minutes][value=own]').check({ force: true })
      await byId(host, 'lottery-own-minutes').fill('0.25')
      await byId(host, 'lottery-preview').getByText('0:15').waitFor()
      await shot(host, `${locale}-form`)
      await byId(host, 'lottery-start').click()
      await byId(host, 'desk-lottery').first().waitFor()
      assert.equal(await byId(host, 'lottery-title').inputValue(), '', 'the form is free for the next one')
      await shot(host, `${locale}-desk`)
      await host.keyboard.press('Escape')
    })

    await t.test('who watches sees it count down, reads what has to be trusted, and enters with one click', async () => {
      await card(viewer, 'open').waitFor()
      await byId(viewer, 'lottery-clock').getByText(/^0:[01]\d$/).waitFor()
      await byId(viewer, 'chat-notice').getByText('Midnight draw 午夜').waitFor()
      await fits(viewer)
      await shot(viewer, `${locale}-open`)
      await viewer.getByRole('button', { name: words.join, exact: true }).click()
      await joined(viewer).waitFor()
      await until('one entrant', async () => (await byId(viewer, 'lottery-entrants').getAttribute('data-value')) === '1')
      await byId(viewer, 'lottery-open').click()
      await dialog(viewer).getByText(words.trust).waitFor()
      await fits(viewer)
      await shot(viewer, `${locale}-joined`)
      await viewer.keyboard.press('Escape')
      id = await card(viewer).getAttribute('data-id')
      await put(guestToBe, { id })
    })

    await t.test('the streamer cannot enter, and is told why', async () => {
      assert.equal(await byId(host, 'lottery-join').first().getAttribute('data-state'), 'barred')
    })

    await t.test('it is drawn; the winner is told, and claims', async () => {
      await drawn(viewer)
      // Two entries, three prizes.
      await byId(viewer, 'winner-dialog').waitFor()
      await shot(viewer, `${locale}-won`)
      await byId(viewer, 'chat-notice').getByText(words.drawn).waitFor()
      await byId(viewer, 'claim-prize').click()
      await byId(viewer, 'claim-prize').waitFor({ state: 'detached' })
      const mine = (await streamer.ask('GET', `/lotteries/${id}/winners`)).items.find(({ name }) => name === 'Mei')
      assert.equal(mine.claimed, true)
      await byId(viewer, 'winner-close').click()
      await drawn(host)
      assert.equal(await byId(host, 'winner-dialog').count(), 0, 'only the winners see it')
      await byId(host, 'lottery-open').first().click()
      await byId(host, 'lottery-winners').getByText('Mei', { exact: true }).waitFor()
      await shot(host, `${locale}-winners`)
      await host.keyboard.press('Escape')
    })

    await t.test('the viewer verifies it, against what the browser kept', async () => {
      await byId(viewer, 'lottery-open').click()
      await byId(viewer, 'lottery-verify').click()
      await viewer.locator('[data-testid=verify-drawer][data-outcome=agrees]').waitFor()
      await byId(viewer, 'verify-outcome').getByText(words.agrees).waitFor()
      assert.deepEqual(await viewer.locator('[data-check]:not([data-state=passed])').count(), 0)
      await fits(viewer)
      await shot(viewer, `${locale}-verified`)
      const proof = await saved(viewer, 'download-proof')
      assert.equal(proof.name, `lottery-${id}-proof.json`)
      assert.equal(JSON.parse(proof.text).protocol, 'goligoli-draw/1')
      assert.equal((await saved(viewer, 'download-entries')).text.split('\n').length, 3)
      const command = await byId(viewer, 'verify-command').textContent()
      assert.equal(
        command,
        `goligoli verify-draw lottery-${id}-proof.json lottery-${id}-entries.ndjson --opened lottery-${id}-opened.json --closed lottery-${id}-closed.json --receipt lottery-${id}-receipt.json`,
      )
    })

    await t.test('the command that the page shows comes to the same, with the files that it hands out', async (t) => {
      const { folder, run } = await handedOut(t, viewer)
      const { status, stdout, stderr } = run()
      assert.equal(status, 0, stdout + stderr)
      await writeFile(join(folder, `lottery-${id}-closed.json`), (await readFile(join(folder, `lottery-${id}-closed.json`), 'utf8')).replace(/"count":\d+/, '"count":7'))
      assert.equal(run().status, 1)
    })

    await t.test('who comes later gets the result, and can only say that it is consistent', async (t) => {
      const late = await browser.visitor(t, server, { locale, ...SMALL })
      await enter(late, room)
      await drawn(late)
      await byId(late, 'lottery-open').click()
      await byId(late, 'lottery-winners').getByText('Mei', { exact: true }).waitFor()
      await byId(late, 'lottery-verify').click()
      await late.locator('[data-testid=verify-drawer][data-outcome=consistent]').waitFor()
      await fits(late)
      await shot(late, `${locale}-late`)
    })

    await t.test('it is among one\'s own results and in the room\'s history; receipts can be taken along and brought back', async (t) => {
      await viewer.goto('/account')
      await viewer.locator('[data-testid=my-lottery][data-result=won]').waitFor()
      await fits(viewer)
      await shot(viewer, `${locale}-mine`)
      const kept = await saved(viewer, 'export-kept')
      const [one] = JSON.parse(kept.text).lotteries
      assert.deepEqual([one.lottery_id, one.opened.length, one.closed.length, one.receipts.length], [id, 1, 1, 1])
      const elsewhere = await browser.visitor(t, server, { locale, ...options })
      await elsewhere.goto('/')
      // Who has won would be told first.
      await logIn(elsewhere, (await Person.register(server, 'Wei')).name)
      await elsewhere.goto('/account')
      const file = { name: kept.name, mimeType: 'application/json', buffer: Buffer.from(kept.text) }
      await byId(elsewhere, 'import-kept').setInputFiles(file)
      await byId(elsewhere, 'kept').getByText(/[:：] ?3$|新增 3 /).waitFor()
      await byId(elsewhere, 'import-kept').setInputFiles({ ...file, buffer: Buffer.from('{}') })
      await byId(elsewhere, 'kept').locator('.refused').waitFor()
      await enter(elsewhere, room)
      await byId(elsewhere, 'show-lotteries').click()
      await byId(elsewhere, 'lottery-history').getByText('Midnight draw').click()
      await byId(elsewhere, 'lottery-verify').click()
      await elsewhere.locator('[data-testid=verify-drawer][data-outcome=agrees]').waitFor()
    })
  })
}

test('the keyword, conditions, calling off, several at once', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const [streamer, mei] = await people(t, server, ['Streamer', 'Mei', 'Li'])
  const room = await streamer.room('A room')
  const viewer = await inRoom(t, browser, server, room, 'Mei', { locale: 'zh-CN', ...PHONE })
  const other = await inRoom(t, browser, server, room, 'Li', DESKTOP)
  const overlay = await browser.visitor(t, server, { viewport: { width: 1920, height: 1080 } })
  await overlay.goto(`/rooms/${room.id}/overlay`)
  const without = await browser.visitor(t, server, { viewport: { width: 1920, height: 1080 } })
  await without.goto(`/rooms/${room.id}/overlay?lottery=0`)
  let keyword

  await t.test('the button posts the keyword, which is the entry', async () => {
    keyword = await lottery(streamer, room, { title: 'With a keyword', keyword: '冲鸭' })
    await card(viewer, 'open').waitFor()
    await shot(viewer, 'keyword')
    await viewer.getByRole('button', { name: '发送“冲鸭”参与' }).click()
    await joined(viewer).waitFor()
    await chatLine(other, '冲鸭').waitFor()
    assert.equal((await mei.ask('GET', `/lotteries/${keyword.id}/entries/me`)).receipt.n, 0)
  })

  await t.test('who types it is in, too, however it is typed', async () => {
    await say(other, ' 冲鸭 ')
    await joined(other).waitFor()
  })

  await t.test('the overlay shows it, unless its address says not to', async () => {
    await byId(overlay, 'overlay-lottery').getByText('冲鸭').waitFor()
    await until('two entrants', async () => /2/.test(await byId(overlay, 'overlay-lottery').innerText()))
    await shot(overlay, 'overlay')
    assert.equal(await byId(without, 'overlay-lottery').count(), 0)
  })

  await t.test('several are on at once; who has not posted is told so', async () => {
    const silent = await Person.register(server, 'Silent')
    const quiet = await inRoom(t, browser, server, room, silent.name, PHONE)
    await lottery(streamer, room, { title: 'For those who talk', posted: true })
    await until('two cards', async () => (await card(quiet, 'open').count()) === 2)
    await byId(quiet, 'lottery-open').nth(1).click()
    await dialog(quiet).getByTestId('lottery-join-button').click()
    await dialog(quiet).locator('[data-testid=lottery-join][data-state=barred]').waitFor()
    await fits(quiet)
    await shot(quiet, 'not-eligible')
    await quiet.keyboard.press('Escape')
    await shot(quiet, 'two')
    // Mei has posted the keyword, so she has said something.
    await card(viewer, 'open').nth(1).getByRole('button', { name: '参与抽奖' }).click()
    await until('both joined', async () => (await viewer.locator('[data-testid=lottery-join][data-state=joined]').count()) === 2)
  })

  await t.test('one is called off: everybody reads why', async () => {
    const host = await inRoom(t, browser, server, room, 'Streamer', DESKTOP)
    await byId(host, 'manage-button').click()
    const item = byId(host, 'desk-lottery').filter({ hasText: 'With a keyword' })
    await item.getByTestId('cancel-lottery').click()
    await item.getByTestId('cancel-reason').fill('The prize broke.')
    await shot(host, 'cancelling')
    await item.getByTestId('cancel-confirm').click()
    await card(viewer, 'cancelled').getByText('The prize broke.').waitFor()
    await byId(other, 'chat-notice').getByText('The prize broke.').waitFor()
    await byId(overlay, 'overlay-lottery').getByText('The prize broke.').waitFor()
    await shot(viewer, 'cancelled')
    assert.equal((await mei.ask('GET', `/lotteries/${keyword.id}/entries/me`)).result, 'cancelled')
  })
})

test('a rehearsal, a redraw, and a prize that waited while the tab was closed', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const [streamer, mei, li] = await people(t, server, ['Streamer', 'Mei', 'Li'])
  const room = await streamer.room('A room', { live: false })
  const host = await inRoom(t, browser, server, room, 'Streamer', DESKTOP)

  await t.test('before going live the streamer rehearses alone', async () => {
    await byId(host, 'manage-button').click()
    await byId(host, 'lottery-title').fill('Does it work?')
    await byId(host, 'lottery-prize').fill('nothing')
    await byId(host, 'lottery-test').check()
    await host.locator('input[name=lottery-minutes][value=own]').check({ force: true })
    await byId(host, 'lottery-own-minutes').fill('0.1')
    await byId(host, 'lottery-start').click()
    await byId(host, 'desk-lottery').first().waitFor()
    await host.keyboard.press('Escape')
    await card(host).getByText('Rehearsal').waitFor()
    await byId(host, 'lottery-join-button').click()
    await joined(host).waitFor()
    await drawn(host)
    await byId(host, 'winner-dialog').getByText('Rehearsal').waitFor()
    await shot(host, 'rehearsal')
    await byId(host, 'winner-close').click()
  })

  await t.test('a prize waits for who was away: the header says so, and it is declined there', async () => {
    await streamer.open(room)
    const made = await lottery(streamer, room, { title: 'While away', duration_s: 2, claim_s: 600 })
    await Promise.all([put(mei, made), put(li, made)])
    const { winners } = await until('the draw', async () => {
      const now = await streamer.ask('GET', `/lotteries/${made.id}`)
      return now.phase === 'drawn' && now
    }, DRAWN_WITHIN_MS)
    const winner = winners[0].name
    const page = await browser.visitor(t, server, { ...SMALL, locale: 'en-US' })
    await page.goto('/')
    await logIn(page, winner)
    await byId(page, 'prizes-waiting').getByText('1').waitFor()
    await fits(page)
    await page.goto('/account')
    await byId(page, 'decline-prize').click()
    await shot(page, 'waiting')
    await byId(page, 'decline-confirm').click()
    await page.locator('[data-testid=my-lottery][data-result=replaced]').waitFor()
    await byId(page, 'prizes-waiting').waitFor({ state: 'detached' })
    const after = await streamer.ask('GET', `/lotteries/${made.id}`)
    assert.deepEqual([after.winners.length, after.replaced.length], [1, 1])
    assert.notEqual(after.winners[0].name, winner)
  })

  await t.test('who does not claim in time is redrawn, and all of it still agrees', async () => {
    const made = await lottery(streamer, room, { title: 'Unclaimed', duration_s: 3, claim_s: 1 })
    await card(host).filter({ hasText: 'Unclaimed' }).waitFor()
    await Promise.all([put(mei, made), put(li, made)])
    await card(host, 'drawn').filter({ hasText: 'Unclaimed' }).waitFor({ timeout: DRAWN_WITHIN_MS })
    await byId(host, 'manage-button').click()
    const item = byId(host, 'desk-lottery').filter({ hasText: 'Unclaimed' })
    await item.getByTestId('redraw').click()
    await shot(host, 'redraw')
    await item.getByTestId('redraw-confirm').click()
    await until('the redraw', async () => (await streamer.ask('GET', `/lotteries/${made.id}`)).replaced.length === 1)
    const csv = await saved(host, item.getByTestId('export-winners'))
    assert.match(csv.text, /place,prize,name,account,entry,claimed\r\n1,tea,(Mei|Li),\d+,[12],no\r\n/)
    await host.keyboard.press('Escape')
    await card(host, 'drawn').filter({ hasText: 'Unclaimed' }).getByTestId('lottery-open').click()
    await byId(host, 'lottery-verify').click()
    await host.locator('[data-testid=verify-drawer][data-outcome=agrees]').waitFor()
  })
})
