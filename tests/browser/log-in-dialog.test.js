/** The button says what the dialog is for, whatever it was last used for. */
import { test } from 'node:test'
import { Browser, byId } from './support/browser.js'
import { Server } from './support/server.js'

test('logging in and registering open the same dialog, each as itself', async (t) => {
  const server = await Server.start(t)
  const page = await (await Browser.start(t)).visitor(t, server)
  const titled = (title) => page.getByRole('dialog', { name: title }).waitFor()
  await page.goto('/')
  await byId(page, 'register-button').click()
  await titled('Join goligoli')
  await page.keyboard.press('Escape')
  await byId(page, 'login-button').click()
  await titled('Welcome back')
  await byId(page, 'auth-switch').click()
  await titled('Join goligoli')
  await page.keyboard.press('Escape')
  await byId(page, 'login-button').click()
  await titled('Welcome back')
})
