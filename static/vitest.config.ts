import { defineConfig } from 'vitest/config'

// The page's logic is tested here, without a browser; `tests/browser` tests the page.
// Draws take seconds on a busy machine; nothing here is a timed test.
export default defineConfig({
  test: { environment: 'node', include: ['src/**/*.test.ts'], setupFiles: ['src/testWindow.ts'], testTimeout: 60_000 },
})
