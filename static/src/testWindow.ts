import { testStorage } from './testStorage'

/** Timers live on `window` in the page; under test they are Node's, and frames come like timers. */
globalThis.window ??= globalThis as unknown as Window & typeof globalThis
globalThis.requestAnimationFrame ??= (frame) => Number(setTimeout(() => frame(performance.now()), 16))
globalThis.localStorage ??= testStorage()
