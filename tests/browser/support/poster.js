/** Several people who post without a pause and repeat what was not acknowledged, under the same key. */
import { randomUUID } from 'node:crypto'
import { atEnd } from './at-end.js'

const PAUSE_MS = 20

export class Poster {
  static start(t, people, room) {
    const poster = new Poster(people, room)
    atEnd(t, () => poster.stop())
    return poster
  }

  constructor(people, room) {
    this.people = people
    this.room = room
    /** What was acknowledged, in this order. */
    this.posts = []
    this.stopped = false
    this.loops = people.map((person) => this.post(person))
  }

  async post(person) {
    for (let n = 0; !this.stopped; n++) {
      const key = randomUUID()
      const startedAt = Date.now()
      for (let id = null; id === null; ) {
        id = await person.say(this.room, `${person.name} ${n}`, { key }).then((danmaku) => danmaku.id, (error) => {
          // No answer, or one of a process that stops.
          if (error.status === undefined || error.status === 503) return null
          throw error
        })
        if (id !== null) this.posts.push({ id, startedAt, acknowledgedAt: Date.now() })
        await new Promise((go) => setTimeout(go, PAUSE_MS))
      }
    }
  }

  async stop() {
    this.stopped = true
    await Promise.all(this.loops)
  }

  /** The ids of all that is stored. */
  async history() {
    const stored = []
    for (let before = ''; before !== null; ) {
      const page = await this.people[0].ask('GET', `/rooms/${this.room.id}/danmaku?limit=200${before && `&before=${encodeURIComponent(before)}`}`)
      stored.push(...page.items.map((danmaku) => danmaku.id))
      before = page.items.length > 0 ? page.before_cursor : null
    }
    return stored
  }
}
