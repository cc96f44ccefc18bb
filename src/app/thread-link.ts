// Calls between the main thread and a relay thread: a name, one argument, one answer.
//
// For control only (start, reload, recall, drain, metrics): the hot path goes through the store's packed channel.

import type { MessagePort, Worker } from 'node:worker_threads'

type Handlers = Readonly<Record<string, (argument: never) => unknown>>

interface CallMessage {
  readonly call: string
  readonly id: number
  readonly argument: unknown
}

interface AnswerMessage {
  readonly answer: number
  readonly value?: unknown
  readonly error?: string
}

/** One end of a link. */
export class ThreadLink {
  readonly #port: MessagePort | Worker
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  readonly #handlers: Handlers
  #nextId = 1
  /** Why the other side is gone; null while it is there. */
  #failure: Error | null = null

  /** @param handlers what the other side may call; a thrown error travels as its message */
  constructor(port: MessagePort | Worker, handlers: Handlers) {
    this.#port = port
    this.#handlers = handlers
    port.on('message', (message: CallMessage | AnswerMessage) => {
      if ('call' in message) void this.#serve(message)
      else this.#settle(message)
    })
  }

  /** Calls the other side; rejects with what it threw, or with why it is gone. */
  call<T>(name: string, argument: unknown = null): Promise<T> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    const id = this.#nextId++
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#port.postMessage({ call: name, id, argument }, [])
    })
  }

  /** The other side is gone: everything that waits for it fails, and every later call. The first reason counts. */
  fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }

  async #serve({ call, id, argument }: CallMessage): Promise<void> {
    const handler = this.#handlers[call]
    try {
      if (handler === undefined) throw new Error(`no call named ${call}`)
      this.#port.postMessage({ answer: id, value: await handler(argument as never) }, [])
    } catch (error) {
      this.#port.postMessage(
        { answer: id, error: error instanceof Error ? error.message : String(error) },
        [],
      )
    }
  }

  #settle({ answer, value, error }: AnswerMessage): void {
    const waiting = this.#waiting.get(answer)
    this.#waiting.delete(answer)
    if (error === undefined) waiting?.resolve(value as never)
    else waiting?.reject(new Error(error))
  }
}
