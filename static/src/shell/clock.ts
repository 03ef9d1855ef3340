/** One ticking second for everything that counts time, and the server's clock. */
import { computed, ref } from 'vue'

const tick = ref(Date.now())
window.setInterval(() => (tick.value = Date.now()), 1000)

const ahead = ref(0)

export function setServerTime(ms: number): void {
  ahead.value = ms - Date.now()
}

/** The server's time to within the network's delay; for use once. */
export function serverNow(): number {
  return Date.now() + ahead.value
}

/** The server's time, ticking; for use in templates. */
export const serverClock = computed(() => tick.value + ahead.value)
/** This machine's time, ticking. */
export const clock = computed(() => tick.value)
