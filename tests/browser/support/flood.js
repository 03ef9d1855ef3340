/** So many lines a second, evenly, by several people. (`fetch` would need a core for it.) */
import { randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { atEnd } from './at-end.js'

const STEP_MS = 20
/** What is not answered by then waits; the rate that was reached is told. */
const MOST_WAITING = 512

export class Flood {
  static start(t, server, crowd, room, rate, textOf) {
    const flood = new Flood(server, crowd, room, rate, textOf)
    atEnd(t, () => flood.stop())
    return flood
  }

  constructor(server, crowd, room, rate, textOf = (n) => `line ${n} of a flood, ${'哈'.repeat(n % 9)}`) {
    this.url = new URL(`/api/v1/rooms/${room.id}/danmaku`, server.url)
    this.agent = new Agent({ keepAlive: true, maxSockets: 64 })
    this.crowd = crowd
    this.perS = rate
    this.textOf = textOf
    this.sent = this.taken = this.waiting = 0
    this.startedAt = this.ratedAt = performance.now()
    this.timer = setInterval(() => this.step(), STEP_MS)
  }

  step() {
    const due = Math.floor(((performance.now() - this.startedAt) / 1000) * this.perS)
    for (; this.sent < due && this.waiting < MOST_WAITING; this.sent++) this.post(this.sent)
  }

  post(n) {
    const person = this.crowd[n % this.crowd.length]
    const headers = { authorization: `Bearer ${person.token}`, 'content-type': 'application/json', 'idempotency-key': `"${randomUUID()}"` }
    this.waiting += 1
    const posted = request(this.url, { method: 'POST', agent: this.agent, headers }, (answer) => {
      answer.resume().on('end', () => {
        this.waiting -= 1
        this.taken += answer.statusCode === 201 ? 1 : 0
      })
    })
    posted.on('error', () => (this.waiting -= 1))
    posted.end(JSON.stringify({ text: this.textOf(n), mode: 'scroll', color: n % 7 ? '#FFFFFF' : '#FFD302', size: 'standard' }))
  }

  /** Taken a second, since this was asked last. */
  rate() {
    const now = performance.now()
    const rate = (this.taken * 1000) / (now - this.ratedAt)
    this.taken = 0
    this.ratedAt = now
    return rate
  }

  async stop() {
    clearInterval(this.timer)
    while (this.waiting > 0) await new Promise((go) => setTimeout(go, 20))
    this.agent.destroy()
  }
}
