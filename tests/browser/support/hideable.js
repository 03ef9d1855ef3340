/**
 * A tab that can be put behind others. Headless Chromium shows every tab, so the page is
 * told otherwise: it is hidden, and gets no frames until it is shown again.
 */
export async function hideable(page) {
  await page.addInitScript(() => {
    const draw = window.requestAnimationFrame.bind(window)
    const waiting = []
    let hidden = false
    window.requestAnimationFrame = (frame) => (hidden ? -waiting.push(frame) : draw(frame))
    Object.defineProperty(Document.prototype, 'hidden', { get: () => hidden })
    Object.defineProperty(Document.prototype, 'visibilityState', { get: () => (hidden ? 'hidden' : 'visible') })
    window.setHidden = (now) => {
      hidden = now
      if (!hidden) for (const frame of waiting.splice(0)) draw(frame)
      document.dispatchEvent(new Event('visibilitychange'))
    }
  })
  const set = (hidden) => page.evaluate((hidden) => window.setHidden(hidden), hidden)
  return { hide: () => set(true), show: () => set(false) }
}
