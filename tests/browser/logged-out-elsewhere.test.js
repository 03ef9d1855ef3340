/** Who logs a device out from another one ends what that device does, not only what it may. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Person } from './support/api.js'
import { Browser, byId, enter, logIn, register, say } from './support/browser.js'
import { Server } from './support/server.js'

test('a device that is logged out from another one is cut off within five seconds, and says so', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const room = await (await Person.register(server, 'Streamer')).room('A room')
  const laptop = await browser.visitor(t, server)
  const phone = await browser.visitor(t, server, { viewport: { width: 375, height: 812 } })

  await phone.goto('/')
  await register(phone, 'Mei')
  await enter(phone, room)
  await laptop.goto('/')
  await logIn(laptop, 'Mei')

  await laptop.goto('/account')
  await laptop.getByText('this device').waitFor()
  const others = laptop.getByRole('listitem').filter({ hasNotText: 'this device' })
  assert.equal(await others.count(), 1)
  await others.getByRole('button', { name: 'Log out' }).click()
  const cutAt = Date.now()
  await phone.getByText('Your log-in has ended').waitFor({ timeout: 5_000 })
  assert.ok(Date.now() - cutAt < 5_000)
  await byId(phone, 'account-name').waitFor({ state: 'detached' })
  await byId(phone, 'join-button').waitFor()
  await others.waitFor({ state: 'detached' })

  // The other device is still in, and the same account may come back.
  await laptop.goto('/account')
  await byId(laptop, 'account-name').waitFor()
  await phone.getByRole('alert').getByRole('button', { name: 'Close' }).click()
  await logIn(phone, 'Mei')
  await say(phone, 'back again')
  await byId(phone, 'chat-text').getByText('back again').waitFor()
})

test('a new password logs all other devices out', async (t) => {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const room = await (await Person.register(server, 'Streamer')).room('A room')
  const [laptop, phone] = [await browser.visitor(t, server), await browser.visitor(t, server)]
  await phone.goto('/')
  await register(phone, 'Mei')
  await enter(phone, room)
  await laptop.goto('/account')
  await logIn(laptop, 'Mei')
  await laptop.getByLabel('Current password').fill('a long enough password')
  await laptop.getByLabel('New password').fill('another long password')
  await laptop.getByRole('button', { name: 'Change password' }).click()
  await laptop.getByText('All other devices are logged out').waitFor()
  await phone.getByText('Your log-in has ended').waitFor({ timeout: 5_000 })
})
