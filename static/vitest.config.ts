import { defineConfig } from 'vitest/config'

// The page's logic is tested here, without a browser; `tests/browser` tests the page.
export default defineConfig({ test: { environment: 'node', include: ['src/**/*.test.ts'], setupFiles: ['src/testWindow.ts'] } })
