/** The chain of signed replacements, and who holds which prize at its end. */
import type { Proof, Spec } from './documents'
import { agrees } from './finding'
import { prizeOf, prizesIn } from './ranking'
import { closedMessage, holds, replacedMessage } from './signature'

/** The prize of each entry that holds one. When the ranking has nobody left, a prize stays open. */
export function holdersAfter(proof: Proof, spec: Spec, specHash: Uint8Array, ranking: readonly number[]): Map<number, number> {
  const held = new Map<number, { prize: number; sinceMs: number }>()
  let next = Math.min(ranking.length, prizesIn(spec.prizes))
  for (let rank = 0; rank < next; rank++) held.set(ranking[rank]!, { prize: prizeOf(spec.prizes, rank), sinceMs: proof.closed_at_ms })
  let before = closedMessage(specHash, proof)
  proof.replaced.forEach((step, i) => {
    const message = replacedMessage(specHash, proof.root, i, step, before)
    agrees(holds(spec.receipt_key, message, step.signature), 'replaced-signature', i)
    before = message
    const holder = held.get(step.n)
    agrees(holder !== undefined, 'replaced-no-winner', i)
    agrees(step.at_ms >= holder.sinceMs, 'replaced-early', i)
    if (step.reason === 'unclaimed') {
      agrees(spec.claim_ms > 0, 'replaced-no-claim', i)
      agrees(step.at_ms - holder.sinceMs >= spec.claim_ms, 'replaced-claim-open', i)
    }
    held.delete(step.n)
    const successor = ranking[next++]
    if (successor !== undefined) held.set(successor, { prize: holder.prize, sinceMs: step.at_ms })
  })
  return new Map(Array.from(held, ([n, { prize }]) => [n, prize]))
}
