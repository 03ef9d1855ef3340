/**
 * Who is signed in. The tokens are in HttpOnly cookies, so the page only knows when the
 * access token ends; that moment is kept in localStorage, shared by all tabs. Nothing
 * stored there means nobody is signed in, and guests ask the server nothing.
 */
import { readonly, ref } from 'vue'
import { Problem, ask, call, renewWith } from '../api/call'
import type { Account, LoggedIn } from '../api/contract'

const EXPIRY = 'goligoli.access-expires-ms'
/** Renew this long before the access token ends. */
const AHEAD_MS = 60_000

const current = ref<Account | null>(null)
const settled = ref(false)
const lost = ref(false)

/** The account, or null for a guest. */
export const account = readonly(current)
/** It is known whether somebody is signed in. */
export const accountSettled = readonly(settled)
/** The log-in ended without this tab asking for it; the page says so until it is dismissed. */
export const signInLost = lost

let timer = 0

export async function register(name: string, password: string): Promise<void> {
  await enter('/users', name, password)
}

export async function logIn(name: string, password: string): Promise<void> {
  await enter('/auth/login', name, password)
}

export async function logOut(): Promise<void> {
  await call('POST', '/auth/logout').catch((problem) => {
    // Already out is out; anything else is told, the cookies are still there.
    if (!(problem instanceof Problem) || problem.code !== 'not-signed-in') throw problem
  })
  forget()
}

/** Called once at start: picks up the log-in of an earlier visit. */
export async function resumeSignIn(): Promise<void> {
  renewWith(renew)
  window.addEventListener('storage', (change) => {
    if (change.key === EXPIRY) void followOtherTab()
  })
  document.addEventListener('visibilitychange', schedule)
  try {
    if (expiryMs() === 0) return
    if (expiryMs() - Date.now() > AHEAD_MS) current.value = await call<Account>('GET', '/me')
    else await renew()
    schedule()
  } catch (problem) {
    if (problem instanceof Problem && problem.code === 'not-signed-in') forget()
  } finally {
    settled.value = true
  }
}

/** The server ended the log-in. */
export function dropSignIn(): void {
  if (current.value) lost.value = true
  forget()
}

export function setAccount(changed: Account): void {
  current.value = changed
}

let renewing: Promise<boolean> | null = null

/** A new access token, asked for once however many requests wait for it. False: signed out. */
export function renew(): Promise<boolean> {
  renewing ??= acrossTabs(renewOnce).finally(() => (renewing = null))
  return renewing
}

async function renewOnce(): Promise<boolean> {
  if (expiryMs() === 0) return false
  const before = askedAt
  // Another tab may have renewed while this one waited for the lock.
  if (expiryMs() - Date.now() > AHEAD_MS && expiryMs() !== before) {
    current.value ??= (await ask<Account>('GET', '/me')).value
    askedAt = expiryMs()
    return true
  }
  try {
    const { value, serverTimeMs } = await ask<LoggedIn>('POST', '/auth/refresh', { body: { cookie: true } })
    keep(value, serverTimeMs)
    return true
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.code === 'offline') throw problem
    if (['bad-refresh-token', 'not-signed-in'].includes(problem.code)) {
      dropSignIn()
      return false
    }
    throw problem
  }
}

/** The expiry this tab last saw; a different one in storage is another tab's work. */
let askedAt = expiryMs()

async function acrossTabs(work: () => Promise<boolean>): Promise<boolean> {
  return navigator.locks ? navigator.locks.request('goligoli.renew', work) : work()
}

async function enter(path: string, name: string, password: string): Promise<void> {
  const body = { name, password, device_name: deviceName(), cookie: true }
  const { value, serverTimeMs } = await ask<LoggedIn>('POST', path, { body })
  lost.value = false
  keep(value, serverTimeMs)
}

function keep(loggedIn: LoggedIn, serverTimeMs: number): void {
  // On this machine's clock, which may be wrong.
  const expiry = Date.now() + Date.parse(loggedIn.access_expires_at) - serverTimeMs
  localStorage.setItem(EXPIRY, String(Math.round(expiry)))
  askedAt = expiryMs()
  current.value = loggedIn.account
  schedule()
}

function forget(): void {
  localStorage.removeItem(EXPIRY)
  askedAt = 0
  current.value = null
  window.clearTimeout(timer)
}

function expiryMs(): number {
  return Number(localStorage.getItem(EXPIRY)) || 0
}

/** While the tab is looked at, the token is renewed before it ends. */
function schedule(): void {
  window.clearTimeout(timer)
  if (document.visibilityState !== 'visible' || expiryMs() === 0) return
  const wait = Math.max(0, expiryMs() - AHEAD_MS - Date.now())
  timer = window.setTimeout(() => {
    renew()
      .catch(() => {})
      .then(() => {
        window.clearTimeout(timer)
        timer = window.setTimeout(schedule, 10_000)
      })
  }, wait)
}

async function followOtherTab(): Promise<void> {
  if (expiryMs() === 0) return forget()
  askedAt = expiryMs()
  const me = await ask<Account>('GET', '/me').catch(() => null)
  if (me) current.value = me.value
  schedule()
}

/** What this device calls itself in the list of devices. */
function deviceName(): string {
  const agent = navigator.userAgent
  const browser = /Edg\/|OPR\/|Firefox\/|Chrome\/|Safari\//.exec(agent)?.[0].replace('/', '') ?? 'Browser'
  const system = /Android|iPhone|iPad|Windows|Mac OS X|Linux/.exec(agent)?.[0] ?? ''
  return `${browser.replace('Edg', 'Edge').replace('OPR', 'Opera')} ${system}`.trim()
}
