/** The texts about lotteries, apart from the others because most pages never need them. */
import { computed } from 'vue'
import { language } from '.'
import { lotteryEn } from './lotteryEn'
import { lotteryZh } from './lotteryZh'

export const lotteryWords = computed(() => (language.value === 'zh' ? lotteryZh : lotteryEn))

/** A span in the largest unit that fits it: an hour, a day. */
export function span(ms: number): string {
  const [unit, size] = ([['day', 86_400_000], ['hour', 3_600_000], ['minute', 60_000], ['second', 1000]] as const).find(([, size]) => ms >= size) ?? ['second', 1000]
  const locale = language.value === 'zh' ? 'zh-CN' : 'en'
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long', maximumFractionDigits: 1 }).format(ms / size)
}
