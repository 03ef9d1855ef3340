/** Takes the README's pictures from a running demo: node screenshots.js FOLDER */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Person } from './support/api.js'
import { Browser, byId, enter, logIn } from './support/browser.js'
import { clickTimeline } from './support/replays.js'
import { Server } from './support/server.js'
import { until } from './support/until.js'

const MOST_BYTES = 600_000
/** The demo's file is four minutes long and has three busy moments. */
const BUSY_WITHIN_MS = 300_000
const DESKTOP = { viewport: { width: 1440, height: 900 } }
const PHONE = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }
const OTHER_ROOMS = [
  { title: '雨夜钢琴 · 点歌', category: '音乐', owner: '阿澈', live: true },
  { title: 'Speedrun Saturday', category: 'games', owner: 'marlow', live: true },
  { title: '深夜食堂：今天做担担面', category: '美食', owner: '小满', live: true },
  { title: 'Bouldering, first try', category: 'sports', owner: 'Ines', live: false },
  { title: '一起自习到十二点', category: '学习', owner: '南山', live: true },
  { title: 'Synth repair bench', category: 'making', owner: 'Okabe', live: false },
  { title: '看月亮，聊聊天', category: '夜聊', owner: '桂花糕', live: false },
]

let end = async () => {}
const t = { after: (all) => (end = all) }
const folder = process.argv[2]
await mkdir(folder, { recursive: true })
try {
  await takePictures()
} finally {
  await end()
}

async function takePictures() {
  const server = await Server.start(t, {}, ['demo', '--watchers', '140'])
  const room = { id: /\/rooms\/(\d+)/.exec(server.log)[1] }
  for (const { owner, live, ...text } of OTHER_ROOMS) await (await Person.register(server, owner)).room(text.title, { ...text, live })

  const browser = await Browser.start(t)
  const open = async (options, path) => {
    const page = await browser.visitor(t, server, options)
    await page.goto(path)
    return page
  }
  /** Somebody in the room, who has typed a line and not sent it yet. */
  const visitor = async (name, text, options) => {
    await Person.register(server, name)
    const page = await open(options, '/')
    await logIn(page, name)
    await enter(page, room)
    await byId(page, 'send-input').fill(text)
    return page
  }

  const stages = [
    [await visitor('lanterne', 'so many stars', { ...DESKTOP, locale: 'en-US' }), 'room-en', 24],
    [await visitor('林间小鹿', '星星好多！', { ...DESKTOP, locale: 'zh-CN' }), 'room-zh', 24],
    [await visitor('moss', 'on my way home', { ...PHONE, locale: 'en-US' }), 'room-phone', 7],
    [await open({ viewport: { width: 1280, height: 720 } }, `/rooms/${room.id}/overlay`), 'overlay', 20],
  ]
  for (const [page, name, lines] of stages) {
    await page.bringToFront()
    await until(`${lines} lines on ${name}`, async () => (await inView(page)) >= lines, BUSY_WITHIN_MS)
    if (name === 'overlay') await checker(page)
    else await sayAndWatch(page)
    await save(page, name)
  }
  for (const [name, options] of Object.entries({ 'rooms-en': { ...DESKTOP, locale: 'en-US' }, 'rooms-zh-phone': { ...PHONE, locale: 'zh-CN' } })) {
    const page = await open(options, '/')
    await byId(page, 'room-card').first().waitFor()
    await page.waitForLoadState('networkidle')
    await save(page, name)
  }
  const id = await until('the first replay', () => latestReplay(server, room), BUSY_WITHIN_MS)
  const page = await open({ ...DESKTOP, locale: 'en-US' }, `/replays/${id}`)
  await showBusiest(page)
  await save(page, 'replay')
}

/** The replay of the broadcast before this one, once it can be watched with its lottery. */
async function latestReplay({ url }, room) {
  const ask = (path) => fetch(`${url}/api/v1${path}`).then((answer) => answer.json())
  const { items } = await ask(`/rooms/${room.id}/replays`)
  const ready = items.find(({ state }) => state === 'ready')
  if (!ready) return null
  const { marks } = await ask(`/replays/${ready.id}/manifest?v=${ready.version}`)
  return marks.length > 0 && ready.id
}

/** Goes to where most was said, when it has flown into the picture, and points at a mark. */
async function showBusiest(page) {
  await byId(page, 'timeline').waitFor()
  const { heat, replay, marks } = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name).find((name) => name.includes('/manifest')))
    .then((url) => fetch(url)).then((answer) => answer.json())
  const peakMs = heat.counts.indexOf(Math.max(...heat.counts)) * heat.step_ms
  await clickTimeline(page, (peakMs + 5_000) / replay.duration_ms)
  const { x, y, width, height } = await byId(page, 'timeline').boundingBox()
  await page.mouse.move(x + width * (marks.at(-1).at_ms / replay.duration_ms), y + height * 0.4)
  await byId(page, 'timeline-hover').waitFor()
  await until('the list around them', async () => (await byId(page, 'danmaku-list').locator('li[aria-current=true]').getByTestId('danmaku-row').count()) === 1)
  await until('lines all over the picture', async () => (await inView(page)) >= 20)
}

/** Sends the line and waits until it has flown into the picture. */
async function sayAndWatch(page) {
  await byId(page, 'send-input').press('Enter')
  const own = byId(page, 'danmaku-layer').locator('.own')
  await own.waitFor({ state: 'attached' })
  await until('the own line to be in the picture', () => own.evaluate((line) => line.getBoundingClientRect().right < innerWidth * 0.6))
}

/** How many lines are wholly in the stage. */
function inView(page) {
  return page.evaluate(() => {
    const stage = document.querySelector('[data-testid=stage]').getBoundingClientRect()
    return [...document.querySelectorAll('[data-testid=danmaku-layer] [data-id]')].filter((line) => {
      const { left, right } = line.getBoundingClientRect()
      return left >= stage.left && right <= stage.right
    }).length
  })
}

/** What image editors show behind what is transparent. (The overlay itself has nothing there.) */
function checker(page) {
  return page.evaluate(() => {
    document.documentElement.style.background = 'repeating-conic-gradient(#3a3f47 0% 25%, #2b2f36 0% 50%) 0 0 / 40px 40px'
  })
}

async function save(page, name) {
  const picture = await page.screenshot({ type: 'png' })
  const file = join(folder, `${name}.png`)
  await writeFile(file, picture)
  console.log(`${file}: ${Math.round(picture.length / 1000)} kB`)
  if (picture.length > MOST_BYTES) throw new Error(`${file} is larger than ${MOST_BYTES / 1000} kB`)
}
