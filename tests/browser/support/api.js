/** People who act through the API, so that a test's page shows only what the test is about. */
import { randomUUID } from 'node:crypto'

export const PASSWORD = 'a long enough password'

export class Person {
  static async register(server, name, device_name = 'a test') {
    const person = new Person(server, name)
    const { account, access_token } = await person.ask('POST', '/users', { name, password: PASSWORD, device_name })
    return Object.assign(person, { id: account.id, token: access_token })
  }

  constructor(server, name) {
    this.server = server
    this.name = name
  }

  /** The answer's body; a refusal throws it. */
  async ask(method, path, body, key) {
    const headers = { accept: 'application/json' }
    if (this.token) headers.authorization = `Bearer ${this.token}`
    if (body !== undefined) headers['content-type'] = 'application/json'
    if (key) headers['idempotency-key'] = key
    const response = await fetch(`${this.server.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) })
    const text = await response.text()
    if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { status: response.status })
    return text ? JSON.parse(text) : undefined
  }

  /** A room, on air unless it is said otherwise. */
  async room(title, { live = true, ...text } = {}) {
    const room = await this.ask('POST', '/rooms', { title, category: '', description: '', ...text })
    if (live) await this.open(room)
    return room
  }

  open = (room) => this.ask('POST', `/rooms/${room.id}/sessions`)
  rules = (room, rules) => this.ask('PUT', `/rooms/${room.id}/rules`, { slow_mode_s: 0, mute_all: false, guests: true, ...rules })
  mute = (room, person, span) => this.ask('PUT', `/rooms/${room.id}/mutes/${person.id}`, { span })

  async close(room) {
    const { session } = await this.ask('GET', `/rooms/${room.id}`)
    await this.ask('POST', `/rooms/${room.id}/sessions/${session.id}/close`)
  }

  say(room, text, { key = randomUUID(), ...style } = {}) {
    return this.ask('POST', `/rooms/${room.id}/danmaku`, { text, mode: 'scroll', color: '#FFFFFF', size: 'standard', ...style }, key)
  }
}
