/** The texts about replays, apart from the others because most pages never need them. */
import { computed } from 'vue'
import { language } from '.'
import { replayEn } from './replayEn'
import { replayZh } from './replayZh'

export const replayWords = computed(() => (language.value === 'zh' ? replayZh : replayEn))

const UNITS = [['hour', 3_600_000], ['minute', 60_000], ['second', 1000]] as const

/** A moment or a span as it is read aloud: 1 hour 2 minutes 3 seconds. */
export function spoken(ms: number): string {
  const locale = language.value === 'zh' ? 'zh-CN' : 'en'
  let rest = Math.max(0, Math.floor(ms / 1000)) * 1000
  const said = UNITS.flatMap(([unit, size]) => {
    const n = Math.floor(rest / size)
    rest -= n * size
    return n > 0 || (unit === 'second' && ms < 1000) ? new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(n) : []
  })
  return said.join(' ')
}

/** Words that stay in one line. */
export const unbroken = (text: string): string => text.replaceAll(' ', '\u00a0')

/** Reasons come from the server; one that this build has no words for stays as it is. */
export const because = (reason: string, known: Record<string, string>): string => known[reason] ?? reason
