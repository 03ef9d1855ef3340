/**
 * What one can check of a draw that is too large to recompute: what was announced, one's own
 * place in the tree, and one's own key against that of the last winner. Those who hold a prize
 * are checked as far as their places in the tree were fetched.
 */
import { areEqual, ofHex, toHex } from './bytes'
import { closedReader, inclusionReader, mostWeight, receiptReader, type Inclusion, type Receipt } from './documents'
import { agrees } from './finding'
import { readDocument } from './json'
import { Keys, compare, drawKeyOf, rankedIn } from './ranking'
import { leafOf, rootBy } from './tree'
import { type ReadProof, type Verdict, checkAnnounced, checkReceipt, judge, readOpened, readProof } from './verify'

export interface GivenLight {
  proof: Uint8Array
  opened?: Uint8Array
  closed?: Uint8Array
  /** One's own, with its place in the tree. */
  own?: { receipt: Uint8Array; inclusion: Uint8Array }
  /** Places in the tree of some who hold a prize. */
  inclusions?: Uint8Array[]
}

export function verifyLight(given: GivenLight): Verdict {
  return judge((run) => {
    const read = run.check('documents', () => readProof(given.proof))
    const { proof, spec, specHash } = read
    run.spec = spec
    run.count = proof.count
    const saved = run.check('documents', () => ({
      opened: given.opened && readOpened(given.opened),
      closed: given.closed && readDocument(given.closed, closedReader),
      receipt: given.own && readDocument(given.own.receipt, receiptReader),
      inclusion: given.own && readDocument(given.own.inclusion, inclusionReader),
      others: (given.inclusions ?? []).map((bytes) => readDocument(bytes, inclusionReader)),
    }))
    checkAnnounced(run, read, saved)
    const keys = new Keys(drawKeyOf(proof.seed, specHash, proof))
    const { receipt, inclusion } = saved
    if (receipt && inclusion) {
      run.check('receipt', () => {
        checkReceipt(receipt, spec, () => leafOf(receipt))
        agrees(receipt.weight >= 1 && receipt.weight <= mostWeight(spec), 'entry-weight', receipt.n)
        agrees(isUnder(inclusion, read) && inclusion.n === receipt.n && areEqual(ofHex(inclusion.leaf), leafOf(receipt)), 'receipt-missing', receipt.n)
      })
    }
    run.check('winners', () => {
      checkOrder(read)
      for (const other of saved.others) checkWinner(other, read, keys)
      if (receipt) checkOwn(receipt, read, keys)
    })
    return saved.opened && saved.closed ? 'agrees' : 'consistent'
  })
}

function isUnder(inclusion: Inclusion, { proof }: ReadProof): boolean {
  if (inclusion.root !== proof.root || inclusion.count !== proof.count) return false
  const root = rootBy(inclusion)
  return root !== null && areEqual(root, ofHex(proof.root))
}

function checkOrder({ proof, spec }: ReadProof): void {
  const ranked = rankedIn(spec.prizes, proof)
  agrees(proof.winners.length + proof.replaced.length === ranked, 'winner-count', ranked)
  const seen = new Set<number>()
  let last = ''
  proof.winners.forEach(({ n, key, prize }, place) => {
    agrees(n < proof.count && !seen.has(n) && prize < spec.prizes.length, 'winner', place)
    agrees(key >= last, 'winner-order', place)
    seen.add(n)
    last = key
  })
}

/** Only the leaf is known of somebody else; with one chance for everybody that is enough for the key. */
function checkWinner(inclusion: Inclusion, read: ReadProof, keys: Keys): void {
  agrees(isUnder(inclusion, read), 'inclusion', inclusion.n)
  const place = read.proof.winners.findIndex(({ n }) => n === inclusion.n)
  agrees(place >= 0, 'inclusion', inclusion.n)
  if (read.spec.weight === 'one') agrees(toHex(keys.of(ofHex(inclusion.leaf), 1)) === read.proof.winners[place]!.key, 'winner-key', place)
}

/** Nobody with a lower key than somebody who got a prize may have been passed over. */
function checkOwn(receipt: Receipt, { proof }: ReadProof, keys: Keys): void {
  const own = keys.of(leafOf(receipt), receipt.weight)
  const place = proof.winners.findIndex(({ n }) => n === receipt.n)
  if (place >= 0) return agrees(proof.winners[place]!.key === toHex(own), 'winner-key', place)
  if (proof.replaced.some(({ n }) => n === receipt.n)) return
  const last = proof.winners.at(-1)
  agrees(last === undefined || compare(own, ofHex(last.key)) > 0, 'left-out', receipt.n)
}
