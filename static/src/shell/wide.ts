/** One element over the whole screen; over the whole window where pages get no full screen. */
import { type Ref, onBeforeUnmount, onMounted, ref } from 'vue'

export function useWide(element: Ref<HTMLElement | undefined>) {
  const wide = ref(false)

  async function toggle(): Promise<void> {
    if (document.fullscreenElement) return document.exitFullscreen()
    // Phones that have no full screen for pages get the whole window instead.
    const refused = element.value?.requestFullscreen ? await element.value.requestFullscreen().then(() => false, () => true) : true
    if (refused) wide.value = !wide.value
  }

  const onChange = () => (wide.value = document.fullscreenElement === element.value)
  onMounted(() => document.addEventListener('fullscreenchange', onChange))
  onBeforeUnmount(() => document.removeEventListener('fullscreenchange', onChange))

  return { wide, toggle }
}
