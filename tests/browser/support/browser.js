/** Chromium, and visitors in it. Whatever a page complains about fails the test. */
import assert from 'node:assert/strict'
import { chromium } from 'playwright-core'
import { PASSWORD } from './api.js'
import { atEnd } from './at-end.js'

const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
]
/** Chromium itself reports each refused request so; what the page makes of it is tested. */
const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/
/** The same while the server is away. */
const AWAY = /^Failed to load resource: net::ERR_(CONNECTION|INCOMPLETE|EMPTY)|net::ERR_INCOMPLETE_CHUNKED_ENCODING/

export class Browser {
  /** One for all tests of a file. */
  static async start(t) {
    const browser = new Browser(await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ARGS }))
    atEnd(t, () => browser.chromium.close())
    return browser
  }

  constructor(chromium) {
    this.chromium = chromium
  }

  /**
   * A visitor with cookies and storage of their own. `serverGoesAway`: the test stops the
   * server, so that broken connections are no defect.
   */
  async visitor(t, server, { serverGoesAway = false, ...options } = {}) {
    const context = await this.chromium.newContext({ baseURL: server.url, locale: 'en-US', viewport: { width: 1280, height: 800 }, ...options })
    context.setDefaultTimeout(10_000)
    const complaints = []
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`))
    })
    context.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return
      const text = message.text()
      if (REFUSED.test(text) || (serverGoesAway && AWAY.test(text))) return
      complaints.push(`${message.type()} on ${message.page()?.url()}: ${text}`)
    })
    context.on('weberror', (error) => complaints.push(`error: ${error.error().stack}`))
    context.on('dialog', (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    atEnd(t, async () => {
      await context.close()
      assert.deepEqual(complaints, [], 'nothing is wrong on the page')
    })
    return context.newPage()
  }
}

export const byId = (page, id) => page.getByTestId(id)

/** Makes an account in the page, as a person does it. */
export async function register(page, name) {
  await byId(page, 'login-button').click()
  await byId(page, 'auth-switch').click()
  await fillIn(page, name)
}

export async function logIn(page, name) {
  await byId(page, 'login-button').click()
  await fillIn(page, name)
}

async function fillIn(page, name) {
  await byId(page, 'auth-name').fill(name)
  await byId(page, 'auth-password').fill(PASSWORD)
  await byId(page, 'auth-submit').click()
  await byId(page, 'account-name').getByText(name, { exact: true }).waitFor()
}

/** Goes into a room and waits until its stream is there. */
export async function enter(page, room) {
  await page.goto(`/rooms/${room.id}`)
  await online(page)
}

export const online = (page) => page.locator('[data-testid=connection-state][data-state=online]').waitFor({ state: 'attached' })

/** Types a line and sends it. */
export async function say(page, text) {
  await byId(page, 'send-input').fill(text)
  await byId(page, 'send-button').click()
}

/** A line in the chat list. */
export const chatLine = (page, text) => byId(page, 'chat-list').getByTestId('chat-text').getByText(text, { exact: true })

/** A line that flies. */
export const flying = (page, text) => byId(page, 'danmaku-layer').getByText(text, { exact: true })

/** Nothing reaches beyond the window's sides. */
export async function fits(page) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  assert.ok(content <= window, `${page.url()} is ${content} px wide in a window of ${window} px`)
}
