/** What a verification finds: the first thing that does not agree. */

/** The parts of a verification, in their order. */
export const CHECKS = ['documents', 'opened', 'commitment', 'closed', 'entries', 'root', 'receipt', 'winners'] as const
export type Check = (typeof CHECKS)[number]

export type FindingCode =
  | 'weak-key'
  | 'opened-differs'
  | 'opened-signature'
  | 'commitment'
  | 'closed-differs'
  | 'closed-signature'
  | 'closed-early'
  | 'beacon'
  | 'entry-number'
  | 'entry-twice'
  | 'entry-early'
  | 'entry-late'
  | 'entry-weight'
  | 'entry-count'
  | 'root'
  | 'receipt-lottery'
  | 'receipt-signature'
  | 'receipt-missing'
  | 'inclusion'
  | 'winner-count'
  | 'winner'
  | 'winner-order'
  | 'winner-key'
  | 'left-out'
  | 'replaced-signature'
  | 'replaced-no-winner'
  | 'replaced-early'
  | 'replaced-no-claim'
  | 'replaced-claim-open'

/** Readable, and not what the protocol gives. */
export class Disagrees extends Error {
  constructor(
    readonly code: FindingCode,
    /** Which of many: an entry's number, a winner's place, a field's name. */
    readonly which: string | number = '',
  ) {
    super(`${code} ${which}`.trim())
  }
}

export function agrees(holds: boolean, code: FindingCode, which: string | number = ''): asserts holds {
  if (!holds) throw new Disagrees(code, which)
}
