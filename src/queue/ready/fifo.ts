// First in, first out in constant time, with a way back to the front.
//
// An array with a moving head; the space before the head is given back in large steps, so that no shift copies.

const compactAt = 1024

/** A queue of values. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    // Most queues hold one value, and an empty array takes room for 17 with its first push.
    if (this.#items.length === 0) this.#items = [item]
    else this.#items.push(item)
  }

  /** Puts one back in front of all others. */
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item
    else this.#items.unshift(item)
  }

  /** Shows each, in order. */
  each(show: (item: T) => void): void {
    for (let at = this.#head; at < this.#items.length; at++) show(this.#items[at]!)
  }

  peek(): T | undefined {
    return this.#items[this.#head]
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    } else if (this.#head >= compactAt && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }
}
