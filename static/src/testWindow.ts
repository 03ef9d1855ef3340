/** Timers live on `window` in the page; under test they are Node's. */
globalThis.window ??= globalThis as unknown as Window & typeof globalThis
