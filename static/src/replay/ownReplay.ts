/** What the owner of a room may do with its replays. */
import { account } from '../account/account'
import { call } from '../api/call'
import type { Room } from '../api/contract'
import type { ImportedReplay, Replay, Visibility } from '../api/replay'

export const MOST_TITLE_CHARS = 60
/** A hidden replay looks so to whoever may not see it. */
export const HIDDEN = { hiddenAs: 'no-such-replay' } as const

export const ownsRoom = (room: Room | null): boolean => account.value !== null && (account.value.role === 'site_admin' || account.value.id === room?.owner.id)

export const editReplay = (id: string, body: { title?: string; visibility?: Visibility }) => call<Replay>('PATCH', `/replays/${id}`, { body })
export const indexReplay = (id: string) => call<Replay>('POST', `/replays/${id}/index`)
export const deleteReplay = (id: string) => call('DELETE', `/replays/${id}`)

/** The file is sent as it is, whatever the browser takes it for: the server reads it line by line. */
export function importReplay(room: string, title: string, file: File, idempotencyKey: string): Promise<ImportedReplay> {
  return call<ImportedReplay>('POST', `/rooms/${room}/replays`, { query: { title }, file: file.slice(0, file.size, 'application/xml'), idempotencyKey })
}

/** Browsers refuse to read a file that was changed since it was chosen, or is gone. */
export function isReadable(file: File): Promise<boolean> {
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false)
}

/** A title for a file that has none: its name, as long as it may be. */
export function titleOf(fileName: string): string {
  return Array.from(fileName.replace(/\.[^.]*$/, '').trim()).slice(0, MOST_TITLE_CHARS).join('')
}
