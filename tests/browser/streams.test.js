/** Clients that others wrote follow a room through restarts: nothing twice, nothing out of order, nothing lost unsaid. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chromium } from './clients/chromium.js'
import { curl } from './clients/curl.js'
import { npm } from './clients/npm.js'
import { python } from './clients/python.js'
import { Person } from './support/api.js'
import { Browser } from './support/browser.js'
import { Poster } from './support/poster.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const SETTINGS = {
  GOLIGOLI_PUSH__RATE_PER_S: '10000',
  GOLIGOLI_PUSH__BURST: '10000',
  // So that positions also advance without events.
  GOLIGOLI_PUSH__HEARTBEAT_MS: '500',
}
const of = (name, events) => events.filter((event) => event.event === name)
const ids = (events) => of('danmaku', events).map(({ data }) => JSON.parse(data).id)

async function clientsOf(t) {
  return { curl, 'Chromium': chromium(await Browser.start(t)), 'npm eventsource': npm, 'httpx-sse': python }
}

test('clients resume', async (t) => {
  const server = await Server.start(t, SETTINGS)
  const clients = await clientsOf(t)
  const streamer = await Person.register(server, 'Streamer')
  const viewers = []
  for (const name of ['Ann', 'Ben', 'Cai']) viewers.push(await Person.register(server, name))

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await t.test(`after ${signal}, while others post`, async (t) => {
      const room = await streamer.room(`A room that survives ${signal}`)
      const path = `/api/v1/rooms/${room.id}/events`
      const followers = {}
      for (const [name, client] of Object.entries(clients)) followers[name] = await client(t, server, path)
      const all = async (what, holds) => {
        for (const [name, { seen }] of Object.entries(followers)) await until(`${name} to see ${what}`, async () => holds(await seen()), 20_000)
      }
      await all('the room', (seen) => of('hello', seen).length === 1)
      const start = of('hello', await followers.curl.seen())[0].id

      const poster = Poster.start(t, viewers, room)
      await all('lines', (seen) => ids(seen).length >= 20)
      const cutAt = Date.now()
      await server.restart(signal)
      const before = poster.posts.length
      await until('lines after the restart', () => poster.posts.length >= before + 20)
      await poster.stop()
      const end = await streamer.say(room, 'the end')
      await all('the end', (seen) => ids(seen).includes(end.id))

      // Who comes now and asks for all of it gets what the feed holds.
      const late = await curl(t, server, path, { lastEventId: start })
      await until('the feed to be read', async () => ids(await late.seen()).includes(end.id))
      const feed = ids(await late.seen())
      assert.equal(new Set(feed).size, feed.length, 'nothing is in the feed twice')

      for (const [name, { seen }] of Object.entries(followers)) {
        await t.test(name, async () => {
          const events = await seen()
          assert.deepEqual(ids(events), feed, 'each line once, in the feed\'s order')
          assert.equal(of('gap', events).length, 0)
          const welcomes = of('welcome', events).map(({ data }) => JSON.parse(data).resumed)
          assert.deepEqual(welcomes.slice(0, 2), [false, true])
          assert.equal(of('hello', events).length, 1, 'who resumes needs no second beginning')
        })
      }

      await t.test('what was acknowledged', async () => {
        const live = new Set(feed)
        const unseen = poster.posts.filter((post) => !live.has(post.id))
        // A killed process forgets what it had stored but not yet announced: that is in the history only.
        const excused = signal === 'SIGKILL' ? unseen.filter((post) => post.startedAt <= cutAt && post.acknowledgedAt > cutAt - 500) : []
        assert.deepEqual(unseen, excused, 'was shown live')
        // …and those are the last ones: nothing was lost in the middle.
        const first = Math.min(...unseen.map(({ id }) => Number(id)))
        const later = poster.posts.filter((post) => Number(post.id) > first && post.acknowledgedAt <= cutAt)
        assert.deepEqual(later.filter(({ id }) => live.has(id)), [], 'was overtaken by what was lost')
        const stored = await poster.history()
        for (const { id } of poster.posts) assert.equal(stored.filter((other) => other === id).length, 1, `line ${id} is stored once`)
        for (const id of feed) assert.ok(stored.includes(id))
      })
    })
  }
})

test('a position that is no longer held gives one gap that says exactly how much is missing', async (t) => {
  const kept = 20
  const server = await Server.start(t, { ...SETTINGS, GOLIGOLI_PUSH__KEEP_EVENTS: String(kept) })
  const clients = await clientsOf(t)
  const streamer = await Person.register(server, 'Streamer')
  // A viewer speaks: a streamer's lines may overtake each other in the feed's two lanes.
  const mei = await Person.register(server, 'Mei')
  const room = await streamer.room('A forgetful room')
  const path = `/api/v1/rooms/${room.id}/events`
  // Was there all the time, and so knows every event that has a position.
  const witness = await curl(t, server, path)
  await until('the room', async () => of('hello', await witness.seen()).length === 1)
  await mei.say(room, 'the last line seen')
  await until('it', async () => ids(await witness.seen()).length === 1)
  const lastEventId = of('danmaku', await witness.seen())[0].id
  for (let n = 0; n < 50; n++) await mei.say(room, `line ${n}`)
  await until('all of them', async () => ids(await witness.seen()).length === 51)

  for (const [name, client] of Object.entries(clients)) {
    await t.test(name, async (t) => {
      const { seen } = await client(t, server, path, { lastEventId })
      await until('the gap', async () => of('hello', await seen()).length === 1)
      const next = (await mei.say(room, `after ${name} came`)).id
      await until('the next line', async () => ids(await seen()).includes(next) && ids(await witness.seen()).includes(next))
      const events = await seen()
      const all = positioned(await witness.seen())
      const got = positioned(events)
      assert.ok(got.length >= kept, `${got.length} events of ${kept} that are kept`)
      assert.deepEqual(got, all.slice(all.findIndex(({ id }) => id === got[0].id)).slice(0, got.length), 'all that is left, in order')
      const missed = all.slice(all.findIndex(({ id }) => id === lastEventId) + 1, all.findIndex(({ id }) => id === got[0].id))
      const gaps = of('gap', events).map(({ data }) => JSON.parse(data))
      assert.deepEqual(gaps.map(({ n }) => n), [missed.length], 'one gap, exact')
      assert.deepEqual(of('welcome', events).map(({ data }) => JSON.parse(data).resumed), [false])
      assert.equal(of('hello', events).length, 1)
      // What is missing is where the gap's cursors say. (What the feed forgot long ago has no beginning there.)
      const { from, to } = gaps[0]
      const where = from === null ? `before=${encodeURIComponent(to)}` : `after=${encodeURIComponent(from)}`
      const history = await streamer.ask('GET', `/rooms/${room.id}/danmaku?${where}&limit=200`)
      const found = history.items.map((danmaku) => danmaku.id)
      for (const id of ids(missed)) assert.ok(found.includes(id), `line ${id} is in the history of the gap`)
    })
  }
})

/** The events of the feed; the others are said to one client alone. */
function positioned(events) {
  return events.filter(({ event }) => !['welcome', 'hello', 'viewers', 'gap', 'bye'].includes(event)).map(({ id, event, data }) => ({ id, event, data }))
}
