/** All lotteries of a room, latest first, as far back as somebody has read. */
import { computed, shallowRef } from 'vue'
import { call } from '../api/call'
import type { Page } from '../api/contract'
import type { RoomLottery } from '../api/lottery'

const PAGE = 10
/** The server gives no more at once. */
const MOST = 50

export class RoomHistory {
  readonly items = shallowRef<readonly RoomLottery[]>([])
  private readonly next = shallowRef<string | null>(null)
  readonly hasMore = computed(() => this.next.value !== null)
  private readings = 0

  constructor(private readonly room: string) {}

  /** Reads what is shown once more: something has changed. What cannot be read at once stays behind it. */
  async readAnew(): Promise<void> {
    const reading = (this.readings += 1)
    const page = await this.read(null, Math.min(Math.max(this.items.value.length, PAGE), MOST))
    if (reading !== this.readings) return
    const behind = this.behind(page.items.at(-1))
    this.items.value = [...page.items, ...behind]
    // Behind what stays, nothing is new.
    if (behind.length === 0) this.next.value = page.next_cursor
  }

  /** Reads on from the oldest that is shown. */
  async readOn(): Promise<void> {
    const cursor = this.next.value
    const page = await this.read(cursor, PAGE)
    if (cursor !== this.next.value) return
    this.items.value = [...this.items.value, ...page.items]
    this.next.value = page.next_cursor
  }

  /** What the server said of one. */
  take(lottery: RoomLottery): void {
    const isKnown = this.items.value.some(({ id }) => id === lottery.id)
    this.items.value = isKnown ? this.items.value.map((one) => (one.id === lottery.id ? lottery : one)) : [lottery, ...this.items.value]
  }

  private behind(last: RoomLottery | undefined): readonly RoomLottery[] {
    const at = this.items.value.findIndex(({ id }) => id === last?.id)
    return at < 0 ? [] : this.items.value.slice(at + 1)
  }

  private read(cursor: string | null, limit: number): Promise<Page<RoomLottery>> {
    return call<Page<RoomLottery>>('GET', `/rooms/${this.room}/lotteries`, { query: { cursor, limit } })
  }
}
