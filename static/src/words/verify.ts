/** The texts of a verification. */
import { computed } from 'vue'
import { language } from '.'
import { verifyEn } from './verifyEn'
import { verifyZh } from './verifyZh'

export const verifyWords = computed(() => (language.value === 'zh' ? verifyZh : verifyEn))
