/** A streamer and a viewer, each in a browser of their own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser, byId, chatLine, enter, fits, flying, online, register, say } from './support/browser.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

test('what the viewer types flies over the streamer\'s picture, and the other way round', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await browser.visitor(t, server)
  const viewer = await browser.visitor(t, server, { locale: 'zh-CN', viewport: { width: 375, height: 812 } })

  await t.test('the streamer registers, makes a room and goes on air', async () => {
    await streamer.goto('/')
    await register(streamer, 'Streamer')
    await byId(streamer, 'create-room').first().click()
    await byId(streamer, 'room-title-input').fill('The evening show')
    await byId(streamer, 'create-room-submit').click()
    await streamer.waitForURL(/\/rooms\/\d+$/)
    await online(streamer)
    await streamer.getByText('Not live yet').waitFor()
    await byId(streamer, 'manage-button').click()
    await byId(streamer, 'open-session').click()
    await byId(streamer, 'close-session').waitFor()
    await streamer.keyboard.press('Escape')
    await byId(streamer, 'close-session').waitFor({ state: 'detached' })
    await streamer.getByText('Not live yet').waitFor({ state: 'detached' })
  })

  await t.test('the viewer finds the room in the list and reads Chinese, on a phone', async () => {
    await viewer.goto('/')
    await fits(viewer)
    await viewer.getByText('正在直播').waitFor()
    await byId(viewer, 'room-card').filter({ hasText: 'The evening show' }).click()
    await online(viewer)
    await register(viewer, '小明')
    await online(viewer)
    await fits(viewer)
  })

  await t.test('both see how many watch', async () => {
    for (const page of [streamer, viewer]) {
      await until('two viewers', async () => (await byId(page, 'viewer-count').getAttribute('data-value')) === '2')
    }
  })

  await t.test('a line of the viewer reaches both, once', async () => {
    await say(viewer, '晚上好，主播！')
    await flying(streamer, '晚上好，主播！').waitFor({ state: 'attached' })
    await chatLine(streamer, '晚上好，主播！').waitFor()
    await flying(viewer, '晚上好，主播！').waitFor({ state: 'attached' })
    assert.equal(await byId(viewer, 'send-input').inputValue(), '', 'the box is free for the next line')
  })

  await t.test('a line of the streamer reaches both, marked as theirs', async () => {
    await say(streamer, 'Good evening!')
    await flying(viewer, 'Good evening!').waitFor({ state: 'attached' })
    const line = byId(viewer, 'chat-line').filter({ hasText: 'Good evening!' })
    await line.getByText('主播', { exact: true }).waitFor()
    // This line came by the same stream after the first, so a second copy of that would be here by now.
    for (const page of [streamer, viewer]) {
      assert.deepEqual(await byId(page, 'chat-text').allTextContents(), ['晚上好，主播！', 'Good evening!'])
      assert.equal(await flying(page, 'Good evening!').count(), 1)
    }
  })

  await t.test('the language changes at once, and is kept', async () => {
    await byId(viewer, 'language-switch').click()
    await viewer.getByPlaceholder('Say something').waitFor()
    await viewer.reload()
    await viewer.getByPlaceholder('Say something').waitFor()
    assert.equal(await viewer.locator('html').getAttribute('lang'), 'en')
    await byId(viewer, 'language-switch').click()
    await viewer.locator('html[lang=zh-CN]').waitFor({ state: 'attached' })
  })

  await t.test('who comes later reads what was said; nothing old flies', async (t) => {
    const late = await browser.visitor(t, server)
    await enter(late, { id: streamer.url().split('/').at(-1) })
    await chatLine(late, '晚上好，主播！').waitFor()
    assert.equal(await flying(late, '晚上好，主播！').count(), 0)
  })

  await t.test('the broadcast ends for both', async () => {
    await byId(streamer, 'manage-button').click()
    await byId(streamer, 'close-session').click()
    await byId(streamer, 'close-session-confirm').click()
    await viewer.getByText('直播已结束').first().waitFor()
    assert.ok(await byId(viewer, 'send-input').isDisabled())
  })
})
