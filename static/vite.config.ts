import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [vue()],
  define: { __VUE_OPTIONS_API__: false },
  build: {
    // OBS's browser source is an older Chromium; the overlay has to run in it.
    target: ['chrome95', 'firefox100', 'safari15.4'],
    // Files, not data: URLs: the gateway serves /assets with a lasting cache header.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
})
