/** A file on its way to become a replay. It goes on, and its outcome waits, while its dialog is closed. */
import { ref, shallowRef, watch } from 'vue'
import { Problem, freshKey } from '../../api/call'
import { patiently } from '../../api/patience'
import type { ImportedReplay, Replay } from '../../api/replay'
import { count, reason } from '../../words'
import { replayWords as t } from '../../words/replay'
import { importReplay, isReadable, titleOf } from '../ownReplay'

/** Others bring files, too, or the answer to the first try was lost while the server goes on with it. */
const PATIENCE = { mostWaits: 8, longestWaitMs: 15_000 }

export type Importing = ReturnType<typeof useImport>

export function useImport(room: string, done: (replay: Replay) => void) {
  const open = ref(false)
  const file = shallowRef<File | null>(null)
  const title = ref('')
  const busy = ref(false)
  const refused = ref('')
  const imported = shallowRef<ImportedReplay | null>(null)
  /** It ended while nobody looked. */
  const unseen = ref(false)
  let guessed = ''
  let key = freshKey()

  // Another file or title is another request; the same, sent again, makes no second replay.
  watch([file, title], () => (key = freshKey()))
  watch(open, (now) => {
    if (now && !busy.value && !unseen.value) clear()
    if (now) unseen.value = false
  })

  function clear(): void {
    file.value = imported.value = null
    title.value = refused.value = guessed = ''
  }

  function choose(chosen: File): void {
    file.value = chosen
    refused.value = ''
    if (title.value !== guessed) return
    title.value = guessed = titleOf(chosen.name)
  }

  async function start(): Promise<void> {
    if (!file.value) return
    busy.value = true
    refused.value = ''
    try {
      imported.value = await sent(file.value)
      done(imported.value.replay)
    } catch (problem) {
      refused.value = why(problem)
    } finally {
      busy.value = false
      unseen.value = !open.value
    }
  }

  async function sent(chosen: File): Promise<ImportedReplay> {
    if (!(await isReadable(chosen))) throw new Changed()
    return patiently(() => importReplay(room, title.value.trim(), chosen, key), PATIENCE).catch(async (problem) => {
      // A file that changes while it is sent looks like a line that breaks.
      throw (await isReadable(chosen)) ? problem : new Changed()
    })
  }

  return { open, file, title, busy, refused, imported, unseen, choose, start }
}

/** How many danmaku a file has brought. */
export function accepted({ report }: ImportedReplay): string {
  return report ? t.value.imported(count(report.accepted), report.accepted === 1) : t.value.importedBefore
}

class Changed extends Error {}

function why(problem: unknown): string {
  if (problem instanceof Changed) return t.value.importChanged
  // Where in the file it went wrong is what helps.
  const where = problem instanceof Problem && problem.code === 'bad-file' ? t.value.importWhere(problem.detail) : ''
  return reason(problem) + where
}
