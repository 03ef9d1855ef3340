import { ref } from 'vue'

export const authOpen = ref(false)

export function openAuth(): void {
  authOpen.value = true
}
