/** A real server process with a data folder of its own, on a port that was free. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { atEnd } from './at-end.js'
import { until } from './until.js'

/** What is tested. */
export const BINARY = process.env.GOLIGOLI ?? fileURLToPath(new URL('../../../target/debug/goligoli', import.meta.url))

/** Tests come from one address and hurry; limits have tests of their own. Restarts hurry, too. */
const SETTINGS = {
  GOLIGOLI_OPS__ENABLED: 'false',
  GOLIGOLI_GATEWAY__LIMITS__EXEMPT: '["127.0.0.1/32"]',
  GOLIGOLI_PUSH__RECONNECT_SPREAD_MS: '300',
  GOLIGOLI_PUSH__DRAIN_MS: '300',
  GOLIGOLI_LIVE__VIEWER_COUNT_INTERVAL_MS: '200',
}

export class Server {
  /** Starts one; `settings` are environment keys. It ends with the test that `t` is of. */
  static async start(t, settings = {}, command = ['serve']) {
    const server = new Server(await mkdtemp(join(tmpdir(), 'goligoli-browser-')), settings)
    atEnd(t, () => server.remove())
    await server.up(command)
    return server
  }

  constructor(folder, settings) {
    this.folder = folder
    this.settings = settings
    this.listen = '127.0.0.1:0'
    this.log = ''
  }

  get url() {
    return `http://${this.listen}`
  }

  /** Starts the process, from the second time on at the same port. */
  async up(command = this.command) {
    this.command = command
    const env = { PATH: process.env.PATH, ...SETTINGS, ...this.settings, GOLIGOLI_DATA_DIR: join(this.folder, 'data'), GOLIGOLI_HTTP__LISTEN: this.listen }
    const child = spawn(BINARY, command, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const from = this.log.length
    for (const output of [child.stdout, child.stderr]) output.on('data', (text) => (this.log += text))
    this.ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })))
    child.on('error', (error) => (this.log += `${BINARY}: ${error.message}\n`))
    this.child = child
    const ready = () => {
      if (child.exitCode !== null || child.signalCode !== null || !child.pid) throw new Error(`the server did not start:\n${this.log.slice(from)}`)
      return fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false)
    }
    if (this.listen.endsWith(':0')) {
      const address = () => (ready(), /http:\/\/(127\.0\.0\.1:[1-9]\d*)\//.exec(this.log.slice(from))?.[1])
      this.listen = await until('the server to say where it listens', address, 20_000)
    }
    await until('the server to be ready', ready, 20_000)
  }

  /** Ends the process with a signal and waits until it is gone. */
  async down(signal = 'SIGTERM') {
    this.child.kill(signal)
    return this.ended
  }

  async restart(signal = 'SIGTERM') {
    await this.down(signal)
    await this.up()
  }

  async remove() {
    await this.down('SIGKILL')
    await rm(this.folder, { recursive: true, force: true })
  }
}
