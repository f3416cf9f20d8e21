/**
 * Members by how many partitions they have: the one with the least (or the most) is at the top, the
 * lower index first among equals. Loads change outside: who changes one pushes the member again, and
 * what is outdated is dropped when it comes to the top.
 */
export class LoadHeap {
  readonly #loads: Int32Array
  readonly #sign: 1 | -1
  /** Pairs of load and member, as a binary heap. */
  readonly #heap: number[] = []

  constructor(loads: Int32Array, top: 'least' | 'most') {
    this.#loads = loads
    this.#sign = top === 'least' ? 1 : -1
  }

  push(member: number): void {
    const heap = this.#heap
    heap.push(this.#loads[member] as number, member)
    let child = heap.length / 2 - 1
    while (child > 0) {
      const parent = (child - 1) >>> 1
      if (this.#before(parent, child)) return
      this.#swap(parent, child)
      child = parent
    }
  }

  /** -1 when there is none. The member stays until it is pushed with another load, or dropped. */
  peek(): number {
    const heap = this.#heap
    while (heap.length > 0) {
      const member = heap[1] as number
      if (heap[0] === this.#loads[member]) return member
      this.drop()
    }
    return -1
  }

  /** Removes what is at the top. */
  drop(): void {
    const heap = this.#heap
    const member = heap.pop() as number
    const load = heap.pop() as number
    if (heap.length === 0) return
    heap[0] = load
    heap[1] = member
    const size = heap.length / 2
    let parent = 0
    for (;;) {
      let least = 2 * parent + 1
      if (least >= size) return
      if (least + 1 < size && this.#before(least + 1, least)) least++
      if (this.#before(parent, least)) return
      this.#swap(parent, least)
      parent = least
    }
  }

  #before(a: number, b: number): boolean {
    const heap = this.#heap
    const difference = ((heap[2 * a] as number) - (heap[2 * b] as number)) * this.#sign
    if (difference !== 0) return difference < 0
    return (heap[2 * a + 1] as number) <= (heap[2 * b + 1] as number)
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap
    const load = heap[2 * a] as number
    const member = heap[2 * a + 1] as number
    heap[2 * a] = heap[2 * b] as number
    heap[2 * a + 1] = heap[2 * b + 1] as number
    heap[2 * b] = load
    heap[2 * b + 1] = member
  }
}
