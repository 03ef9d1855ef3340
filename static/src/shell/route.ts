/** Six addresses do not need a router library. */
import { computed, ref } from 'vue'

export type Route =
  | { page: 'rooms' }
  | { page: 'mine' }
  | { page: 'account' }
  | { page: 'room'; id: string }
  | { page: 'overlay'; id: string }
  | { page: 'replay'; id: string }
  | { page: 'nothing' }

const path = ref(location.pathname)
window.addEventListener('popstate', () => (path.value = location.pathname))

export const route = computed(() => routeOf(path.value))

export function routeOf(path: string): Route {
  const [first = '', id = '', rest, ...more] = path.replace(/^\/|\/$/g, '').split('/')
  if (more.length === 0 && first === 'rooms' && /^[1-9][0-9]{0,15}$/.test(id)) {
    if (rest === undefined) return { page: 'room', id }
    if (rest === 'overlay') return { page: 'overlay', id }
  } else if (more.length === 0 && rest === undefined && first === 'replays' && /^[1-9][0-9]{0,15}$/.test(id)) {
    return { page: 'replay', id }
  } else if (id === '' && rest === undefined) {
    if (first === '' || first === 'rooms') return { page: 'rooms' }
    if (first === 'mine' || first === 'account') return { page: first }
  }
  return { page: 'nothing' }
}

export function go(to: string): void {
  if (to !== location.pathname) history.pushState(null, '', to)
  path.value = location.pathname
  window.scrollTo(0, 0)
}

/** For links: follow them in the page unless the visitor wants a new tab. */
export function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  go((event.currentTarget as HTMLAnchorElement).pathname)
}
