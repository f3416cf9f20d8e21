/** Things that are due at some time, the earliest first. What is not due any more is for the taker to see. */
export interface Deadline<T> {
  readonly atMs: number
  readonly item: T
}

export class DeadlineHeap<T> {
  readonly #heap: Deadline<T>[] = []

  /** Infinite when there is none. */
  get firstMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  push(atMs: number, item: T): void {
    const heap = this.#heap
    let child = heap.length
    heap.push({ atMs, item })
    while (child > 0) {
      const parent = (child - 1) >>> 1
      if ((heap[parent] as Deadline<T>).atMs <= atMs) return
      this.#swap(parent, child)
      child = parent
    }
  }

  /** Takes out the first if it is due. */
  takeDue(nowMs: number): Deadline<T> | undefined {
    const heap = this.#heap
    const [first] = heap
    if (first === undefined || first.atMs > nowMs) return undefined
    const last = heap.pop() as Deadline<T>
    if (heap.length === 0) return first
    heap[0] = last
    let parent = 0
    for (;;) {
      let least = 2 * parent + 1
      if (least >= heap.length) return first
      const right = heap[least + 1]
      if (right !== undefined && right.atMs < (heap[least] as Deadline<T>).atMs) least++
      if (last.atMs <= (heap[least] as Deadline<T>).atMs) return first
      this.#swap(parent, least)
      parent = least
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap
    const first = heap[a] as Deadline<T>
    heap[a] = heap[b] as Deadline<T>
    heap[b] = first
  }
}
