/** The dialog in which visitors log in or make an account. */
import { ref } from 'vue'

export const authOpen = ref(false)
/** They make an account; otherwise they have one. */
export const joining = ref(false)

export function openAuth(): void {
  joining.value = false
  authOpen.value = true
}

export function openRegistration(): void {
  joining.value = true
  authOpen.value = true
}
