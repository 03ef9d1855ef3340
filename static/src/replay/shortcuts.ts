/** Keys that work wherever the focus is, unless it is where they mean something else. */
import { onBeforeUnmount, onMounted } from 'vue'

const TYPED_INTO = 'input, textarea, select, [contenteditable]'
/** The space bar presses these. */
const PRESSED = 'button, a, summary, [role=button]'

/** `keys`: what `KeyboardEvent.key` does, letters in lower case. */
export function useShortcuts(keys: Record<string, () => void>): void {
  function onKey(event: KeyboardEvent): void {
    const work = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key]
    // Who holds a key down seeks on, and switches once.
    if (event.repeat && !event.key.startsWith('Arrow')) return
    if (!work || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return
    const target = event.target as Element
    if (target.closest(TYPED_INTO) || (event.key === ' ' && target.closest(PRESSED)) || document.querySelector('dialog[open]')) return
    event.preventDefault()
    work()
  }
  onMounted(() => document.addEventListener('keydown', onKey))
  onBeforeUnmount(() => document.removeEventListener('keydown', onKey))
}
