/** What the owner of a room may do with its replays. */
import { call } from '../api/call'
import type { ImportedReplay, Replay, Visibility } from '../api/replay'

export const MOST_TITLE_CHARS = 60

export const editReplay = (id: string, body: { title?: string; visibility?: Visibility }) => call<Replay>('PATCH', `/replays/${id}`, { body })
export const indexReplay = (id: string) => call<Replay>('POST', `/replays/${id}/index`)
export const deleteReplay = (id: string) => call('DELETE', `/replays/${id}`)

/** The file is sent as it is, whatever the browser takes it for: the server reads it line by line. */
export function importReplay(room: string, title: string, file: File): Promise<ImportedReplay> {
  return call<ImportedReplay>('POST', `/rooms/${room}/replays`, { query: { title }, file: file.slice(0, file.size, 'application/xml') })
}

/** A title for a file that has none: its name, as long as it may be. */
export function titleOf(fileName: string): string {
  return Array.from(fileName.replace(/\.[^.]*$/, '').trim()).slice(0, MOST_TITLE_CHARS).join('')
}
