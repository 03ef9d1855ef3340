/**
 * A page whose stream dies unseen, as it does while a machine sleeps or a phone is in a
 * tunnel, and which comes back when the network does.
 */
export async function cuttable(page) {
  await page.addInitScript(() => {
    window.streams = []
    window.EventSource = class extends EventSource {
      constructor(url) {
        super(url)
        window.streams.push(this)
      }
    }
  })
  return {
    cut: () => page.evaluate(() => window.streams.at(-1).close()),
    comeBack: () => page.evaluate(() => window.dispatchEvent(new Event('online'))),
    /** The addresses that were asked for. */
    asked: () => page.evaluate(() => window.streams.map((stream) => new URL(stream.url).search)),
  }
}
