/**
 * How a room's page bears a flood: node measure-load.js [DANMAKU_PER_S] [SECONDS]
 *
 * First quiet, then under load, then in a hidden tab, and quiet again, in one run: frames,
 * the longest time without one, the main thread's CPU time, rows and elements, and the heap
 * after a collection. Run it while nothing else runs: server, crowd and browser share the machine.
 */
import { Person } from './support/api.js'
import { Browser, byId, enter } from './support/browser.js'
import { Flood } from './support/flood.js'
import { hideable } from './support/hideable.js'
import { Server } from './support/server.js'

const RATE = Number(process.argv[2] ?? 1000)
const SECONDS = Number(process.argv[3] ?? 60)
const PEOPLE = 50

let end = async () => {}
const t = { after: (all) => (end = all) }
try {
  await measure()
} finally {
  await end()
}

async function measure() {
  const server = await Server.start(t)
  const browser = await Browser.start(t)
  const streamer = await Person.register(server, 'Streamer')
  const crowd = []
  for (let n = 0; n < PEOPLE; n++) crowd.push(await Person.register(server, `Person${n}`))
  const room = await streamer.room('A room in flood')
  await streamer.rules(room, { danmaku_per_s: RATE })
  const page = await browser.visitor(t, server, { viewport: { width: 1280, height: 800 } })
  const tab = await hideable(page)
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' })
  await enter(page, room)

  report('quiet', await watch(page, cdp, 5))
  const flood = Flood.start(t, server, crowd, room, RATE)
  await watch(page, cdp, 3)
  for (let part = 1; part <= 3; part++) report(`flood ${part}/3`, await watch(page, cdp, SECONDS / 3), flood.rate())
  await tab.hide()
  report('hidden', await watch(page, cdp, SECONDS / 3), flood.rate())
  await tab.show()
  report('shown', await watch(page, cdp, 3), flood.rate())
  await flood.stop()
  report('after', await watch(page, cdp, 3))
}

async function metrics(cdp) {
  const { metrics } = await cdp.send('Performance.getMetrics')
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]))
}

async function watch(page, cdp, seconds) {
  const before = await metrics(cdp)
  const frames = await page.evaluate(
    async (ms) => {
      const gaps = []
      let last = performance.now()
      const end = last + ms
      let timer = 0
      const frame = () => {
        const now = performance.now()
        gaps.push(now - last)
        last = now
        timer = requestAnimationFrame(frame)
      }
      timer = requestAnimationFrame(frame)
      await new Promise((go) => setTimeout(go, end - last))
      cancelAnimationFrame(timer)
      gaps.sort((a, b) => a - b)
      const part = (p) => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * p))] ?? 0
      return { fps: (gaps.length * 1000) / ms, p50: part(0.5), p99: part(0.99), longest: part(1) }
    },
    seconds * 1000,
  )
  const after = await metrics(cdp)
  await cdp.send('HeapProfiler.collectGarbage')
  const { JSHeapUsedSize } = await metrics(cdp)
  const share = (name) => (100 * (after[name] - before[name])) / (after.Timestamp - before.Timestamp)
  return {
    ...frames,
    heap: JSHeapUsedSize / 2 ** 20,
    elements: await page.evaluate(() => document.querySelectorAll('*').length),
    rows: await byId(page, 'chat-line').count(),
    flying: await byId(page, 'danmaku-layer').locator('[data-id]').count(),
    task: share('TaskDuration'),
    script: share('ScriptDuration'),
    layout: share('LayoutDuration'),
    style: share('RecalcStyleDuration'),
  }
}

function report(what, seen, rate = 0) {
  const { fps, p50, p99, longest, task, script, layout, style, heap, elements, rows, flying } = seen
  console.log(
    `${what.padEnd(10)} ${rate.toFixed(0).padStart(5)}/s  frames ${fps.toFixed(1).padStart(5)}/s p50 ${p50.toFixed(0)} p99 ${p99.toFixed(0)} longest ${longest.toFixed(0)} ms  ` +
      `main thread ${task.toFixed(0)} % (script ${script.toFixed(0)}, layout ${layout.toFixed(0)}, style ${style.toFixed(0)})  ` +
      `heap ${heap.toFixed(1)} MiB  elements ${elements}  rows ${rows}  flying ${flying}`,
  )
}
