/** The page's texts in the visitor's language. Import `words as t` and use it like data. */
import { computed, ref, watch } from 'vue'
import { Problem } from '../api/call'
import { en } from './en'
import { zh } from './zh'

export type Language = 'en' | 'zh'

const KEY = 'goligoli.language'

function firstLanguage(): Language {
  const chosen = localStorage.getItem(KEY)
  if (chosen === 'en' || chosen === 'zh') return chosen
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'
}

export const language = ref<Language>(firstLanguage())
export const words = computed(() => (language.value === 'zh' ? zh : en))

watch(language, (now) => (document.documentElement.lang = now === 'zh' ? 'zh-CN' : 'en'), { immediate: true })

export function switchLanguage(): void {
  language.value = language.value === 'zh' ? 'en' : 'zh'
  localStorage.setItem(KEY, language.value)
}

/** Why something was refused, for the visitor. */
export function reason(problem: unknown): string {
  const { problems, invalid } = words.value
  if (!(problem instanceof Problem)) return problems.internal!
  if (problem.code === 'invalid-field') return invalid(problem.detail)
  return problems[problem.code] ?? problem.detail
}

/** 9,999 in full, from then on 1.2万 or 12K. */
export function count(n: number): string {
  const short = n >= 10_000 ? ({ notation: 'compact', maximumFractionDigits: 1 } as const) : {}
  return new Intl.NumberFormat(locale(), short).format(n)
}

/** In full, however large: what is to be compared, and the number of an entry. */
export function inFull(n: number): string {
  return new Intl.NumberFormat(locale()).format(n)
}

/** How many said the same. */
export function times(n: number): string {
  return `×${count(n)}`
}

export function moment(time: number | string): string {
  const date = new Date(time)
  const today = date.toDateString() === new Date().toDateString()
  const format = today ? { timeStyle: 'short' as const } : { dateStyle: 'medium' as const, timeStyle: 'short' as const }
  return new Intl.DateTimeFormat(locale(), format).format(date)
}

/** The time of day, always as short as that: for columns. */
export function timeOfDay(time: number | string): string {
  return new Intl.DateTimeFormat(locale(), { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(new Date(time))
}

export function day(time: number | string): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: 'medium' }).format(new Date(time))
}

/** 1:02:03, or 2:03 within the first hour. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  const two = (n: number) => String(n).padStart(2, '0')
  const minutes = Math.floor(s / 60) % 60
  return s < 3600 ? `${minutes}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(minutes)}:${two(s % 60)}`
}

function locale(): string {
  return language.value === 'zh' ? 'zh-CN' : 'en'
}
