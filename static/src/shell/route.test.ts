import { expect, test, vi } from 'vitest'

test('each page has an address', async () => {
  vi.stubGlobal('location', { pathname: '/' })
  vi.stubGlobal('addEventListener', () => {})
  const { routeOf } = await import('./route')
  expect(routeOf('/replays/7')).toEqual({ page: 'replay', id: '7' })
  expect(routeOf('/replays/9007199254740991/')).toEqual({ page: 'replay', id: '9007199254740991' })
  for (const bad of ['/replays', '/replays/0', '/replays/x', '/replays/7/more', '/replays/12345678901234567']) expect(routeOf(bad)).toEqual({ page: 'nothing' })
  expect(routeOf('/rooms/7/overlay')).toEqual({ page: 'overlay', id: '7' })
  vi.unstubAllGlobals()
})
